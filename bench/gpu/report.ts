/**
 * Reports of the GPU as text for the terminal and as Markdown tables.
 */

import type { Machine } from "../runner/machine.js";
import { median } from "../runner/measure.js";
import { digits, duration, ratio, share, table } from "../runner/report.js";
import type { Row } from "../runner/run.js";
import type { Adapter } from "./adapter.js";
import type { KernelTime } from "./kernels.js";
import type { GpuCaseReport, IssueTime, PlanCost, SessionStart } from "./session.js";

/** Everything a run found. */
export interface GpuReport extends SessionStart {
  readonly machine: Machine;
  /** Node or a browser, with its version. */
  readonly where: string;
  readonly cases: readonly GpuCaseReport[];
}

/** The adapter and its bandwidth. */
export function adapterText({ name, isSoftware, copyRate, copyBytes }: Adapter): string {
  const software = isSoftware ? " — a software adapter: the processor computes" : "";
  return `${name}${software}\ncopies ${digits(copyRate)} GB/s, read and written (buffers of ${copyBytes / 2 ** 20} MiB)`;
}

/** Who started, and who could not and why. */
export function contendersText({ contenders }: SessionStart): string {
  return contenders.map(({ name, about }) => `  ${name.padEnd(20)} ${about}`).join("\n");
}

/** Bytes per nanosecond: what a case must move at least, or what its kernels are bound to. */
function bandwidth({ unit, costs }: GpuCaseReport, row: Row): number | null {
  if (unit === "GB/s") return row.rate;
  const cost = costs.find(({ contender }) => contender === row.contender);
  return cost ? cost.counts.bytes / row.median / 1e6 : null;
}

/** A case's rows, and what each contender's run costs the processor. */
export function gpuCaseText(report: GpuCaseReport, { copyRate }: Adapter): string {
  const { family, name, unit, rows, failures, costs } = report;
  const lines = rows.map((row) => {
    const rate = unit === "GFLOP/s" ? `${digits(row.rate!)} GFLOP/s` : "";
    const moved = bandwidth(report, row);
    const bytes = moved === null ? "" : `${digits(moved)} GB/s`;
    const spread = `${duration(row.min)} – ${duration(row.max)}`;
    return `  ${row.contender.padEnd(20)} ${duration(row.median).padStart(9)}  ${ratio(row).padStart(7)}  ${rate.padStart(14)}  ${bytes.padStart(11)}  ${share(moved && moved / copyRate).padStart(5)} of copy   ${spread}`;
  });
  for (const { contender, reason } of failures) lines.push(`  ${contender.padEnd(20)} ${reason}`);
  for (const cost of costs) lines.push(`    ${cost.contender.padEnd(20)} ${costText(cost)}`);
  return `${family}: ${name}\n${lines.join("\n")}\n`;
}

const plural = (count: number, name: string): string => `${count} ${name}${count === 1 ? "" : "s"}`;

/** Microseconds per kernel, or of submitting all of them: the median over runs and the least, which others on the machine disturb less. */
function micros({ counts, issue }: PlanCost, part: keyof IssueTime): string {
  if (issue.length === 0) return "";
  const share = part === "submitMs" ? 1 : Math.max(1, counts.kernels);
  const times = issue.map((time) => (1000 * time[part]) / share);
  return `${digits(median(times))} (least ${digits(Math.min(...times))})`;
}

function costText(cost: PlanCost): string {
  const { counts, issue } = cost;
  const made = `${plural(counts.bindGroups, "bind group")} and ${plural(counts.buffers, "buffer")} made`;
  const time =
    issue.length === 0
      ? ""
      : `; JavaScript: ${micros(cost, "encodeMs")} µs to issue a kernel, ${micros(cost, "submitMs")} µs to submit them, ${micros(cost, "wholeMs")} µs per kernel in all`;
  return `${plural(counts.kernels, "kernel")}, ${plural(counts.submissions, "submission")}, ${made}${time}`;
}

/** Kernels that are alike, together. */
interface KernelGroup extends KernelTime {
  readonly count: number;
  readonly idealMs: number;
}

