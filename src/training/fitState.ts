/**
 * Where a run of {@link fit} stands, and the rows of its log.
 * @module
 */

import type { Tensor } from "../tensor/tensor.js";
import type { WeightedSum } from "./objective.js";

/** Means by their names, each as `[Σ w·x, Σ w]`. */
export type Sums = Readonly<Record<string, readonly [sum: number, weight: number]>>;

/**
 * Where a run stands: all that determines what follows, as a tree that files can hold. Which rows come next follows
 * from the step and the seed.
 */
export interface FitState<P = unknown> {
  /** Steps made, bad ones among them. */
  readonly step: number;
  readonly parameters: P;
  /** The optimizer's state. */
  readonly optimizer: unknown;
  /** The objective's state. */
  readonly objective: unknown;
  /** Means since the last row of the log. */
  readonly sums: Sums;
  /** Sums since the run began. */
  readonly totals: Readonly<Record<string, number>>;
  /** Steps that were not applied. */
  readonly badSteps: number;
  /** The evaluation with the lowest loss, after the first step. */
  readonly best: { readonly step: number; readonly loss: number } | null;
}

/** A row of the log: numbers by TRL's names, `step` and `epoch` among them. */
export type LogRow = Readonly<Record<string, number>>;

/** The numbers of means that were evaluated. */
export async function sumsOf(metrics: Readonly<Record<string, WeightedSum>>): Promise<Sums> {
  const entries = Object.entries(metrics).map(async ([name, mean]) => {
    const [sum, weight] = await mean.data();
    return [name, [sum!, weight!]] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** The sums of two. */
export function added(a: Sums, b: Sums): Sums {
  const sums = { ...a };
  for (const [name, [sum, weight]] of Object.entries(b)) {
    const [before, weightBefore] = a[name] ?? [0, 0];
    sums[name] = [before + sum, weightBefore + weight];
  }
  return sums;
}

/** Totals with what a step adds to them. */
export async function totalled(
  totals: FitState["totals"],
  more: Readonly<Record<string, Tensor>> = {},
): Promise<FitState["totals"]> {
  const sums = { ...totals };
  for (const [name, t] of Object.entries(more)) sums[name] = (sums[name] ?? 0) + (await t.item());
  return sums;
}

/** The means themselves. Those of nothing are left out. */
export function meansOf(sums: Sums, prefix = ""): LogRow {
  const means = Object.entries(sums).filter(([, [, weight]]) => weight !== 0);
  return Object.fromEntries(
    means.map(([name, [sum, weight]]) => [prefix + name, sum / weight] as const),
  );
}
