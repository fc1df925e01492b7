/**
 * Runs cases: sets every contender its task, checks its numbers, and times those whose are right.
 */

import type { Kind, Peer, Problems } from "../problem.js";
import { type Case, Mismatch } from "./case.js";
import type { Contender } from "./contenders.js";
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

/** Starts contenders. */
export async function start(contenders: readonly Contender[]): Promise<Started[]> {
  const started: Started[] = [];
  for (const { name, load } of contenders) {
    try {
      started.push({ name, peer: await load() });
    } catch (error) {
      started.push({ name, reason: firstLine(error) });
    }
  }
  return started;
}

/** How to run cases. */
export interface Rules {
  readonly effort: Effort;
  /** The contender that ratios are relative to. */
  readonly baseline: string;
  /** Why a contender is left out of a case, or null. */
  skip?(benchmark: Case, contender: string): string | null;
  /** Called for every contender that was timed, while its task is still there. */
  afterwards?(entrant: Entrant): Promise<void>;
}

/** Runs one case. */
export async function runCase(
  benchmark: Case,
  started: readonly Started[],
  rules: Rules,
): Promise<CaseReport> {
  const failures: { contender: string; reason: string }[] = [];
  const takesPart = ({ name }: Started): boolean => {
    if (!(benchmark.contenders?.(name) ?? true)) return false;
    const reason = rules.skip?.(benchmark, name) ?? null;
    if (reason !== null) failures.push({ contender: name, reason });
    return reason === null;
  };
  const { family, name, work, curve } = benchmark;
  const unit = work?.unit ?? null;
  const contenders = started.filter(takesPart);
  if (contenders.length === 0) {
    return { family, name, unit, curve: curve ?? null, rows: [], failures };
  }
  const problem = benchmark.problem();
  const check = benchmark.checker(problem);
  const entrants: Entrant[] = [];
  for (const contender of contenders) {
    const { name } = contender;
    if (!("peer" in contender)) continue;
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
  const samples = await measure(entrants, rules.effort);
  for (const entrant of entrants) {
    await entrant.peer.enter?.();
    await rules.afterwards?.(entrant);
  }
  for (const { task } of entrants) await task.close?.();

  const baseline = samples[entrants.findIndex(({ name }) => name === rules.baseline)];
  const rows = entrants.map(({ name }, i): Row => {
    const own = samples[i]!;
    const middle = median(own);
    return {
      contender: name,
      median: middle,
      min: Math.min(...own),
      max: Math.max(...own),
      ratio: baseline ? median(own.map((sample, round) => sample / baseline[round]!)) : null,
      rate: work ? work.amount / middle / 1e6 : null,
      samples: own,
    };
  });
  return { family, name, unit, curve: curve ?? null, rows, failures };
}

type Solve = (problem: Problems[Kind]) => ReturnType<NonNullable<Peer["solve"]["matmul"]>>;

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}
