/**
 * The cases of the GPU, run where this is: in Node or in a page.
 */

import type { Case } from "../runner/case.js";
import { type Choice, chosenCases, chosenContenders } from "../runner/choose.js";
import type { Effort, Entrant } from "../runner/measure.js";
import { type CaseReport, runCase, start } from "../runner/run.js";
import { type Adapter, describeAdapter } from "./adapter.js";
import { GPU_CASES, seriesOf } from "./cases.js";
import { GPU_BASELINE, GPU_CONTENDERS } from "./contenders.js";
import { type KernelTime, timeKernels } from "./kernels.js";
import { type Counts, encodingTime, record, settled, watchWebGpu } from "./watch.js";

/** What to run; plain data, so that it can be sent to a page. */
export interface SessionOptions extends Choice {
  /** Words that names of contenders contain; none: all contenders. */
  readonly peers: readonly string[];
  readonly effort: Effort;
  /** Cases whose runs would take longer are skipped. */
  readonly mostMs: number;
  /** Also time every kernel by itself. */
  readonly kernels: boolean;
}

/** What a run costs the processor. */
export interface PlanCost {
  readonly contender: string;
  readonly counts: Counts;
  /**
   * Milliseconds of the processor per run, from its beginning to its commands' submission, by run;
   * none where the library does not tell the two apart.
   */
  readonly issue: readonly IssueTime[];
}

/** What it took to issue a run. */
export interface IssueTime {
  /** From building the graph on. */
  readonly wholeMs: number;
  /** The part of it in which kernels are encoded. */
  readonly encodeMs: number;
  /** The part of it in which their commands are submitted: once for all of them. */
  readonly submitMs: number;
}

/** What a case gave on the GPU. */
export interface GpuCaseReport extends CaseReport {
  readonly costs: readonly PlanCost[];
  readonly kernels: readonly KernelTime[];
}

/** What a session found, before and between its cases. */
export interface SessionStart {
  readonly adapter: Adapter;
  readonly contenders: readonly { readonly name: string; readonly about: string }[];
}

/** Runs a session; tells of its start and of every case when it is done. */
export async function runSession(
  options: SessionOptions,
  started: (start: SessionStart) => void,
  done: (report: GpuCaseReport) => void,
): Promise<void> {
  const { peers, mostMs, effort } = options;
  const [first, ...others] = chosenContenders(GPU_CONTENDERS, peers, GPU_BASELINE);
  const baseline = await start([first!]);
  for (const one of baseline) if ("reason" in one) throw new Error(one.reason);
  watchWebGpu();
  const all = [...baseline, ...(await start(others))];
  started({
    adapter: await describeAdapter(),
    contenders: all.map((one) => ({
      name: one.name,
      about: "peer" in one ? one.peer.version : `does not take part: ${one.reason}`,
    })),
  });

  /** The last time in each series, by contender. */
  const known = new Map<string, { work: number; ms: number }>();
  const skip = (benchmark: Case, contender: string): string | null => {
    const series = seriesOf(benchmark);
    const last = known.get(`${series} ${contender}`);
    if (series === null || !last) return null;
    const ms = last.ms * (benchmark.work!.amount / last.work);
    return ms > mostMs
      ? `skipped: a run would take about ${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
      : null;
  };
  for (const benchmark of chosenCases(GPU_CASES, options)) {
    const costs: PlanCost[] = [];
    const kernels: KernelTime[] = [];
    const afterwards = async (entrant: Entrant): Promise<void> => {
      costs.push(await costOf(entrant));
      if (!options.kernels || entrant.name !== GPU_BASELINE) return;
      kernels.push(...(await timeKernels(async () => (await recorded(entrant)).kernels)));
    };
    const report = await runCase(benchmark, all, {
      effort,
      baseline: GPU_BASELINE,
      skip,
      afterwards,
    });
    for (const { contender, median: ms } of report.rows) {
      known.set(`${seriesOf(benchmark)} ${contender}`, { work: benchmark.work!.amount, ms });
    }
    done({ ...report, costs, kernels });
  }
  for (const one of all) if ("peer" in one) await one.peer.close?.();
}

function recorded({ task }: Entrant): ReturnType<typeof record> {
  return record(async () => (task.issue ? task.issue() : task.run()));
}

/** Runs that are timed, if they do not take long. */
const COSTED_RUNS = 40;
const COSTED_MS = 4000;
/** Runs before that. */
const SETTLING_RUNS = 8;
const SETTLING_MS = 15_000;

async function costOf(entrant: Entrant): Promise<PlanCost> {
  const { name: contender, task } = entrant;
  const settling = performance.now() + SETTLING_MS;
  const { issue } = task;
  // Buffers come to where they stay only when runs follow each other as they are counted.
  for (let i = 0; i < SETTLING_RUNS && performance.now() < settling; i++) {
    await (issue ?? task.run)();
    await settled();
  }
  const { counts } = await recorded(entrant);
  const times: IssueTime[] = [];
  if (!issue) return { contender, counts, issue: times };
  const deadline = performance.now() + COSTED_MS;
  while (times.length < COSTED_RUNS && (times.length < 3 || performance.now() < deadline)) {
    await settled();
    let wholeMs = 0;
    const encoding = await encodingTime(async () => {
      const begun = performance.now();
      await issue();
      wholeMs = performance.now() - begun;
    });
    times.push({ wholeMs, ...encoding });
  }
  await settled();
  return { contender, counts, issue: times };
}
