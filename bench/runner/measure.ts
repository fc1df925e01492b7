/**
 * Timing: contenders take turns, sample by sample, so that whatever else the machine does meets all
 * of them alike.
 */

import type { Peer, Task } from "../problem.js";

/** How long to measure. */
export interface Effort {
  /** Samples per contender. */
  readonly rounds: number;
  /** A sample is as many runs as take this long. */
  readonly sampleMs: number;
  /** Runs before the first sample take this long. */
  readonly warmMs: number;
  /** Rounds end early, but not before the third, after this long. */
  readonly caseMs: number;
}

export const FULL: Effort = { rounds: 15, sampleMs: 20, warmMs: 400, caseMs: 60_000 };
export const QUICK: Effort = { rounds: 5, sampleMs: 5, warmMs: 50, caseMs: 10_000 };

/** A contender with its task. */
export interface Entrant {
  readonly name: string;
  readonly peer: Peer;
  readonly task: Task;
}

/** Milliseconds of one run, by round. */
export type Samples = readonly number[];

/** Lets what a contender leaves running (spinning threads, collections) come to rest. */
const REST_MS = 3;

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Does some of a contender's work; null if it throws, which is reported. */
export type Attempt = <T>(contender: string, work: () => T | Promise<T>) => Promise<T | null>;

/** Samples of every entrant that does not throw, in the same rounds. */
export async function measure(
  entrants: readonly Entrant[],
  effort: Effort,
  attempt: Attempt,
): Promise<Map<Entrant, Samples>> {
  const runs = new Map<Entrant, number>();
  const samples = new Map<Entrant, number[]>();
  for (const entrant of entrants) {
    const found = await attempt(entrant.name, () => warmUp(entrant, effort));
    if (found === null) continue;
    runs.set(entrant, found);
    samples.set(entrant, []);
  }
  const deadline = performance.now() + effort.caseMs;
  for (let round = 0; round < effort.rounds; round++) {
    if (round >= 3 && performance.now() > deadline) break;
    for (const [entrant, own] of samples) {
      const { name, peer, task } = entrant;
      await sleep(REST_MS);
      const ms = await attempt(name, async () => {
        await peer.enter?.();
        return time(task, runs.get(entrant)!);
      });
      if (ms === null) samples.delete(entrant);
      else own.push(ms / runs.get(entrant)!);
    }
  }
  return samples;
}

/** Runs a task until it is warm, and finds how many runs make a sample. */
async function warmUp({ peer, task }: Entrant, { warmMs, sampleMs }: Effort): Promise<number> {
  await peer.enter?.();
  const start = performance.now();
  let last = await time(task, 1);
  let runs = 1;
  while (performance.now() - start < warmMs) {
    runs = Math.max(1, Math.min(1e6, Math.ceil(sampleMs / last)));
    last = (await time(task, runs)) / runs;
  }
  return Math.max(1, Math.min(1e6, Math.ceil(sampleMs / last)));
}

async function time(task: Task, runs: number): Promise<number> {
  if (task.time) return task.time(runs);
  const start = performance.now();
  if (task.overlaps) {
    await Promise.all(Array.from({ length: runs }, () => task.run()));
    return performance.now() - start;
  }
  for (let i = 0; i < runs; i++) {
    const running = task.run();
    if (running instanceof Promise) await running;
  }
  return performance.now() - start;
}

/** The middle of the samples. */
export function median(samples: Samples): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
