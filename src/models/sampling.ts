/**
 * Choosing a token from logits: the likeliest, or a drawn one.
 * @module
 */

import { checkCount, checkNumber } from "../checks.js";
import type { TypedArray } from "../kernels/dtype.js";
import type { RandomGenerator } from "../tensor/random.js";

/**
 * How a token is chosen. As in transformers, the repetition penalty comes first, then temperature, topK, topP and
 * minP, each among the tokens that the ones before it left.
 */
export interface SamplingOptions {
  /** 0 (default): always the likeliest token. Above: a draw from `softmax(logits/temperature)`. */
  readonly temperature?: number | undefined;
  /** Draws are among the k likeliest tokens only; default: all. */
  readonly topK?: number | undefined;
  /** Draws are among the fewest likeliest tokens whose probabilities add up to p, in (0, 1]; default 1: all. */
  readonly topP?: number | undefined;
  /** Draws are among tokens at least p times as probable as the likeliest one, p in [0, 1]; default 0: all. */
  readonly minP?: number | undefined;
  /**
   * r > 0: the logits z of tokens in the prompt or written before become `z/r` where z > 0, and `z·r` elsewhere
   * (Keskar et al. 2019, arXiv 1909.05858; the paper's text was not at hand). Default 1: they stay.
   */
  readonly repetitionPenalty?: number | undefined;
}

/** Rejects options out of range. */
export function checkSampling(caller: string, options: SamplingOptions): void {
  const { temperature = 0, topK = 1, topP = 1, minP = 0, repetitionPenalty = 1 } = options;
  checkNumber(caller, "temperature", temperature, (t) => t >= 0, "≥ 0");
  checkCount(caller, "topK", topK, 1);
  checkNumber(caller, "topP", topP, (p) => p > 0 && p <= 1, "in (0, 1]");
  checkNumber(caller, "minP", minP, (p) => p >= 0 && p <= 1, "in [0, 1]");
  checkNumber(caller, "repetitionPenalty", repetitionPenalty, (r) => r > 0, "> 0");
}

/** The token that follows a text, chosen from its logits. Ties go to the lower token. */
export function chooseToken(
  logits: TypedArray,
  text: readonly number[],
  options: SamplingOptions,
  next: RandomGenerator,
): number {
  const { temperature = 0, repetitionPenalty = 1 } = options;
  const scores = repetitionPenalty === 1 ? logits : penalized(logits, text, repetitionPenalty);
  const likeliest = argmaxOf(scores);
  return temperature === 0 ? likeliest : drawn(scores, likeliest, temperature, options, next);
}

function penalized(logits: TypedArray, text: readonly number[], penalty: number): TypedArray {
  const scores = logits.slice();
  for (const token of new Set(text)) {
    const score = scores[token]!;
    scores[token] = score < 0 ? score * penalty : score / penalty;
  }
  return scores;
}

function argmaxOf(logits: TypedArray): number {
  let best = 0;
  for (let token = 0; token < logits.length; token++) {
    const value = logits[token]!;
    if (Number.isNaN(value)) {
      throw new Error("generate: the model's logits are NaN; look at its parameters");
    }
    if (value > logits[best]!) best = token;
  }
  return best;
}

function drawn(
  scores: TypedArray,
  likeliest: number,
  temperature: number,
  { topK = scores.length, topP = 1, minP = 0 }: SamplingOptions,
  next: RandomGenerator,
): number {
  // Probabilities, but for a factor that makes the likeliest token's 1.
  const weights = new Float64Array(scores.length);
  for (let i = 0; i < weights.length; i++) {
    weights[i] = Math.exp((scores[i]! - scores[likeliest]!) / temperature);
  }
  let tokens: Int32Array = new Int32Array(scores.length);
  for (let i = 0; i < tokens.length; i++) tokens[i] = i;
  if (topK < tokens.length) tokens = heaviest(tokens, weights, topK, () => 1);
  if (topP < 1) {
    const mass = topP * sumOf(weights, tokens);
    tokens = heaviest(tokens, weights, mass, (token) => weights[token]!);
  }
  if (minP > 0) tokens = tokens.filter((token) => weights[token]! >= minP);
  // In the order of tokens, rounding that swaps two likely ones does not change a draw.
  tokens.sort();
  let point = next() * sumOf(weights, tokens);
  for (const token of tokens) {
    point -= weights[token]!;
    if (point < 0) return token;
  }
  return likeliest;
}

function sumOf(weights: Float64Array, tokens: Int32Array): number {
  let sum = 0;
  for (const token of tokens) sum += weights[token]!;
  return sum;
}

/**
 * The fewest tokens of largest weight whose sizes add up to a target; of equal weights the lower tokens. Quickselect:
 * time proportional to the tokens, which change places.
 */
function heaviest(
  tokens: Int32Array,
  weights: Float64Array,
  target: number,
  sizeOf: (token: number) => number,
): Int32Array {
  let [from, to] = [0, tokens.length];
  let missing = target;
  while (from < to) {
    const middle = (from + to) >> 1;
    const pivot = tokens[middle]!;
    const weight = weights[pivot]!;
    tokens[middle] = tokens[to - 1]!;
    tokens[to - 1] = pivot;
    let place = from;
    let size = 0;
    for (let i = from; i < to - 1; i++) {
      const token = tokens[i]!;
      const own = weights[token]!;
      if (own < weight || (own === weight && token > pivot)) continue;
      tokens[i] = tokens[place]!;
      tokens[place++] = token;
      size += sizeOf(token);
    }
    tokens[to - 1] = tokens[place]!;
    tokens[place] = pivot;
    if (size >= missing) to = place;
    else {
      missing -= size + sizeOf(pivot);
      from = place + 1;
      if (missing <= 0) break;
    }
  }
  return tokens.subarray(0, from);
}
