/**
 * Writing text with a language model.
 * @module
 */

import { gather } from "../ops/indexing.js";
import { matmul } from "../ops/matmul.js";
import { reshape, swapAxes } from "../ops/movement.js";
import { tensor } from "../tensor/create.js";
import { type RandomGenerator, randomGenerator } from "../tensor/random.js";
import type { LanguageModel } from "./gpt.js";

/** Options of {@link generate}. */
export interface GenerateOptions {
  /** Tokens to write after each prompt, at most. */
  readonly maxNewTokens: number;
  /** 0 (default): always the likeliest token. Above: sample from `softmax(logits/temperature)`. */
  readonly temperature?: number;
  /** Sample among the k likeliest tokens only; default: all. */
  readonly topK?: number;
  /** Of the sampling, default 0. Each prompt has random numbers of its own, by its place. */
  readonly seed?: number | string;
  /** Ends a prompt's continuation, which includes it; default: none. */
  readonly stopToken?: number;
}

/**
 * Continues every prompt, all in one batch. Shorter prompts are padded on the right, where a causal
 * model does not look, to one length for all steps, so that a single plan serves them all. Ties go
 * to the lower token.
 *
 * @param prompts Lists of ids, at least one id each.
 * @returns the new tokens of each prompt, without the prompt.
 * @throws for an empty prompt, ids outside the vocabulary, prompts that with the new tokens exceed
 * the context, options out of range, or logits that are NaN.
 * @example await generate(model, parameters, [[1, 2, 3], [4]], { maxNewTokens: 8, stopToken: 0 });
 */
export async function generate<P>(
  model: LanguageModel<P>,
  parameters: P,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): Promise<number[][]> {
  const { maxNewTokens, temperature = 0, seed = 0, stopToken } = options;
  const { vocabularySize } = model.config;
  const length = checkPrompts(model.config, prompts, options);
  const topK = Math.min(options.topK ?? vocabularySize, vocabularySize);
  const texts = prompts.map((prompt) => [...prompt]);
  const generators = prompts.map((_, row) => randomGenerator(`${seed} ${row}`));
  const running = new Set(prompts.keys());
  const ids = new Int32Array(prompts.length * length);
  for (let made = 0; made < maxNewTokens && running.size > 0; made++) {
    for (const [row, text] of texts.entries()) ids.set(text, row * length);
    const ends = texts.map((text, row) => row * length + text.length - 1);
    const logits = await nextLogits(model, parameters, ids, ends);
    for (const row of running) {
      const own = logits.subarray(row * vocabularySize, (row + 1) * vocabularySize);
      const token = choose(own, temperature, topK, generators[row]!);
      texts[row]!.push(token);
      if (token === stopToken) running.delete(row);
    }
  }
  return texts.map((text, row) => text.slice(prompts[row]!.length));
}

/** Logits `[B, V]` after the given places of the flattened ids. */
async function nextLogits<P>(
  model: LanguageModel<P>,
  parameters: P,
  ids: Int32Array,
  ends: readonly number[],
) {
  const batch = ends.length;
  const input = tensor(ids, { shape: [batch, ids.length / batch], dtype: "int32" });
  const places = tensor(Int32Array.from(ends), { dtype: "int32" });
  const hidden = model.hidden(parameters, input);
  const last = gather(reshape(hidden, [ids.length, hidden.shape[2]!]), places);
  const logits = matmul(last, swapAxes(model.headWeight(parameters), 0, 1));
  const values = await logits.data();
  for (const t of [logits, input, places]) t.dispose();
  return values;
}

/** The token of a row of logits. */
function choose(
  logits: ArrayLike<number>,
  temperature: number,
  topK: number,
  next: RandomGenerator,
): number {
  const values = Array.from(logits);
  if (values.some(Number.isNaN)) {
    throw new Error("generate: the model's logits are NaN; look at its parameters");
  }
  if (temperature === 0) return values.indexOf(Math.max(...values));
  const order = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
  const candidates = order.slice(0, topK);
  const highest = values[candidates[0]!]!;
  const weights = candidates.map((token) => Math.exp((values[token]! - highest) / temperature));
  let point = next() * weights.reduce((total, weight) => total + weight, 0);
  for (const [i, weight] of weights.entries()) {
    point -= weight;
    if (point < 0) return candidates[i]!;
  }
  return candidates[0]!;
}

/** Rejects what cannot be continued. Returns the longest prompt's length with its continuation. */
function checkPrompts(
  config: LanguageModel<unknown>["config"],
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): number {
  const { vocabularySize, contextLength } = config;
  const { maxNewTokens, temperature = 0, topK = 1 } = options;
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 0)) {
    throw new RangeError(`generate: maxNewTokens must be an integer ≥ 0, got ${maxNewTokens}`);
  }
  if (!(Number.isFinite(temperature) && temperature >= 0)) {
    throw new RangeError(`generate: temperature must be a number ≥ 0, got ${temperature}`);
  }
  if (!(Number.isInteger(topK) && topK > 0)) {
    throw new RangeError(`generate: topK must be an integer > 0, got ${topK}`);
  }
  for (const [row, prompt] of prompts.entries()) {
    if (prompt.length === 0) {
      throw new RangeError(`generate: prompt ${row} is empty; it needs at least one token`);
    }
    const wrong = prompt.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
    if (wrong !== undefined) {
      throw new RangeError(
        `generate: id ${wrong} of prompt ${row} is outside the vocabulary 0 … ${vocabularySize - 1}`,
      );
    }
    if (prompt.length + maxNewTokens > contextLength) {
      throw new RangeError(
        `generate: prompt ${row} (${prompt.length} tokens) and ${maxNewTokens} new tokens exceed the ` +
          `context of ${contextLength}`,
      );
    }
  }
  return Math.max(0, ...prompts.map((prompt) => prompt.length)) + maxNewTokens;
}
