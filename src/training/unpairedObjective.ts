/**
 * Preference optimization of completions that have no partner, only a judgement.
 * @module
 */

import { checkChoice, checkNumber, checkOptions } from "../checks.js";
import type { UnpairedRow } from "../data/rows.js";
import { ktoKl } from "../losses/kto.js";
import { unpairedKtoLoss } from "../losses/unpairedKto.js";
import { stopGradient } from "../ops/composite.js";
import { maximum, minimum, mul, stack, sub, where } from "../ops/index.js";
import { tensor } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import { treeLeaves } from "../tensor/tree.js";
import { checkRowKind } from "./givenRows.js";
import type { Objective, WeightedSum } from "./objective.js";
import type { Policy } from "./policy.js";
import { checkReading } from "./preferenceObjective.js";
import { type BatchSemantics, type Columns, type RowBatch, rowObjective } from "./rowObjective.js";
import {
  completion,
  type PackedSequences,
  packSequences,
  type ReadingOptions,
  scoreSequences,
} from "./sequences.js";
import { weightedSum } from "./weightedSum.js";

/** A judged completion with the reference model's log-probabilities, nats: see {@link withReferences}. */
export interface ReferencedCompletion extends UnpairedRow {
  readonly reference?: number;
  /** Of the mismatched completion. */
  readonly referenceMismatched?: number;
}

/** Options of {@link unpairedObjective}. */
export interface UnpairedObjectiveOptions<P> extends ReadingOptions {
  /** What is trained: {@link fullPolicy} or {@link loraPolicy} of a model. */
  readonly policy: Policy<P>;
  /** Default `"kto"`. */
  readonly loss?: "kto" | "apo_zero_unpaired";
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** λ_D ≥ 0, weight of desirable completions; default 1. */
  readonly desirableWeight?: number;
  /** λ_U ≥ 0, weight of undesirable completions; default 1. */
  readonly undesirableWeight?: number;
  /** Default `"whole"`. */
  readonly batchSemantics?: BatchSemantics;
}

interface CompletionBatch extends RowBatch {
  readonly sequences: PackedSequences;
  /** KTO's, which nobody differentiates. */
  readonly mismatched: PackedSequences | null;
  readonly facts: Columns;
}

/**
 * The objective of judged completions. With `r = log π_θ − log π_ref`, nats:
 *
 * `"kto"`: {@link unpairedKtoLoss}, with k from the mismatched completions of all rows of the step ({@link ktoKl});
 * `"apo_zero_unpaired"`: `λ_D(1 − σ(βr))` for desirable, `λ_U σ(βr)` for undesirable ones, which is
 * {@link apoZeroLoss} without partners.
 *
 * The gradient is that of all rows of a step, however it is cut. With `batchSemantics: "trl"` k and the means are
 * those of each micro-batch.
 *
 * @throws for options that are unknown or out of range; when rows come without references.
 */