/** Kernels by what they take, beside what the adapter's rates would allow. */
export function groupKernels(
  kernels: readonly KernelTime[],
  { copyRate }: Pick<Adapter, "copyRate">,
  flopRate: number,
): KernelGroup[] {
  const groups = new Map<string, KernelGroup>();
  for (const kernel of kernels) {
    const { kind, label, workgroups, bytes, flops, ms } = kernel;
    const key = JSON.stringify([kind, label, workgroups, bytes]);
    const idealMs = Math.max(bytes / copyRate, flopRate > 0 ? flops / flopRate : 0) / 1e6;
    const known = groups.get(key);
    groups.set(key, {
      ...kernel,
      count: (known?.count ?? 0) + 1,
      ms: (known?.ms ?? 0) + ms,
      idealMs: (known?.idealMs ?? 0) + idealMs,
    });
  }
  return [...groups.values()].sort((a, b) => b.ms - a.ms);
}

/** The best rate of a matrix product in a run: what is taken for the adapter's. */
export function bestFlopRate(cases: readonly GpuCaseReport[]): number {
  const kernels = cases.flatMap((one) => one.kernels.map(({ flops, ms }) => flops / ms / 1e6));
  const rows = cases
    .filter(({ family }) => family === "matmul")
    .flatMap((one) => one.rows.map(({ rate }) => rate ?? 0));
  return Math.max(0, ...kernels, ...rows);
}

const KERNELS_SHOWN = 25;

/** The kernels of a case that take longest. */
export function kernelsText(
  { family, name, kernels }: GpuCaseReport,
  adapter: Adapter,
  flopRate: number,
): string {
  const total = kernels.reduce((sum, { ms }) => sum + ms, 0);
  const groups = groupKernels(kernels, adapter, flopRate);
  const lines = groups.slice(0, KERNELS_SHOWN).map((group) => {
    const { count, ms, idealMs, kind, label, workgroups, bytes } = group;
    const about = [kind, label, `${workgroups.join("×")} workgroups`, `${digits(bytes / 1e6)} MB`];
    return `  ${`${count}×`.padStart(4)} ${duration(ms).padStart(9)}  ${share(ms / total).padStart(6)}  ideal ${duration(idealMs).padStart(9)}  ${digits(ms / idealMs).padStart(6)}×  ${about.filter(Boolean).join(" · ")}`;
  });
  return `kernels of ${family}: ${name}, each by itself: ${kernels.length} in ${duration(total)}\n${lines.join("\n")}\n`;
}

/** Tables by family. */
export function gpuMarkdown(report: GpuReport): string {
  const { machine, where, adapter, cases } = report;
  const { name, isSoftware, copyRate } = adapter;
  const parts = [
    `${name}${isSoftware ? " (**a software adapter**: the processor computes)" : ""}, copying ${digits(copyRate)} GB/s; ${where}; ${machine.cpu}, ${machine.cores} cores, load ${machine.load.toFixed(1)} at the start.`,
  ];
  for (const family of new Set(cases.map((one) => one.family))) {
    const own = cases.filter((one) => one.family === family);
    const rows = own.flatMap((one) => [
      ...one.rows.map((row) => {
        const moved = bandwidth(one, row);
        const cost = one.costs.find(({ contender }) => contender === row.contender);
        return [
          one.name,
          row.contender,
          duration(row.median),
          ratio(row),
          one.unit === "GFLOP/s" ? digits(row.rate!) : "",
          moved === null ? "" : digits(moved),
          share(moved && moved / copyRate),
          cost ? `${cost.counts.kernels}` : "",
          ...(["encodeMs", "submitMs", "wholeMs"] as const).map((part) =>
            cost ? micros(cost, part) : "",
          ),
          cost ? `${cost.counts.bindGroups}` : "",
        ];
      }),
      ...one.failures.map(({ contender, reason }) => [
        one.name,
        contender,
        reason,
        ...Array.from({ length: 9 }, () => ""),
      ]),
    ]);
    const titles = ["time", "ratio", "GFLOP/s", "GB/s", "of copy", "kernels"];
    const costs = [
      "µs to issue a kernel",
      "to submit them",
      "per kernel in all",
      "bind groups made",
    ];
    parts.push(table([family, "", ...titles, ...costs], rows));
  }
  return `${parts.join("\n\n")}\n`;
}
