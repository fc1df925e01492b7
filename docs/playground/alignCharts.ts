/**
 * The curves of a run of `align`, from the rows of its log and of its evaluations.
 * @module
 */

import type { Chart, Curve } from "../../bench/demo/charts.js";
import type { LogRow } from "../../src/index.js";

/** A metric's curves: of the steps' batches, and dashed of held-out pairs. */
type Shown = readonly [metric: string, name: string, colour: Curve["run"]];

const CHARTS: readonly (Pick<Chart, "title" | "note" | "unit"> & {
  readonly shown: readonly Shown[];
})[] = [
  {
    title: "loss",
    note: "what is descended; dashed: held-out pairs",
    unit: "loss",
    shown: [["loss", "loss", "spo"]],
  },
  {
    title: "margin",
    note: "mean of chosen minus rejected reward; dashed: held-out pairs",
    unit: "reward",
    shown: [["rewards/margins", "margin", "spo"]],
  },
  {
    title: "log-probability",
    note: "of chosen and rejected completions; dashed: held-out pairs",
    unit: "nats",
    shown: [
      ["logps/chosen", "chosen", "chosen"],
      ["logps/rejected", "rejected", "base"],
    ],
  },
];

/** The charts, in their order; without steps while there are no rows. */
export function chartsOf(rows: readonly LogRow[]): readonly Chart[] {
  const steps = [...new Set(rows.map(({ step }) => step!))].sort((a, b) => a - b);
  const valuesOf = (metric: string) => {
    const values = new Map(
      rows.flatMap((row) => (metric in row ? [[row.step, row[metric]!]] : [])),
    );
    return steps.map((step) => values.get(step) ?? null);
  };
  return CHARTS.map(({ shown, ...texts }) => ({
    ...texts,
    steps,
    curves: shown.flatMap(([metric, name, run]): Curve[] => [
      { name, run, dashed: false, values: valuesOf(metric) },
      { name: `${name}, held out`, run, dashed: true, values: valuesOf(`eval_${metric}`) },
    ]),
  }));
}
