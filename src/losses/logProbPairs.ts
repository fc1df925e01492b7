/**
 * Pairs that a loss around another one reads as log-probabilities, so that a loss of anything else can
 * refuse them.
 * @module
 */

import type { PairLogProbs } from "./types.js";

const logProbPairs = /* @__PURE__ */ new WeakSet<object>();

/** A copy of the pairs, known to hold log-probabilities. */
export function asLogProbs(pairs: PairLogProbs): PairLogProbs {
  const copy = { ...pairs };
  logProbPairs.add(copy);
  return copy;
}

/** Rejects pairs known to hold log-probabilities. */
export function checkErrors(loss: string, pairs: object): void {
  if (!logProbPairs.has(pairs)) return;
  throw new TypeError(
    `${loss}: spoLoss reads its pairs as log-probabilities, and these are denoising errors: give spoLoss ` +
      `the negated errors and a base that negates them back, (pairs) => ${loss}(negated(pairs))`,
  );
}