export function unpairedObjective<P>(
  options: UnpairedObjectiveOptions<P>,
): Objective<P, ReferencedCompletion> {
  checkOptions("unpairedObjective", options, ...OPTIONS);
  const { policy, loss = "kto", beta = 0.1, batchSemantics = "whole" } = options;
  const { desirableWeight = 1, undesirableWeight = 1 } = options;
  checkReading("unpairedObjective", options, batchSemantics);
  checkChoice("unpairedObjective", "loss", loss, ["kto", "apo_zero_unpaired"]);
  checkNumber("unpairedObjective", "beta", beta, (b) => b > 0, "> 0");
  for (const [name, weight] of Object.entries({ desirableWeight, undesirableWeight })) {
    checkNumber("unpairedObjective", name, weight, (w) => w >= 0, "≥ 0");
  }
  const { dtype } = treeLeaves(policy.parameters)[0]!;
  const isKto = loss === "kto";

  return rowObjective<P, ReferencedCompletion, object, CompletionBatch>({
    semantics: batchSemantics,
    coupled: isKto,
    stateful: false,
    init: () => ({}),
    async collate(rows) {
      const fields = ["promptIds", "completionIds", "mismatchedIds"] as const;
      checkRowKind("unpairedObjective", rows, "readUnpaired", ...fields);
      const needed = isKto
        ? (["reference", "referenceMismatched"] as const)
        : (["reference"] as const);
      for (const name of needed) {
        const lacking = rows.find((row) => row[name] === undefined);
        if (!lacking) continue;
        throw new TypeError(
          `unpairedObjective: row ${lacking.row} has no ${name}; withReferences(rows, …) gives it one`,
        );
      }
      const own = rows.map((row) => completion(row.promptIds, row.completionIds, row.row));
      const others = rows.map((row) => completion(row.promptIds, row.mismatchedIds, row.row));
      const sequences = await packSequences(own, options);
      const numbers = (of: (row: ReferencedCompletion, i: number) => number): Tensor =>
        tensor(rows.map(of), { dtype });
      return {
        rows: rows.length,
        tokens: own.reduce((total, { ids }) => total + ids.length, 0),
        sequences,
        mismatched: isKto ? await packSequences(others, options) : null,
        facts: {
          reference: numbers((row) => row.reference!),
          desirable: numbers((row) => (row.desirable ? 1 : 0)),
          tokens: numbers((_, i) => sequences.predicted[i]!),
          ...(isKto && { referenceMismatched: numbers((row) => row.referenceMismatched!) }),
        },
      };
    },
    values(parameters, { sequences, mismatched, facts }, { draw }) {
      const reading = { ...options, draw };
      const {
        logProbs,
        tokens: _,
        ...sums
      } = scoreSequences(policy, parameters, sequences, reading);
      const other = mismatched && scoreSequences(policy, parameters, mismatched, reading).logProbs;
      return {
        scores: { logProbs },
        facts: { ...facts, ...(sums as Columns), ...(other && { mismatched: other }) },
      };
    },
    judge({ scores, facts }) {
      const logProbs = scores.logProbs!;
      const reference = facts.reference!;
      const desirable = facts.desirable!;
      const kl = isKto ? ktoKl(facts.mismatched!, facts.referenceMismatched!) : 0;
      const examples = { logProbs, reference, desirable };
      const own = { kl, beta, desirableWeight, undesirableWeight };
      const result = unpairedKtoLoss(examples, own);
      const metrics = {
        loss: weightedSum(result.loss, logProbs.size),
        ...judgedMetrics(result.rewards, logProbs, facts),
        ...(kl !== 0 && { kl: weightedSum(kl, logProbs.size) }),
      };
      return { losses: [result.loss], metrics, state: {} };
    },
  });
}

const OPTIONS = [
  "policy",
  "loss",
  "beta",
  "desirableWeight",
  "undesirableWeight",
  "batchSemantics",
  "chunkSize",
  "multipleOf",
] as const;

/** What is logged of judged completions, under TRL's names: a side's means are over its own completions. */
function judgedMetrics(
  rewards: Tensor,
  logProbs: Tensor,
  facts: Columns,
): Record<string, WeightedSum> {
  const desirable = facts.desirable!;
  const tokens = facts.tokens!;
  const sides = { chosen: desirable, rejected: sub(1, desirable) };
  const metrics: Record<string, WeightedSum> = {
    entropy: stack([facts.entropy!.sum(), tokens.sum()]),
  };
  for (const [side, members] of Object.entries(sides)) {
    const over = (values: Tensor, weights: Tensor) =>
      stack([mul(values, members).sum(), mul(weights, members).sum()]);
    metrics[`rewards/${side}`] = over(rewards, members);
    metrics[`logps/${side}`] = over(stopGradient(logProbs), members);
    metrics[`logits/${side}`] = over(facts.logits!, tokens);
  }
  const means = Object.values(sides).map((members) => {
    const count = members.sum();
    return { count, mean: mul(rewards, members).sum().div(maximum(count, 1)) };
  });
  const [chosen, rejected] = means as [(typeof means)[0], (typeof means)[0]];
  // A margin needs both sides.
  const weight = where(minimum(chosen.count, rejected.count).greater(0), rewards.size, 0);
  metrics["rewards/margins"] = weightedSum(chosen.mean.sub(rejected.mean), weight);
  return metrics;
}
