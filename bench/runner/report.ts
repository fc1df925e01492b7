/**
 * Reports as text for the terminal and as Markdown tables.
 */

import type { Machine } from "./machine.js";
import { median } from "./measure.js";
import { numbers, type Probe, type ProbeReport } from "./processes.js";
import type { CaseReport, Row, Started } from "./run.js";

/** Everything a run found. */
export interface Report {
  readonly machine: Machine;
  readonly started: readonly Started[];
  readonly cases: readonly CaseReport[];
  readonly processes: readonly ProbeReport[];
}

/** Whether prefgrad did not start, failed, or computed wrong numbers anywhere. */
export function isBroken({ started, cases, processes }: Report): boolean {
  return [
    ...started.filter((one) => "reason" in one).map(({ name }) => name),
    ...cases.flatMap(({ failures }) => failures.map(({ contender }) => contender)),
    ...processes.filter(({ failure }) => failure !== null).map(({ contender }) => contender),
  ].some((name) => name.startsWith("prefgrad"));
}

/** Three significant digits. */
export function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

interface Unit {
  readonly name: string;
  readonly size: number;
}

/** Milliseconds, or microseconds below one. */
const timeUnit = (ms: number): Unit =>
  ms < 1 ? { name: "µs", size: 1e-3 } : { name: "ms", size: 1 };

const megabytes = (): Unit => ({ name: "MB", size: 1e6 });

export function duration(ms: number): string {
  const { name, size } = timeUnit(ms);
  return `${digits(ms / size)} ${name}`;
}

/** The middle of some values and, where there are several, the least and the most in the same unit. */
function spread(values: readonly number[], unitOf: (value: number) => Unit): string {
  const middle = median(values);
  const { name, size } = unitOf(middle);
  const [least, most] = [Math.min(...values), Math.max(...values)].map((n) => digits(n / size));
  return `${digits(middle / size)} ${name}${values.length > 1 ? ` (${least}–${most})` : ""}`;
}

export function ratio(row: Pick<Row, "ratio">): string {
  return row.ratio === null ? "" : `${row.ratio.toFixed(2)}×`;
}

/** A percentage of two digits. */
export function share(part: number | null): string {
  if (part === null) return "";
  const percent = 100 * part;
  return `${percent < 10 ? percent.toPrecision(2) : percent.toFixed(0)}%`;
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
    const extremes = `${duration(row.min)} – ${duration(row.max)}`;
    const rate = row.rate === null ? "" : `${digits(row.rate)} ${unit}`;
    const copy = row.ofCopy === null ? "" : `   ${share(row.ofCopy)} of copy`;
    return `  ${row.contender.padEnd(20)} ${duration(row.median).padStart(9)}  ${ratio(row).padStart(7)}  ${rate.padStart(13)}   ${extremes}${copy}`;
  });
  for (const { contender, reason } of failures) lines.push(`  ${contender.padEnd(20)} ${reason}`);
  return `${family}: ${name}\n${lines.join("\n")}\n`;
}

/** Rates along each scaling curve, and its end relative to its middle. */
export function curvesText(cases: readonly CaseReport[]): string {
  const lines = curves(cases).map(
    ({ curve, contender, rates }) =>
      `  ${curve.padEnd(11)} ${contender.padEnd(20)} ${rates.map(digits).join("  ")}   ${bend(rates) && `last/middle ${bend(rates)}`}`,
  );
  return lines.length > 0 ? `scaling curves, GFLOP/s\n${lines.join("\n")}\n` : "";
}

interface CurveRates {
  readonly curve: string;
  readonly contender: string;
  readonly rates: number[];
}

function curves(cases: readonly CaseReport[]): CurveRates[] {
  const found = new Map<string, CurveRates>();
  for (const { curve, rows } of cases) {
    if (!curve) continue;
    for (const row of rows) {
      const contender = curve === "threads" ? "prefgrad" : row.contender;
      const key = `${curve} ${contender}`;
      const own = found.get(key) ?? { curve, contender, rates: [] };
      found.set(key, own);
      own.rates.push(row.rate!);
    }
  }
  return [...found.values()];
}

/** The last rate relative to the middle one; two points have no middle. */
function bend(rates: readonly number[]): string {
  return rates.length < 3 ? "" : (rates.at(-1)! / rates[rates.length >> 1]!).toFixed(2);
}

type Probed = readonly [key: keyof Probe, title: string, unitOf: (value: number) => Unit];

const PROBED: readonly Probed[] = [
  ["importMs", "import", timeUnit],
  ["firstStepMs", "first step", timeUnit],
  ["stepMs", "step", timeUnit],
  ["peakBytes", "peak memory", megabytes],
  ["deviceBytes", "on the device", megabytes],
];

/** Ratios are medians over rounds, relative to the first contender. */
function probeCell(report: ProbeReport, first: ProbeReport, [key, , unitOf]: Probed): string {
  const [own, base] = [numbers(report, key), numbers(first, key)];
  if (own.length === 0) return "–";
  const ratios = own.map((value, round) => value / base[round]!);
  const relative = own.length === base.length ? ` · ${ratio({ ratio: median(ratios) })}` : "";
  return `${spread(own, unitOf)}${relative}`;
}

/** Import time, first step and memory of the probe processes. */
export function processText(reports: readonly ProbeReport[]): string {
  const line = (contender: string, cell: string): string => `  ${contender.padEnd(20)} ${cell}`;
  const lines = PROBED.flatMap((probed) => [
    `processes, gpt-dpo: ${probed[1]}`,
    ...reports
      .filter(({ failure }) => failure === null)
      .map((one) => line(one.contender, probeCell(one, reports[0]!, probed))),
  ]);
  for (const { contender, failure } of reports) if (failure) lines.push(line(contender, failure));
  return lines.join("\n");
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
        return [
          spread(row.samples, timeUnit),
          row.rate === null ? "" : digits(row.rate),
          share(row.ofCopy),
          ratio(row),
        ]
          .filter(Boolean)
          .join(" · ");
      }),
    ]);
    const copied = own.some((one) => one.rows.some(({ ofCopy }) => ofCopy !== null));
    const shown = [
      "time (least–most)",
      unit,
      copied && "of copy",
      "time relative to prefgrad, 1 thread",
    ];
    parts.push(
      `### ${family} (${shown.filter(Boolean).join(" · ")})`,
      table([family, ...names], rows),
    );
    const reasons = own.flatMap((one) =>
      one.failures.map(({ contender, reason }) => `- ${one.name}, ${contender}: ${reason}`),
    );
    if (reasons.length > 0) parts.push(reasons.join("\n"));
  }
  const bends = curves(cases);
  if (bends.length > 0) {
    const rows = bends.map(({ curve, contender, rates }) => [
      curve,
      contender,
      rates.map(digits).join(" · "),
      bend(rates),
    ]);
    parts.push("### Scaling curves", table(["curve", "", "GFLOP/s", "last / middle"], rows));
  }
  if (processes.length > 0) {
    const rows = processes.map((one) => [
      one.contender,
      ...PROBED.map((probed, i) => {
        if (one.failure === null) return probeCell(one, processes[0]!, probed);
        return i === 0 ? one.failure : "";
      }),
    ]);
    parts.push(
      "### Processes (median (least–most) · relative to prefgrad, 1 thread)",
      table(["gpt-dpo", ...PROBED.map(([, title]) => title)], rows),
    );
  }
  return `${parts.join("\n\n")}\n`;
}

export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(titles), line(titles.map(() => "---")), ...rows.map(line)].join("\n");
}
