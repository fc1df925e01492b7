/**
 * Runs cases: sets every contender its task, checks its numbers, and times those whose are right.
 */

import type { Kind, Peer, Problems } from "../problem.js";
import { type Case, Mismatch } from "./case.js";
import { BASELINE, CONTENDERS } from "./contenders.js";
import { type Effort, type Entrant, measure, median, type Samples } from "./measure.js";

/** A contender's row in a case's report. */
export interface Row {
  readonly contender: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Median over rounds of this contender's time over the baseline's in the same round. */
  readonly ratio: number | null;
  /** In the case's unit of work. */
  readonly rate: number | null;
  readonly samples: Samples;
}

/** What a case gave. */
export interface CaseReport {
  readonly family: string;
  readonly name: string;
  readonly unit: string | null;
  readonly curve: Case["curve"] | null;
  readonly rows: readonly Row[];
  /** Contenders that took part and failed, with the reason. */
  readonly failures: readonly { readonly contender: string; readonly reason: string }[];
}

/** A contender that started, or the reason why not. */
export type Started = { readonly name: string } & (
  | { readonly peer: Peer }
  | { readonly reason: string }
);

/** Starts the contenders of a name chosen. */
export async function start(chosen: (name: string) => boolean): Promise<Started[]> {
  const started: Started[] = [];
  for (const { name, load } of CONTENDERS.filter(({ name }) => chosen(name))) {
    try {
      started.push({ name, peer: await load() });
    } catch (error) {
      started.push({ name, reason: firstLine(error) });
    }
  }
  return started;
}

/** Runs one case. */
export async function runCase(
  benchmark: Case,
  started: readonly Started[],
  effort: Effort,
): Promise<CaseReport> {
  const problem = benchmark.problem();
  const check = benchmark.checker(problem);
  const failures: { contender: string; reason: string }[] = [];
  const entrants: Entrant[] = [];
  for (const contender of started) {
    const { name } = contender;
    if (!("peer" in contender) || !(benchmark.contenders?.(name) ?? true)) continue;
    const { peer } = contender;
    const solve = peer.solve[benchmark.kind] as Solve | undefined;
    if (!solve) continue;
    try {
      await peer.enter?.();
      const task = await solve(problem);
      if (!task) continue;
      if (task.results) check(await task.results());
      entrants.push({ name, peer, task });
    } catch (error) {
      const what = error instanceof Mismatch ? "wrong numbers: " : "";
      failures.push({ contender: name, reason: what + firstLine(error) });
    }
  }
  const samples = await measure(entrants, effort);
  for (const { task } of entrants) await task.close?.();

  const baseline = samples[entrants.findIndex(({ name }) => name === BASELINE)];
  const rows = entrants.map(({ name }, i): Row => {
    const own = samples[i]!;
    const middle = median(own);
    return {
      contender: name,
      median: middle,
      min: Math.min(...own),
      max: Math.max(...own),
      ratio: baseline ? median(own.map((sample, round) => sample / baseline[round]!)) : null,
      rate: benchmark.work ? benchmark.work.amount / middle / 1e6 : null,
      samples: own,
    };
  });
  const { family, name, work, curve } = benchmark;
  return { family, name, unit: work?.unit ?? null, curve: curve ?? null, rows, failures };
}

type Solve = (problem: Problems[Kind]) => ReturnType<NonNullable<Peer["solve"]["matmul"]>>;

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}
