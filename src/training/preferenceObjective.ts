/**
 * Preference optimization of a language model: any loss of pairs, alone or kept stable by SPO.
 * @module
 */

import { checkChoice, checkCount, checkFlag, checkNumber, checkOptions } from "../checks.js";
import type { PreferenceRow } from "../data/rows.js";
import type { LossConfig } from "../losses/names/lossConfig.js";
import { checkWeight, type PenaltyWeightOptions } from "../losses/penaltyWeight.js";
import { type SpoLossOptions, spoLoss } from "../losses/spo.js";
import { supervisedFloor, supervisedLoss } from "../losses/supervised.js";
import type { PairLogProbs, PreferenceLoss } from "../losses/types.js";
import { div, exp, greater, logSumExp, maximum, relu, slice, stack, sub } from "../ops/index.js";
import { tensor } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import { treeLeaves } from "../tensor/tree.js";
import { checkRowKind } from "./givenRows.js";
import { allValues, LOSS_INPUTS, type SentencedPair } from "./lossInputs.js";
import type { Objective, WeightedSum } from "./objective.js";
import { checkPolicy, type Policy } from "./policy.js";
import {
  checkLossChoice,
  type LossChoice,
  type LossStates,
  trainingLoss,
} from "./preferenceLosses.js";
import {
  type BatchSemantics,
  type Columns,
  type Levels,
  type RowBatch,
  type RowValues,
  rowObjective,
} from "./rowObjective.js";
import {
  completion,
  type PackedSequences,
  packSequences,
  type ReadingOptions,
  scoreSequences,
} from "./sequences.js";
import { weightedSum } from "./weightedSum.js";

/**
 * A pair with the reference model's log-probabilities, nats: see {@link withReferences}; for ASPO with sentences: see
 * {@link withSentences}.
 */
export interface ReferencedPair extends PreferenceRow, Omit<SentencedPair, "promptIds"> {
  readonly referenceChosen?: number;
  readonly referenceRejected?: number;
}

/** How SPO keeps a preference loss stable. */
export interface SpoOptions
  extends Omit<PenaltyWeightOptions, "state" | "step">,
    Pick<SpoLossOptions, "hinge" | "epsilon" | "per"> {
  /**
   * `"penalty"` (default): {@link spoLoss}, with γ fixed, scheduled or `"dual"`. `"barrier"` and `"lookahead"`: two levels, as
   * {@link bilevelStep} has them.
   */
  readonly method?: "penalty" | "barrier" | "lookahead";
  /** v*, nats per unit: a number, or `"reference"` (default), the reference's own loss on each pair. */
  readonly floor?: number | "reference";
  /** η > 0 of the barrier; default 0.1. */
  readonly eta?: number;
  /** What the barrier's progress is measured by: `"gradient"` η‖∇g‖² (default), `"value"` η·gap. */
  readonly control?: "gradient" | "value";
  /** α > 0 of the look-ahead. Needed by it. */
  readonly alpha?: number;
}

/** Options of {@link preferenceObjective}. */
export interface PreferenceObjectiveOptions<P> extends ReadingOptions {
  /** What is trained: {@link fullPolicy} or {@link loraPolicy} of a model. */
  readonly policy: Policy<P>;
  /** A name that {@link lossByName} knows, a list of names, or a loss function; default `"sigmoid"`, which is DPO. */
  readonly loss?: LossChoice;
  /** Options of the loss: `{ beta: 0.1 }`; of a name also TRL's. */
  readonly lossOptions?: LossConfig;
  /**
   * The reference model, at the parameters it starts from, for the losses that compare tokens with it in every step:
   * `"tdpo1"`, `"tdpo2"`, `"sgdpo"`, `"aspo"`. Others take what rows have from {@link withReferences}.
   */
  readonly reference?: Policy<unknown>;
  /** Of what losses draw, `"sgdpo"` alone, from row and step; default 0. */
  readonly seed?: number | string;
  /** SPO around the loss; default: the loss alone. */
  readonly spo?: SpoOptions;
  /** Default `"whole"`. */
  readonly batchSemantics?: BatchSemantics;
}

/** What a {@link preferenceObjective} carries from step to step. */
export interface PreferenceState {
  /** States of the losses that have one, by their names. */
  readonly losses: LossStates;
  /** γ of dual ascent. */
  readonly gamma: Tensor | number;
}

interface PairBatch extends RowBatch {
  readonly pairs: readonly ReferencedPair[];
  readonly sequences: PackedSequences;
  readonly facts: Columns;
}

