/**
 * Tables of the models' workloads.
 */

import { median } from "../runner/measure.js";
import { digits } from "../runner/report.js";
import type { Placing, RaceReport } from "./race.js";

const HEADER = ["", "time", "of PyTorch's", "rate", "first run", "resident", "device"];

/** Cells of a contestant's row. */
function cells({ name, ...own }: Placing, report: RaceReport): string[] {
  const middle = median(own.milliseconds);
  const peer = report.placings.find((placing) => placing.name === "PyTorch");
  const spread =
    own.milliseconds.length > 1
      ? ` (${seconds(Math.min(...own.milliseconds))}–${seconds(Math.max(...own.milliseconds))})`
      : "";
  return [
    name,
    `${seconds(middle)} s${spread}`,
    peer ? `${(middle / median(peer.milliseconds)).toFixed(2)}×` : "",
    rate(report, middle),
    `${(own.firstMs / middle).toFixed(2)}×`,
    gigabytes(own.residentBytes),
    gigabytes(own.deviceBytes),
  ];
}

const seconds = (ms: number): string => digits(ms / 1000);

const gigabytes = (bytes: number | null): string =>
  bytes === null ? "" : `${digits(bytes / 1e9)} GB`;

function rate({ unit, amount }: RaceReport, ms: number): string {
  if (unit === "steps") return "";
  const perSecond = amount / (ms / 1000);
  return unit === "bytes" ? `${digits(perSecond / 1e9)} GB/s` : `${digits(perSecond)} tokens/s`;
}

const title = ({ workload, model, threads }: RaceReport): string =>
  `${workload}, ${model}, ${threads} thread${threads > 1 ? "s" : ""}`;

/** A workload for the terminal. */
export function raceText(report: RaceReport): string {
  const rows = report.placings.map((placing) => cells(placing, report));
  const widths = HEADER.map((head, i) =>
    Math.max(head.length, ...rows.map((row) => row[i]!.length)),
  );
  const line = (row: readonly string[]): string =>
    `  ${row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ")}`.trimEnd();
  const failures = report.failures.map(({ name, reason }) => `  ${name}: ${reason}`);
  return `${title(report)}\n${[line(HEADER), ...rows.map(line), ...failures].join("\n")}\n`;
}

/** Workloads as Markdown. */
export function raceMarkdown(reports: readonly RaceReport[]): string {
  const line = (row: readonly string[]): string => `| ${row.join(" | ")} |`;
  const lines = [
    line(["workload", "who", ...HEADER.slice(1)]),
    line(HEADER.map(() => "---").concat("---")),
  ];
  for (const report of reports) {
    for (const placing of report.placings)
      lines.push(line([title(report), ...cells(placing, report)]));
    for (const { name, reason } of report.failures) {
      lines.push(line([title(report), name, reason, "", "", "", "", ""]));
    }
  }
  return `${lines.join("\n")}\n`;
}
