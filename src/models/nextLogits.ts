/**
 * The logits after growing texts, from a cache of keys and values where the model has one.
 * @module
 */

import type { TypedArray } from "../kernels/dtype.js";
import { softCap } from "../nn/softCap.js";
import { logSumExp } from "../ops/activations.js";
import { gather, writeSlice } from "../ops/indexing.js";
import { matmul } from "../ops/matmul.js";
import { reshape, swapAxes } from "../ops/movement.js";
import { tensor } from "../tensor/create.js";
import { realize, realizeInto } from "../tensor/evaluate.js";
import { replayed } from "../tensor/replay.js";
import type { Tensor } from "../tensor/tensor.js";
import { treeLeaves, treeMap } from "../tensor/tree.js";
import type { CachedDecoding, KeyValueCache, LanguageModel } from "./languageModel.js";

/** What follows a text. */
export interface Logits {
  readonly values: TypedArray;
  /** log Σ exp(values). */
  readonly logSumExp: number;
}

/** Texts of one batch, token after token. */
export interface NextLogits {
  /** The logits after every text that has tokens since the last call. Texts only grow. */
  after(texts: readonly (readonly number[])[]): Promise<Logits[]>;
  /** Gives memory back. */
  dispose(): void;
}

/** Positions are computed in one piece up to so many: longer prompts in several, which bounds the memory of their scores. */
const LONGEST_PIECE = 512;
/** The smallest size classes of pieces with more than one token, and of slots. */
const [LEAST_PIECE, LEAST_SLOTS] = [16, 64];

/** Texts of at most `length` tokens. */
export function nextLogits<P>(
  model: LanguageModel<P>,
  parameters: P,
  batch: number,
  length: number,
): NextLogits {
  return model.cached
    ? cachedLogits(model, model.cached, parameters, batch)
    : recomputedLogits(model, parameters, length);
}

/**
 * Every piece of text once. Pieces and slots come in size classes, powers of two: a plan is compiled for each class, not
 * for each token.
 */
function cachedLogits<P>(
  model: LanguageModel<P>,
  cached: CachedDecoding<P>,
  parameters: P,
  batch: number,
): NextLogits {
  let cache: KeyValueCache | null = null;
  let slots = 0;
  let used = 0;
  /** How many tokens of each text are in the cache. */
  const known = new Array<number>(batch).fill(0);

  const dispose = (): void => {
    for (const t of treeLeaves(cache)) t.dispose();
    cache = null;
  };

  /** The logits after the next tokens, and the cache with them in it, in the memory of the old one. */
  const advance = replayed(
    ({ cache: before, ids, positions, slot, ends }: StepInputs) => {
      const next = cached.step(parameters, before, ids, positions, slot);
      return { ...logitsAt(model, parameters, next.hidden, ends), cache: next.cache };
    },
    (inputs) => inputs.cache,
  );

  async function makeRoom(needed: number): Promise<KeyValueCache> {
    if (cache && needed <= slots) return cache;
    slots = classOf(needed, LEAST_SLOTS);
    const empty = cached.init(parameters, batch, slots);
    if (!cache) return empty;
    const larger = treeMap((into, from) => writeSlice(into, from, 0), empty, cache);
    return realizeInto(cache, larger);
  }

  /** Computes the texts' next tokens, as many as fit into a piece. Sets the logits of those texts that end in it. */
  async function step(texts: readonly (readonly number[])[], found: Logits[]): Promise<void> {
    const news = texts.map((text, row) => text.slice(known[row], known[row]! + LONGEST_PIECE));
    const longest = news.reduce((most, own) => Math.max(most, own.length), 0);
    const count = longest === 1 ? 1 : classOf(longest, LEAST_PIECE);
    cache = await makeRoom(used + count);
    const tokens = new Int32Array(batch * count);
    const tokenPositions = new Int32Array(batch * count).fill(-1);
    for (const [row, own] of news.entries()) {
      tokens.set(own, row * count);
      for (let i = 0; i < own.length; i++) tokenPositions[row * count + i] = known[row]! + i;
    }
    const grid = (data: Int32Array) => tensor(data, { shape: [batch, count], dtype: "int32" });
    const [ids, positions] = [grid(tokens), grid(tokenPositions)];
    const slot = tensor(used, { dtype: "int32" });
    const ends = placesOf(news.map((own, row) => row * count + Math.max(0, own.length - 1)));
    const next = await advance({ cache, ids, positions, slot, ends });
    cache = next.cache;
    const logits = await listed(next);
    for (const t of [ids, positions, slot, ends]) t.dispose();
    used += longest;
    for (const [row, own] of news.entries()) {
      known[row]! += own.length;
      if (own.length > 0 && known[row] === texts[row]!.length) found[row] = logits[row]!;
    }
  }

  return {
    async after(texts) {
      const found: Logits[] = [];
      while (texts.some((text, row) => text.length > known[row]!)) await step(texts, found);
      return found;
    },
    dispose,
  };
}

/** The smallest power of two that is enough, and at least the given one. */
function classOf(needed: number, least: number): number {
  return Math.max(least, 2 ** Math.ceil(Math.log2(needed)));
}

/** All of every text for each token, padded on the right, where a causal model does not look, to one length. */
function recomputedLogits<P>(model: LanguageModel<P>, parameters: P, length: number): NextLogits {
  return {
    async after(texts) {
      const ids = new Int32Array(texts.length * length);
      for (const [row, text] of texts.entries()) ids.set(text, row * length);
      const input = tensor(ids, { shape: [texts.length, length], dtype: "int32" });
      const ends = placesOf(texts.map((text, row) => row * length + text.length - 1));
      const hidden = model.hidden(parameters, input);
      const logits = await listed(await realize(logitsAt(model, parameters, hidden, ends)));
      for (const t of [input, ends]) t.dispose();
      return logits;
    },
    dispose() {},
  };
}

/** Next tokens and what is known before them. */
interface StepInputs {
  readonly cache: KeyValueCache;
  readonly ids: Tensor;
  readonly positions: Tensor;
  readonly slot: Tensor;
  readonly ends: Tensor;
}

/** Logits `[B, V]` and their log Σ exp `[B]`. */
interface LogitTensors {
  readonly logits: Tensor;
  readonly sums: Tensor;
}

const placesOf = (ends: readonly number[]): Tensor =>
  tensor(Int32Array.from(ends), { dtype: "int32" });

/** The logits after the given places of hidden states `[B, T, D]`, one for each row. */
function logitsAt<P>(
  model: LanguageModel<P>,
  parameters: P,
  hidden: Tensor,
  places: Tensor,
): LogitTensors {
  const [batch, count, width] = hidden.shape as [number, number, number];
  const last = gather(reshape(hidden, [batch * count, width]), places);
  const products = matmul(last, swapAxes(model.headWeight(parameters), 0, 1));
  const logits = softCap(products, model.config.logitSoftCap);
  return { logits, sums: logSumExp(logits, -1) };
}

/** The logits of each row. Their tensors' memory is given back. */
async function listed({ logits, sums }: LogitTensors): Promise<Logits[]> {
  const [values, logSums] = await Promise.all([logits.data(), sums.data()]);
  for (const t of [logits, sums]) t.dispose();
  const size = values.length / logSums.length;
  return Array.from(logSums, (sum, row) => ({
    values: values.subarray(row * size, (row + 1) * size),
    logSumExp: sum,
  }));
}