/**
 * The objective of pairs. Its gradient is that of the loss of all pairs of a step, whatever the loss and however the
 * step is cut into micro-batches: AOT's ranks, running means and SPO's gap are those of the whole step, too. Losses in
 * which pairs meet cost a second forward pass where there is more than one micro-batch. With `batchSemantics: "trl"`
 * each micro-batch is judged alone, and all count alike, as TRL has it.
 *
 * With the barrier or the look-ahead of `spo`, the metric `loss` is the upper level's.
 *
 * @throws for options that are unknown, out of range or do not go together.
 * @example
 * const objective = preferenceObjective({ policy: fullPolicy(lm), loss: "sigmoid", spo: { gamma: "dual" } });
 */
export function preferenceObjective<P>(
  options: PreferenceObjectiveOptions<P>,
): Objective<P, ReferencedPair, PreferenceState> {
  checkOptions("preferenceObjective", options, ...OPTIONS);
  const { policy, loss = "sigmoid", lossOptions = {}, spo, batchSemantics = "whole" } = options;
  const { seed = 0 } = options;
  checkReading("preferenceObjective", options, batchSemantics);
  checkLossChoice("preferenceObjective", loss);
  const base = trainingLoss("preferenceObjective", loss, lossOptions);
  checkReference(options, base.comparing);
  if (spo) checkSpo(spo);
  const { dtype } = treeLeaves(policy.parameters)[0]!;
  const isPenalty = spo !== undefined && (spo.method ?? "penalty") === "penalty";
  const isDual = isPenalty && spo.gamma === "dual";

  return rowObjective<P, ReferencedPair, PreferenceState, PairBatch>({
    semantics: batchSemantics,
    coupled: base.coupled || isDual || (isPenalty && spo.hinge === true),
    stateful: base.stateful.length > 0 || isDual,
    levels: levelsOf(spo),
    lower: ({ scores, facts }) => gapOf(pairsOf(scores, facts), spo!),
    init: () => ({ losses: base.init(), gamma: 0 }),
    async collate(rows) {
      const fields = ["promptIds", "chosenIds", "rejectedIds"] as const;
      checkRowKind("preferenceObjective", rows, "readPreferences", ...fields);
      const pairs = [
        ...rows.map((own) => completion(own.promptIds, own.chosenIds, own.row)),
        ...rows.map((own) => completion(own.promptIds, own.rejectedIds, own.row)),
      ];
      const sequences = await packSequences(pairs, options);
      const numbers = (of: (row: ReferencedPair, i: number) => number): Tensor =>
        tensor(rows.map(of), { dtype });
      const isReferenced = areReferenced(rows);
      return {
        rows: rows.length,
        pairs: rows,
        tokens: pairs.reduce((total, { ids }) => total + ids.length, 0),
        sequences,
        facts: {
          chosenLength: numbers((row) => row.chosenIds.length),
          rejectedLength: numbers((row) => row.rejectedIds.length),
          chosenTokens: numbers((_, i) => sequences.predicted[i]!),
          rejectedTokens: numbers((_, i) => sequences.predicted[rows.length + i]!),
          ...(isReferenced && {
            referenceChosen: numbers((row) => row.referenceChosen!),
            referenceRejected: numbers((row) => row.referenceRejected!),
          }),
        },
      };
    },
    values(parameters, { sequences, facts, rows, pairs }, { draw, step }): RowValues {
      const found = scoreSequences(policy, parameters, sequences, {
        ...options,
        draw,
        also: base.reads,
      });
      const { logProbs, kl, tokens, ...sums } = found;
      const made = base.make({
        ...(kl && { kl }),
        ...(tokens && { tokens }),
        mask: sequences.packed.mask,
        pairs,
        seed: `${seed} ${step ?? "evaluation"}`,
      });
      const chosen = (all: Tensor): Tensor => slice(all, [0, rows]);
      const rejected = (all: Tensor): Tensor => slice(all, [rows, 2 * rows]);
      const constants: Record<string, Tensor> = { ...facts };
      for (const [name, all] of Object.entries(sums)) {
        constants[`${name}/chosen`] = chosen(all);
        constants[`${name}/rejected`] = rejected(all);
      }
      return {
        scores: { chosen: chosen(logProbs), rejected: rejected(logProbs), ...made.scores },
        facts: { ...constants, ...made.facts },
      };
    },
    judge({ scores, facts }, { state, step, training }) {
      const pairs = pairsOf(scores, facts);
      const besides = {
        weights: base.weighted ? wpoWeights(facts) : {},
        values: allValues({ scores, facts }),
      };
      let { losses } = state;
      const judgeBase = (own: PairLogProbs): PreferenceLoss => {
        const judged = base.judge(own, { states: losses, training }, besides);
        if (training) losses = judged.states;
        return judged.result;
      };
      const metricsOf = (result: PreferenceLoss) => pairMetrics(result, pairs, facts);
      if (!spo) {
        const result = judgeBase(pairs);
        return { losses: [result.loss], metrics: metricsOf(result), state: { ...state, losses } };
      }
      const rows = pairs.chosen.size;
      if (isPenalty) {
        const result = spoLoss(pairs, penaltyOptions(spo, judgeBase, state, step));
        const metrics = {
          ...metricsOf(result),
          "spo/gap": weightedSum(result.gap, rows),
          "spo/gamma": weightedSum(result.gamma, rows),
        };
        const { gamma } = isDual && training ? result.state : state;
        return { losses: [result.loss], metrics, state: { losses, gamma } };
      }
      const result = judgeBase(pairs);
      const gap = gapOf(pairs, spo);
      const metrics = { ...metricsOf(result), "spo/gap": weightedSum(gap, rows) };
      return { losses: [result.loss, gap], metrics, state: { ...state, losses } };
    },
  });
}

