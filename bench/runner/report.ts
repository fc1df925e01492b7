/**
 * Reports as text for the terminal and as Markdown tables.
 */

import type { Machine } from "./machine.js";
import { middle, type Probe, type ProbeReport } from "./processes.js";
import type { CaseReport, Row, Started } from "./run.js";

/** Everything a run found. */
export interface Report {
  readonly machine: Machine;
  readonly started: readonly Started[];
  readonly cases: readonly CaseReport[];
  readonly processes: readonly ProbeReport[];
}

/** Three significant digits. */
export function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** Milliseconds, or microseconds below one. */
export function duration(ms: number): string {
  return ms < 1 ? `${digits(ms * 1000)} µs` : `${digits(ms)} ms`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

export function ratio(row: Row): string {
  return row.ratio === null ? "" : `${row.ratio.toFixed(2)}×`;
}

/** Who started, and who could not and why. */
export function startedText(started: readonly Started[]): string {
  return started
    .map((one) =>
      "peer" in one
        ? `  ${one.name.padEnd(20)} ${one.peer.version}`
        : `  ${one.name.padEnd(20)} does not take part: ${one.reason}`,
    )
    .join("\n");
}

/** A case's rows. Ratios are times relative to prefgrad with one thread. */
export function caseText({ family, name, unit, rows, failures }: CaseReport): string {
  const lines = rows.map((row) => {
    const spread = `${duration(row.min)} – ${duration(row.max)}`;
    const rate = row.rate === null ? "" : `${digits(row.rate)} ${unit}`;
    return `  ${row.contender.padEnd(20)} ${duration(row.median).padStart(9)}  ${ratio(row).padStart(7)}  ${rate.padStart(13)}   ${spread}`;
  });
  for (const { contender, reason } of failures) lines.push(`  ${contender.padEnd(20)} ${reason}`);
  return `${family}: ${name}\n${lines.join("\n")}\n`;
}

/** Rates at the ends of each scaling curve relative to its middle. */
export function curvesText(cases: readonly CaseReport[]): string {
  const lines = curves(cases).map(
    ({ curve, contender, rates }) =>
      `  ${curve.padEnd(11)} ${contender.padEnd(20)} ${rates.map(digits).join("  ")}   last/middle ${bend(rates).toFixed(2)}`,
  );
  return lines.length > 0 ? `scaling curves, GFLOP/s\n${lines.join("\n")}\n` : "";
}

interface CurveRates {
  readonly curve: string;
  readonly contender: string;
  readonly at: readonly number[];
  readonly rates: readonly number[];
}

function curves(cases: readonly CaseReport[]): CurveRates[] {
  const found = new Map<
    string,
    { curve: string; contender: string; at: number[]; rates: number[] }
  >();
  for (const { curve, rows } of cases) {
    if (!curve) continue;
    for (const { contender, rate } of rows) {
      const key = `${curve.name} ${contender}`;
      const own = found.get(key) ?? { curve: curve.name, contender, at: [], rates: [] };
      found.set(key, own);
      own.at.push(curve.at);
      own.rates.push(rate!);
    }
  }
  return [...found.values()];
}

function bend(rates: readonly number[]): number {
  return rates.at(-1)! / rates[rates.length >> 1]!;
}

const PROBED: readonly (readonly [key: keyof Probe, title: string, show: (n: number) => string])[] =
  [
    ["importMs", "import", duration],
    ["firstStepMs", "first step", duration],
    ["stepMs", "step", duration],
    ["peakBytes", "peak memory", megabytes],
    ["deviceBytes", "on the device", megabytes],
  ];

function probeCells(report: ProbeReport): string[] {
  if (report.failure !== null) return [report.failure, ...PROBED.slice(1).map(() => "")];
  return PROBED.map(([key, , show]) => {
    const value = middle(report, key);
    return value === null ? "–" : show(value);
  });
}

/** Import time, first step and memory of the probe processes. */
export function processText(reports: readonly ProbeReport[]): string {
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? `  ${cell.padEnd(20)}` : cell.padStart(14))).join("");
  const titles = ["processes, gpt-dpo", ...PROBED.map(([, title]) => title)];
  return [titles, ...reports.map((report) => [report.contender, ...probeCells(report)])]
    .map(line)
    .join("\n");
}

/** Tables by family: a row per case, a column per contender. */
export function markdown({ machine, cases, processes }: Report): string {
  const { cpu, cores, node, load } = machine;
  const parts = [
    `${cpu}, ${cores} cores, Node ${node.slice(1)}, load ${load.toFixed(1)} at the start.`,
  ];
  for (const family of new Set(cases.map((one) => one.family))) {
    const own = cases.filter((one) => one.family === family);
    const names = [...new Set(own.flatMap(({ rows }) => rows.map(({ contender }) => contender)))];
    const unit = own[0]!.unit;
    const rows = own.map((one) => [
      one.name,
      ...names.map((name) => {
        const row = one.rows.find(({ contender }) => contender === name);
        const failure = one.failures.find(({ contender }) => contender === name);
        if (!row) return failure ? "fails" : "";
        const rate = row.rate === null ? "" : ` · ${digits(row.rate)}`;
        return `${duration(row.median)}${rate} · ${ratio(row)}`;
      }),
    ]);
    const title = unit
      ? `${family} (time · ${unit} · time relative to prefgrad, 1 thread)`
      : family;
    parts.push(`### ${title}`, table([family, ...names], rows));
  }
  const bends = curves(cases);
  if (bends.length > 0) {
    const rows = bends.map(({ curve, contender, rates }) => [
      curve,
      contender,
      rates.map(digits).join(" · "),
      bend(rates).toFixed(2),
    ]);
    parts.push("### Scaling curves", table(["curve", "", "GFLOP/s", "last / middle"], rows));
  }
  if (processes.length > 0) {
    const rows = processes.map((report) => [report.contender, ...probeCells(report)]);
    parts.push("### Processes", table(["gpt-dpo", ...PROBED.map(([, title]) => title)], rows));
  }
  return `${parts.join("\n\n")}\n`;
}

export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(titles), line(titles.map(() => "---")), ...rows.map(line)].join("\n");
}
