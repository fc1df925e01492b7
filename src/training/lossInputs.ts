/**
 * What losses take of each pair beside the log-probabilities of its completions: made in every step, of what policy and
 * reference say of each token.
 * @module
 */

import { sentenceSums } from "../logprobs/sentences.js";
import { aspoWeights } from "../losses/aspoWeights.js";
import type { LossConfig } from "../losses/names/lossConfig.js";
import { type SgdpoPilotsOptions, sgdpoPilots } from "../losses/sgdpo.js";
import { slice } from "../ops/index.js";
import { tensor, zeros } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Columns, RowValues } from "./rowObjective.js";
import type { ExtraScore, TokenLogProbs } from "./sequences.js";

/** A pair as far as its inputs depend on it. */
export interface SentencedPair {
  readonly row: number;
  readonly promptIds: ArrayLike<number>;
  /** The sentence of each chosen token, from 0. */
  readonly chosenSentences?: ArrayLike<number>;
  /** Of each sentence and the row's image. */
  readonly similarities?: ArrayLike<number>;
}

/** What is read of pairs: the chosen completions come first, then the rejected ones. */
export interface PairReading {
  readonly kl?: Tensor;
  readonly tokens?: TokenLogProbs;
  /** `[sequences, T]`: the tokens that count. */
  readonly mask: Tensor;
  readonly pairs: readonly SentencedPair[];
  /** Of the seed and the step. */
  readonly seed: string;
}

/** What a loss takes besides. */
interface LossInputs {
  /** The score of sequences that it is made of. */
  readonly reads: ExtraScore;
  /** The loss's options that it is given as; values of rows have the same names. */
  readonly names: readonly string[];
  /** Options by which it is made, beside the loss's own. */
  readonly options: readonly string[];
  make(reading: PairReading, options: LossConfig): RowValues;
}

const chosenOf = (all: Tensor): Tensor => slice(all, [0, all.shape[0]! / 2]);
const rejectedOf = (all: Tensor): Tensor => slice(all, [all.shape[0]! / 2, all.shape[0]!]);

/** TDPO's K (arXiv 2404.11999). */
const DIVERGENCES: LossInputs = {
  reads: "kl",
  names: ["chosenKl", "rejectedKl"],
  options: [],
  make: ({ kl }) => ({
    scores: { chosenKl: chosenOf(kl!), rejectedKl: rejectedOf(kl!) },
    facts: {},
  }),
};

/** SGDPO's P (arXiv 2505.12435): drawn anew in every step, by row and step alone. */
const PILOTS: LossInputs = {
  reads: "reference",
  names: ["pilotChosen", "pilotRejected"],
  options: ["chosenRatio", "rejectedRatio"],
  make({ tokens, mask, pairs, seed }, options) {
    const ratios = tokens!.policy.sub(tokens!.reference);
    const own: SgdpoPilotsOptions = { ...options, seed, rows: pairs.map(({ row }) => row) };
    const side = (of: typeof chosenOf) => ({ ratios: of(ratios), mask: of(mask) });
    return { scores: {}, facts: { ...sgdpoPilots(side(chosenOf), side(rejectedOf), own) } };
  },
};

/** ASPO's sentences and their weights (arXiv 2505.19100). */
const SENTENCES: LossInputs = {
  reads: "reference",
  names: ["sentences", "referenceSentences", "weights", "mask"],
  options: ["alpha"],
  make({ tokens, mask, pairs }, options) {
    const [logProbs, reference] = [chosenOf(tokens!.policy), chosenOf(tokens!.reference)];
    const { places, count, present, similarity } = sentencesOf(pairs, mask.shape[1]!);
    return {
      scores: { sentences: sentenceSums(logProbs, places, count) },
      facts: {
        referenceSentences: sentenceSums(reference, places, count),
        weights: aspoWeights(logProbs, places, count, {
          ...options,
          ...(similarity && { similarity }),
        }),
        mask: present.cast(logProbs.dtype),
      },
    };
  },
};

/** The losses that take something besides. */
export const LOSS_INPUTS: Readonly<Record<string, LossInputs>> = {
  aspo: SENTENCES,
  sgdpo: PILOTS,
  tdpo1: DIVERGENCES,
  tdpo2: DIVERGENCES,
};

/** The options of a loss, and those by which its inputs are made. */
export function splitOptions(name: string, options: LossConfig): readonly [LossConfig, LossConfig] {
  const making = LOSS_INPUTS[name]?.options ?? [];
  const part = (isMaking: boolean): LossConfig =>
    Object.fromEntries(
      Object.entries(options).filter(([key]) => making.includes(key) === isMaking),
    );
  return [part(false), part(true)];
}

/** A reading of two pairs whose numbers are 0: what options are tried with. */
export function emptyReading(): PairReading {
  const none = zeros([4, 2]);
  const pair = { promptIds: [0], chosenSentences: [0, 0], similarities: [0] };
  return {
    kl: zeros([4]),
    tokens: { policy: none, reference: none },
    mask: tensor([0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1]).reshape([4, 3]),
    pairs: [
      { ...pair, row: 0 },
      { ...pair, row: 1 },
    ],
    seed: "",
  };
}

/** The sentences of chosen completions as tensors. @throws for a pair without them, naming its row. */
function sentencesOf(pairs: readonly SentencedPair[], length: number) {
  const all = pairs.map(({ row, promptIds, chosenSentences }) => {
    if (chosenSentences) return { before: promptIds.length, own: Array.from(chosenSentences) };
    throw new TypeError(
      `aspo: row ${row} has no chosenSentences; withSentences(rows, tokenizer) gives them to rows`,
    );
  });
  const count = all.flatMap(({ own }) => own).reduce((most, k) => Math.max(most, k + 1), 1);
  const table = (width: number, of: (pair: number, place: number) => number) =>
    pairs.flatMap((_, i) => Array.from({ length: width }, (__, k) => of(i, k)));
  const places = table(length, (i, t) => all[i]!.own[t - all[i]!.before] ?? -1);
  const present = table(count, (i, k) => Number(all[i]!.own.includes(k)));
  const hasSimilarity = pairs.every(({ similarities }) => similarities);
  const similarity = table(count, (i, k) => pairs[i]!.similarities?.[k] ?? 0);
  return {
    places: tensor(places, { dtype: "int32" }).reshape([pairs.length, length]),
    count,
    present: tensor(present).reshape([pairs.length, count]),
    similarity: hasSimilarity ? tensor(similarity).reshape([pairs.length, count]) : undefined,
  };
}

/** Values by their names, those with a gradient among them. */
export const allValues = ({ scores, facts }: RowValues): Columns => ({ ...facts, ...scores });