const OPTIONS = [
  "policy",
  "loss",
  "lossOptions",
  "reference",
  "seed",
  "spo",
  "batchSemantics",
  "chunkSize",
  "multipleOf",
] as const;

/** Whether pairs have references. @throws if some have, or one of the two. */
function areReferenced(rows: readonly ReferencedPair[]): boolean {
  const missing = rows.flatMap((row) =>
    (["referenceChosen", "referenceRejected"] as const)
      .filter((name) => row[name] === undefined)
      .map((name) => ({ row: row.row, name })),
  );
  if (missing.length === 0 || missing.length === 2 * rows.length) return missing.length === 0;
  const [{ row, name }] = missing as [(typeof missing)[0]];
  throw new TypeError(
    `preferenceObjective: row ${row} has no ${name}, others have; withReferences(rows, …) gives it to all`,
  );
}

/** Checks how rows are read and taken together. */
export function checkReading(
  caller: string,
  { policy, chunkSize = 1024, multipleOf = 1 }: ReadingOptions & { readonly policy: unknown },
  semantics: BatchSemantics,
): void {
  checkPolicy(caller, policy);
  checkCount(caller, "chunkSize", chunkSize, 1);
  checkCount(caller, "multipleOf", multipleOf, 1);
  checkChoice(caller, "batchSemantics", semantics, ["whole", "trl"]);
}

/** Rejects a missing reference model, one that nothing reads, and one of another vocabulary. */
function checkReference<P>(
  { policy, reference }: PreferenceObjectiveOptions<P>,
  comparing: readonly string[],
): void {
  const caller = "preferenceObjective";
  const [name] = comparing;
  if (reference === undefined && name !== undefined) {
    throw new TypeError(
      `${caller}: ${name} compares with the reference model in every step: give it as reference, fullPolicy(lm); the ` +
        "log-probabilities that rows have of it are not enough",
    );
  }
  if (reference === undefined) return;
  if (name === undefined) {
    throw new TypeError(
      `${caller}: reference is for the losses ${Object.keys(LOSS_INPUTS).join(", ")}; what others need of it rows have ` +
        "from withReferences",
    );
  }
  checkPolicy(caller, reference);
  const [own, other] = [policy.vocabularySize, reference.vocabularySize];
  if (own === other || own === undefined || other === undefined) return;
  throw new RangeError(
    `${caller}: ${name} compares distributions over one vocabulary, but the policy's has ${own} tokens and the reference's ${other}`,
  );
}

/** The options that belong to one method. */
const OF_METHOD = {
  penalty: ["gamma", "dualRate", "damping", "hinge"],
  barrier: ["eta", "control"],
  lookahead: ["alpha"],
} as const;

function checkSpo(spo: SpoOptions): void {
  const all = Object.values(OF_METHOD).flat();
  checkOptions("preferenceObjective: spo", spo, "method", "floor", "epsilon", "per", ...all);
  const { method = "penalty", floor = "reference", eta = 0.1, control = "gradient", alpha } = spo;
  const { per = "token", epsilon = 0, hinge = false } = spo;
  checkChoice("preferenceObjective: spo", "method", method, Object.keys(OF_METHOD));
  const other = all.find(
    (name) => spo[name] !== undefined && !(OF_METHOD[method] as readonly string[]).includes(name),
  );
  if (other !== undefined) {
    throw new TypeError(`preferenceObjective: spo: method "${method}" has no option \`${other}\``);
  }
  if (floor !== "reference") {
    checkNumber("preferenceObjective: spo", "floor", floor, () => true, 'or "reference"');
  }
  checkChoice("preferenceObjective: spo", "per", per, ["token", "sequence"]);
  checkNumber("preferenceObjective: spo", "epsilon", epsilon, (e) => e >= 0, "≥ 0");
  checkFlag("preferenceObjective: spo", "hinge", hinge);
  checkWeight(spo);
  checkNumber("preferenceObjective: spo", "eta", eta, (x) => x > 0, "> 0");
  checkChoice("preferenceObjective: spo", "control", control, ["gradient", "value"]);
  if (method === "lookahead") {
    checkNumber("preferenceObjective: spo", "alpha", alpha!, (x) => x > 0, "> 0");
  }
}

