/**
 * Batches without what nobody reads: the tokens to compute, each once, as one list.
 * @module
 */

import { checkCount, checkOptions } from "../checks.js";
import type { TypedArray } from "../kernels/dtype.js";
import { tensor } from "../tensor/create.js";
import { formatShape } from "../tensor/shape.js";
import { checkTensor, type Tensor } from "../tensor/tensor.js";

/**
 * A batch as {@link packBatch} lays it out: N tokens to compute and M predictions of a token from the
 * one before it. B sequences, the longest first, of which L positions are computed at most.
 */
export interface PackedBatch {
  /** `[N]`: the tokens' ids. */
  readonly ids: Tensor;
  /** `[N]`: their positions in their sequences. */
  readonly positions: Tensor;
  /** `[N]`: where, counting through `[B, L]`, each token stands; the first place of one that is shared. */
  readonly places: Tensor;
  /** `[B, L]`: the token at every place; 0 beyond a sequence's end. */
  readonly tokens: Tensor;
  /** B numbers that fall: the length of each sequence, or more. */
  readonly lengths: readonly number[];
  /** `[M]`: the tokens that predict. */
  readonly predictors: Tensor;
  /** `[M]`: where they stand, counting through `[B, L]`. */
  readonly predictorPlaces: Tensor;
  /** `[M]`: where they stand in the batch as given, counting through `[B, T]`. */
  readonly givenPlaces: Tensor;
  /** `[M]`: the ids they predict. */
  readonly targets: Tensor;
  /** `[M]`: where those stand in the batch as given, counting through `[B, T−1]`; fillers after all of it. */
  readonly targetPlaces: Tensor;
  /** `[B, T]`, as given. */
  readonly mask: Tensor;
}

/** Options of {@link packBatch}. */
export interface PackOptions {
  /**
   * Rounds sizes (N, M, L and numbers of sequences that are longer than something) up to multiples of
   * this. Batches of other sizes have other plans, which are compiled when first met; rounded sizes
   * are met again. Default 1: least work.
   */
  readonly multipleOf?: number;
}

/**
 * Lays a batch out so that a causal model computes only what the masked-in tokens' log-probabilities
 * need: no padding, logits only where a masked-in token is predicted, and a beginning that sequences
 * share (the prompt of a pair) once. {@link Gpt.packedHidden} takes it, and
 * {@link packedSequenceLogProbs} gives the numbers {@link sequenceLogProbs} gives. Waits for the
 * values of ids and mask, and depends on nothing else: a batch that comes again is packed once.
 *
 * @param ids `[B, T]`, int32.
 * @param mask `[B, T]`: true or not 0 at the tokens whose log-probabilities are needed. The first
 * token of a sequence has none.
 * @throws if shapes or dtypes do not fit, or no token is masked in.
 * @example
 * const batch = await packBatch(ids, mask);
 * const hidden = model.packedHidden(parameters, batch);
 * const logProbs = packedSequenceLogProbs(hidden, model.headWeight(parameters), batch);
 */
export async function packBatch(
  ids: Tensor,
  mask: Tensor,
  options: PackOptions = {},
): Promise<PackedBatch> {
  checkOptions("packBatch", options, "multipleOf");
  const { multipleOf = 1 } = options;
  checkTensor("packBatch: ids", ids);
  checkTensor("packBatch: mask", mask);
  if (
    ids.rank !== 2 ||
    mask.rank !== 2 ||
    ids.shape.some((extent, d) => extent !== mask.shape[d])
  ) {
    throw new RangeError(
      `packBatch: ids ${formatShape(ids.shape)} and mask ${formatShape(mask.shape)} need one shape [B,T]`,
    );
  }
  if (ids.dtype !== "int32") {
    throw new TypeError(`packBatch: ids must be int32, not ${ids.dtype}; cast them`);
  }
  checkCount("packBatch", "multipleOf", multipleOf, 1);
  const [rows, length] = ids.shape as [number, number];
  const [id, needed] = await Promise.all([ids.data(), mask.data()]);

  const ends = endsOf(needed, rows, length);
  const order = [...ends.keys()].sort((a, b) => ends[b]! - ends[a]!);
  const longest = ends[order[0] ?? 0] ?? 0;
  if (longest === 0) throw new RangeError("packBatch: the mask leaves no token to predict");
  const rounded = (size: number): number => Math.ceil(size / multipleOf) * multipleOf;
  const width = Math.min(rounded(longest), length);
  const { tokens, computed, predicting, targets } = layOut(id, needed, length, ends, order, width);
  const list = (values: readonly number[], rest = 0): Tensor => {
    const filled = new Int32Array(rounded(values.length)).fill(rest);
    filled.set(values);
    return tensor(filled);
  };
  return {
    ids: list(computed.ids),
    positions: list(computed.positions),
    places: list(computed.places),
    tokens: tensor(tokens, { shape: [rows, width] }),
    lengths: order.map((_, i) => Math.min(rounded(ends[order[i - (i % multipleOf)]!]!), width)),
    // Fillers predict from the state that the first does, which is needed: one at place 0 may be masked.
    predictors: list(predicting.tokens, predicting.tokens[0]),
    predictorPlaces: list(predicting.places, predicting.places[0]),
    givenPlaces: list(predicting.given, predicting.given[0]),
    targets: list(targets.ids),
    targetPlaces: list(targets.places, rows * (length - 1)),
    mask,
  };
}

/**
 * How many tokens of each row are computed: what follows the last masked-in token predicts nothing, and
 * neither does that token.
 */
function endsOf(needed: TypedArray, rows: number, length: number): number[] {
  return Array.from({ length: rows }, (_, row) => {
    let end = Math.max(length - 1, 0);
    while (end > 0 && !needed[row * length + end]) end--;
    return end;
  });
}

/**
 * Numbers the tokens to compute, and finds those that predict. Equal beginnings are one path of a tree;
 * its tokens are numbered as they are met.
 */
function layOut(
  ids: TypedArray,
  needed: TypedArray,
  length: number,
  ends: readonly number[],
  order: readonly number[],
  width: number,
) {
  const tree = new Map<string, number>();
  const tokens = new Int32Array(order.length * width);
  const computed = { ids: [] as number[], positions: [] as number[], places: [] as number[] };
  const predicting = { tokens: [] as number[], places: [] as number[], given: [] as number[] };
  const targets = { ids: [] as number[], places: [] as number[] };
  for (const [i, row] of order.entries()) {
    let token = -1;
    for (let t = 0; t < ends[row]!; t++) {
      const given = row * length + t;
      const place = i * width + t;
      const beginning = `${token} ${ids[given]}`;
      token = tree.get(beginning) ?? tree.size;
      tokens[place] = token;
      if (token === tree.size) {
        tree.set(beginning, token);
        computed.ids.push(ids[given]!);
        computed.positions.push(t);
        computed.places.push(place);
      }
      if (needed[given + 1]) {
        predicting.tokens.push(token);
        predicting.places.push(place);
        predicting.given.push(given);
        targets.ids.push(ids[given + 1]!);
        targets.places.push(given - row);
      }
    }
  }
  return { tokens, computed, predicting, targets };
}
