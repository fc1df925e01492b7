/**
 * Sequences of a micro-batch, packed, and what a model says of each: sums over the tokens that count.
 * @module
 */

import { checkpoint } from "../autograd/control.js";
import { describeValue } from "../checks.js";
import { logProbsOf } from "../logprobs/logProbs.js";
import { atTargets } from "../logprobs/packedLogProbs.js";
import { klOf } from "../logprobs/sequenceKl.js";
import { type PackedBatch, packBatch } from "../nn/packing.js";
import { softCap } from "../nn/softCap.js";
import { logSoftmax, logSumExp } from "../ops/activations.js";
import { stopGradient } from "../ops/composite.js";
import {
  argmax,
  cast,
  concat,
  equal,
  exp,
  matmul,
  mul,
  scatterAdd,
  slice,
  stack,
  sum,
  transpose,
} from "../ops/index.js";
import { tensor, zeros } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Policy } from "./policy.js";

/** A token sequence, and which of its tokens count: those where `mask` is not 0. */
export interface Sequence {
  readonly ids: ArrayLike<number>;
  /** Of the length of `ids`. */
  readonly mask: ArrayLike<number>;
  /** The number of the row it is of, for errors. */
  readonly row?: number | undefined;
}

/** Packed sequences. */
export interface PackedSequences {
  readonly packed: PackedBatch;
  /** `[M]`, int32: the sequence of each prediction; their number for what only fills up. */
  readonly sequenceOf: Tensor;
  /** Sequences. */
  readonly count: number;
  /** Tokens of each that count and are predicted: all that count but a sequence's first token. */
  readonly predicted: readonly number[];
  /** The highest token id, and the row it is in. */
  readonly highest: { readonly id: number; readonly row: number | undefined };
}

/** How a model reads sequences. */
export interface ReadingOptions {
  /** Predictions whose logits are held at a time; default 1024. */
  readonly chunkSize?: number | undefined;
  /** Sizes of packed batches are rounded up to multiples of this: see {@link packBatch}. Default 1. */
  readonly multipleOf?: number | undefined;
}

/** A prompt and its completion, whose tokens count. */
export function completion(
  prompt: ArrayLike<number>,
  ids: ArrayLike<number>,
  row?: number,
): Sequence {
  const all = [...Array.from(prompt), ...Array.from(ids)];
  return { ids: all, mask: all.map((_, t) => (t < prompt.length ? 0 : 1)), row };
}

/**
 * Packs sequences: no padding is computed, nor a beginning twice that several have.
 * @throws (the returned promise rejects) for what is no token id.
 */
export async function packSequences(
  sequences: readonly Sequence[],
  { multipleOf = 1 }: ReadingOptions = {},
): Promise<PackedSequences> {
  const length = sequences.reduce((most, { ids }) => Math.max(most, ids.length), 2);
  const shape = [sequences.length, length];
  const ids = new Int32Array(sequences.length * length);
  const mask = new Uint8Array(ids.length);
  let highest: PackedSequences["highest"] = { id: 0, row: undefined };
  for (const [row, own] of sequences.entries()) {
    for (let t = 0; t < own.ids.length; t++) {
      const id = own.ids[t]!;
      if (!(Number.isInteger(id) && id >= 0)) {
        throw new RangeError(`row ${own.row} has ${describeValue(id)} among its token ids`);
      }
      if (id > highest.id) highest = { id, row: own.row };
    }
    ids.set(Array.from(own.ids), row * length);
    mask.set(
      Array.from(own.mask, (counts) => (counts ? 1 : 0)),
      row * length,
    );
  }
  const packed = await packBatch(tensor(ids, { shape }), tensor(mask, { shape, dtype: "bool" }), {
    multipleOf,
  });
  const places = await packed.targetPlaces.data();
  const sequenceOf = Int32Array.from(places, (place) => Math.floor(place / (length - 1)));
  const predicted = sequences.map(({ mask: own }) =>
    Array.from(own).reduce((n, counts, t) => (counts && t > 0 ? n + 1 : n), 0),
  );
  return { packed, sequenceOf: tensor(sequenceOf), count: sequences.length, predicted, highest };
}

/** What a model says of sequences: sums over the tokens that count, `[sequences]` each. */
export interface SequenceScores {
  /** `Σ_t log p(y_t)`, nats. It and `kl` have gradients, the others none. */
  readonly logProbs: Tensor;
  /** `−Σ_t Σ_v p_v log p_v`, nats. */
  readonly entropy: Tensor;
  /** `Σ_t mean_v z_v` of the logits z. */
  readonly logits: Tensor;
  /** How many tokens are the likeliest at their place. */
  readonly correct: Tensor;
  /** `Σ_t (log p(y_t) − log Σ_v p_v²)`, nats: WPO's log W, before it is averaged. If it is asked for. */
  readonly logWeight?: Tensor;
  /** `Σ_t KL(π_ref ‖ π_θ)`, nats: TDPO's K. If it is asked for. */
  readonly kl?: Tensor;
  /** `Σ_t log π_ref(y_t)`, nats. If it is asked for. */
  readonly reference?: Tensor;
}