function levelsOf(spo: SpoOptions | undefined): Levels | undefined {
  const { method, eta = 0.1, control = "gradient", alpha } = spo ?? {};
  if (method === "barrier") return { method, eta, control };
  if (method === "lookahead") return { method, alpha: alpha! };
  return undefined;
}

function floorOf({ floor = "reference" }: SpoOptions): number | undefined {
  return floor === "reference" ? undefined : floor;
}

function penaltyOptions(
  { gamma, dualRate, damping, hinge, epsilon, per, ...rest }: SpoOptions,
  base: (pairs: PairLogProbs) => PreferenceLoss,
  state: PreferenceState,
  step: number,
): SpoLossOptions {
  const floor = floorOf(rest);
  const own = { gamma, dualRate, damping, hinge, epsilon, per, floor, base };
  const point = gamma === "dual" ? { state: { gamma: state.gamma } } : { step };
  return Object.fromEntries(
    Object.entries({ ...own, ...point }).filter(([, value]) => value !== undefined),
  );
}

function gapOf(pairs: PairLogProbs, spo: SpoOptions): Tensor {
  const { per = "token", epsilon = 0 } = spo;
  return supervisedLoss(pairs, per)
    .sub(supervisedFloor(floorOf(spo), pairs, per))
    .mean()
    .sub(epsilon);
}

/** The pairs that a loss takes. */
function pairsOf(scores: Columns, facts: Columns): PairLogProbs {
  const { chosenLength, rejectedLength, referenceChosen, referenceRejected } = facts;
  return {
    chosen: scores.chosen!,
    rejected: scores.rejected!,
    chosenLength: chosenLength!,
    rejectedLength: rejectedLength!,
    ...(referenceChosen && { referenceChosen }),
    ...(referenceRejected && { referenceRejected }),
  };
}

/** WPO's log W of each completion, nats per token. */
function wpoWeights(facts: Columns): LossConfig {
  const perToken = (side: string) =>
    div(facts[`logWeight/${side}`]!, maximum(facts[`${side}Tokens`]!, 1));
  return { chosenLogWeight: perToken("chosen"), rejectedLogWeight: perToken("rejected") };
}

/** What is logged of pairs, under TRL's names. */
function pairMetrics(
  { loss, rewards }: PreferenceLoss,
  pairs: PairLogProbs,
  facts: Columns,
): Record<string, WeightedSum> {
  const { chosen, rejected } = rewards;
  const rows = chosen.size;
  const overRows = (values: Tensor) => weightedSum(values.mean(), rows);
  const overTokens = (sums: Tensor, tokens: Tensor) => stack([sums.sum(), tokens.sum()]);
  const of = (name: string): Tensor => facts[name]!;
  const tokens = { chosen: of("chosenTokens"), rejected: of("rejectedTokens") };
  return {
    loss: weightedSum(loss, rows),
    "rewards/chosen": overRows(chosen),
    "rewards/rejected": overRows(rejected),
    "rewards/accuracies": overRows(greater(chosen, rejected).cast(chosen.dtype)),
    "rewards/margins": overRows(chosen.sub(rejected)),
    "logps/chosen": overRows(pairs.chosen),
    "logps/rejected": overRows(pairs.rejected),
    "logits/chosen": overTokens(of("logits/chosen"), tokens.chosen),
    "logits/rejected": overTokens(of("logits/rejected"), tokens.rejected),
    entropy: overTokens(
      of("entropy/chosen").add(of("entropy/rejected")),
      tokens.chosen.add(tokens.rejected),
    ),
    mean_token_accuracy: overTokens(of("correct/chosen"), tokens.chosen),
    ...(facts.referenceChosen && { left_both: overRows(leftBoth(pairs)) }),
  };
}

/** Of each pair's probability under the reference, `e^s_w + e^s_l`, the share that left both completions. */
function leftBoth({ chosen, rejected, referenceChosen, referenceRejected }: PairLogProbs): Tensor {
  const ofBoth = (w: Tensor, l: Tensor) => logSumExp(stack([w, l]), 0);
  const kept = exp(ofBoth(chosen, rejected).sub(ofBoth(referenceChosen!, referenceRejected!)));
  return relu(sub(1, kept));
}
