/**
 * What a run of the diffusion task shows in words: a table over seeds, and sentences that follow from it.
 * @module
 */

import { intervalOf, intervalText } from "../interval.js";
import type { SampleFigures } from "./mixture.js";
import type { DiffusionModelRun } from "./task.js";

/** The models of each seed, in one order. */
export type DiffusionRuns = readonly (readonly DiffusionModelRun[])[];

/** Headings of the figures. */
const HEADINGS: Readonly<Record<keyof SampleFigures, string>> = {
  preferred: "in preferred modes",
  coverage: "coverage",
  outside: "in no mode",
  spread: "spread",
};

const FIGURES = Object.keys(HEADINGS) as (keyof SampleFigures)[];

const valuesOf = (runs: DiffusionRuns, model: number, figure: keyof SampleFigures): number[] =>
  runs.map((models) => models[model]!.figures[figure]);

/** A mean, with its 95 % interval where there are several seeds. */
function textOf(values: readonly number[]): string {
  if (values.length === 1) return values[0]!.toFixed(3);
  return intervalText(values);
}

/** A table in Markdown, a model a row. */
export function diffusionTable(runs: DiffusionRuns): string {
  const head = runs.length === 1 ? "" : "mean ± 95 %";
  const rows = runs[0]!.map(({ name }, i) => [
    name,
    ...FIGURES.map((figure) => textOf(valuesOf(runs, i, figure))),
  ]);
  const lines = [[head, ...FIGURES.map((figure) => HEADINGS[figure])], ...rows];
  const [first, ...rest] = lines.map((cells) => `| ${cells.join(" | ")} |`);
  return [first, `|${"---|".repeat(FIGURES.length + 1)}`, ...rest].join("\n");
}

/** What of mode-seeking and mass-covering was seen, whichever way it came out; and what SPO changed. */
export function diffusionVerdict(runs: DiffusionRuns): string[] {
  const names = runs[0]!.map(({ name }) => name);
  const differences = (a: string, b: string, figure: keyof SampleFigures): string => {
    const [first, second] = [a, b].map((name) => valuesOf(runs, names.indexOf(name), figure));
    const each = first!.map((value, i) => value - second![i]!);
    if (each.length === 1) return signed(each[0]!);
    const [mean, half] = intervalOf(each);
    const says = Math.abs(mean) > half ? "" : ", which says nothing";
    return `${signed(mean)} ± ${half.toFixed(3)}${says}`;
  };
  const compared = (a: string, b: string): string =>
    (["preferred", "coverage", "outside"] as const)
      .map((figure) => `${HEADINGS[figure]} ${differences(a, b, figure)}`)
      .join("; ");
  return [
    `DMPO less Diffusion-DPO (a loss that seeks modes would cover less): ${compared("DMPO", "Diffusion-DPO")}.`,
    ...["Diffusion-DPO", "DMPO"].map(
      (name) => `SPO around ${name} changed: ${compared(`${name} + SPO`, name)}.`,
    ),
    `Diffusion-DPO + SPO less the chosen samples alone: ${compared("Diffusion-DPO + SPO", "chosen samples alone")}.`,
  ];
}

const signed = (value: number): string => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