/** Log-probabilities of each token that counts, nats, `[sequences, T−1]`; 0 elsewhere. */
export interface TokenLogProbs {
  /** Under the policy, with a gradient. */
  readonly policy: Tensor;
  readonly reference: Tensor;
}

type ScoreName = keyof SequenceScores;
/** Scores that cost more, or compare with a reference. */
export type ExtraScore = "logWeight" | "kl" | "reference";

const SCORES: readonly ScoreName[] = ["logProbs", "entropy", "logits", "correct"];
const DIFFERENTIABLE: readonly ScoreName[] = ["logProbs", "kl"];

/** Options of {@link scoreSequences}. */
interface ScoreOptions extends ReadingOptions {
  /** See {@link Policy}. */
  readonly draw?: string | undefined;
  /** What to give besides. Default: nothing. */
  readonly also?: readonly ExtraScore[];
  /** The reference model, for `kl` and `reference`. */
  readonly reference?: Policy<unknown> | undefined;
}

/**
 * What the policy says of packed sequences. No more than a chunk of the logits is held; the backward pass computes
 * them again.
 *
 * @throws for a token id that is none of the model's, naming its row.
 */
export function scoreSequences<P>(
  policy: Policy<P>,
  parameters: P,
  sequences: PackedSequences,
  { chunkSize = 1024, draw, also = [], reference }: ScoreOptions = {},
): SequenceScores & { readonly tokens?: TokenLogProbs } {
  const names = [...SCORES, ...also];
  const { packed, sequenceOf, count } = sequences;
  const own = readWith(policy, parameters, sequences, draw);
  const other = reference && readWith(reference, reference.parameters, sequences);
  const chunk = checkpoint((targets: Tensor, states: Tensor, others?: Tensor): Tensor => {
    const logits = own.logitsOf(states);
    const referenceLogits = other && stopGradient(other.logitsOf(others!)).cast(logits.dtype);
    const scores = tokenScores(logits, targets, referenceLogits);
    return stack(
      names.map((name) => scores[name]!),
      -1,
    );
  });
  const chunks: Tensor[] = [];
  for (let start = 0; start < packed.targets.size; start += chunkSize) {
    const part = (all: Tensor): Tensor => slice(all, [start, start + chunkSize]);
    const others = other && stopGradient(part(other.hidden));
    chunks.push(chunk(part(packed.targets), part(own.hidden), others));
  }
  const all = chunks.length === 1 ? chunks[0]! : concat(chunks);
  // What fills sizes up is added to a sequence of its own.
  const nothing = zeros([count + 1, names.length], { dtype: all.dtype });
  const sums = scatterAdd(nothing, sequenceOf, all);
  const scores = names.map((name, i) => {
    const column = slice(sums, [0, count], [i, i + 1]).reshape([count]);
    return [name, DIFFERENTIABLE.includes(name) ? column : stopGradient(column)] as const;
  });
  const tokensOf = (name: ScoreName): Tensor => {
    const column = names.indexOf(name);
    return atTargets(packed, slice(all, null, [column, column + 1]).reshape([-1]));
  };
  const tokens = also.includes("reference") && {
    policy: tokensOf("logProbs"),
    reference: stopGradient(tokensOf("reference")),
  };
  const sumsByName = Object.fromEntries(scores) as unknown as SequenceScores;
  return { ...sumsByName, ...(tokens && { tokens }) };
}

/**
 * Hidden states of packed sequences' predictions, and their logits.
 * @throws for a token id that is none of the model's, naming its row.
 */
function readWith<P>(
  policy: Policy<P>,
  parameters: P,
  { packed, highest: { id, row } }: PackedSequences,
  draw?: string,
) {
  const { vocabularySize = Number.POSITIVE_INFINITY, logitSoftCap } = policy;
  if (id >= vocabularySize) {
    throw new RangeError(
      `row ${row} has the token id ${id}, but the model's are 0 … ${vocabularySize - 1}: was another model's tokenizer used?`,
    );
  }
  const { hidden, head } = policy.states(parameters, packed, draw);
  const weight = transpose(head);
  return { hidden, logitsOf: (states: Tensor) => softCap(matmul(states, weight), logitSoftCap) };
}

/** The scores of tokens under logits `[m, V]`, `[m]` each. */
function tokenScores(
  logits: Tensor,
  targets: Tensor,
  referenceLogits: Tensor | undefined,
): SequenceScores {
  const logProbs = logProbsOf(logits, targets);
  const constant = stopGradient(logits);
  const all = logSoftmax(constant);
  return {
    logProbs,
    entropy: sum(mul(exp(all), all), -1).neg(),
    logits: constant.mean(-1),
    correct: cast(equal(argmax(constant, -1), targets), logits.dtype),
    logWeight: stopGradient(logProbs).sub(logSumExp(mul(all, 2), -1)),
    ...(referenceLogits && {
      kl: klOf(logits, referenceLogits),
      reference: logProbsOf(referenceLogits, targets),
    }),
  };
}
