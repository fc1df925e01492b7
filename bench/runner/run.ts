/**
 * Runs cases: sets every contender its task, checks its numbers, and times those whose are right.
 */

import type { Kind, Peer, Problems } from "../problem.js";
import { type Case, type Contender, Mismatch } from "./case.js";
import {
  type Attempt,
  type Effort,
  type Entrant,
  measure,
  median,
  type Samples,
} from "./measure.js";

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
  /** The rate over that of the memory copy in the same rounds. */
  readonly ofCopy: number | null;
  readonly samples: Samples;
}

/** What a case gave. */
export interface CaseReport {
  readonly family: string;
  readonly name: string;
  readonly unit: string | null;
  readonly curve: string | null;
  readonly rows: readonly Row[];
  /** Contenders that took part and failed, with the first reason. */
  readonly failures: readonly { readonly contender: string; readonly reason: string }[];
}

/** A contender that started, or the reason why not. */
export type Started = Pick<Contender, "name" | "curve"> &
  ({ readonly peer: Peer } | { readonly reason: string });

/** Starts contenders. */
export async function start(contenders: readonly Contender[]): Promise<Started[]> {
  const started: Started[] = [];
  for (const { load, ...contender } of contenders) {
    try {
      started.push({ ...contender, peer: await load() });
    } catch (error) {
      started.push({ ...contender, reason: firstLine(error) });
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
  const attempt: Attempt = async (contender, work) => {
    try {
      return await work();
    } catch (error) {
      const what = error instanceof Mismatch ? "wrong numbers: " : "";
      if (!failures.some((one) => one.contender === contender)) {
        failures.push({ contender, reason: what + firstLine(error) });
      }
      return null;
    }
  };
  const takesPart = ({ name, curve }: Started): boolean => {
    if (curve !== undefined && curve !== benchmark.curve) return false;
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
    const task = await attempt(name, async () => {
      await peer.enter?.();
      return solve(problem);
    });
    if (!task) continue;
    const isRight = await attempt(name, async () => {
      if (task.results) check(await task.results());
      return true;
    });
    if (isRight) entrants.push({ name, peer, task });
    else await attempt(name, () => task.close?.());
  }
  const timed = [...(await measure(entrants, rules.effort, attempt))];
  for (const [entrant] of timed) {
    await attempt(entrant.name, async () => {
      await entrant.peer.enter?.();
      await rules.afterwards?.(entrant);
    });
  }
  for (const { name, task } of entrants) await attempt(name, () => task.close?.());

  const baseline = timed.find(([{ name }]) => name === rules.baseline)?.[1];
  const rateOf = ([{ task }, samples]: (typeof timed)[number]): number | null =>
    work ? (task.work ?? work.amount) / median(samples) / 1e6 : null;
  // What has no results to check is the copy.
  const copy = timed.find(([{ task }]) => !task.results);
  const copyRate = copy && rateOf(copy);
  const rows = timed.map((one): Row => {
    const [{ name }, own] = one;
    const rate = rateOf(one);
    return {
      contender: name,
      median: median(own),
      min: Math.min(...own),
      max: Math.max(...own),
      ratio: baseline ? median(own.map((sample, round) => sample / baseline[round]!)) : null,
      rate,
      ofCopy: rate !== null && copyRate && one !== copy ? rate / copyRate : null,
      samples: own,
    };
  });
  return { family, name, unit, curve: curve ?? null, rows, failures };
}

type Solve = (problem: Problems[Kind]) => ReturnType<NonNullable<Peer["solve"]["matmul"]>>;

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}
