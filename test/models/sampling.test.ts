/**
 * Choices from known logits: which tokens are left, and how often each is drawn.
 */

import { describe, expect, it } from "vitest";
import { chooseToken, type SamplingOptions } from "../../src/models/sampling.js";
import { randomGenerator } from "../../src/tensor/random.js";

/** How often each token is chosen, in shares. */
function shares(logits: number[], options: SamplingOptions, text: number[] = [], draws = 4000) {
  const next = randomGenerator("sampling");
  const counts = new Array<number>(logits.length).fill(0);
  const values = Float32Array.from(logits);
  for (let i = 0; i < draws; i++) counts[chooseToken(values, text, options, next)]! += 1 / draws;
  return counts;
}

/** Within five standard errors of 4000 draws. */
function expectShares(found: number[], weights: number[]): void {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (const [token, weight] of weights.entries()) {
    const p = weight / total;
    expect(Math.abs(found[token]! - p)).toBeLessThanOrEqual(
      5 * Math.sqrt((p * (1 - p)) / 4000) + 1e-9,
    );
  }
}

/** Logits of these probabilities, moved by a constant. */
const logitsOf = (...probabilities: number[]) => probabilities.map((p) => Math.log(p) + 3);

describe("a token is chosen", () => {
  it("as the likeliest without a temperature, the lower one of equals", () => {
    expect(shares([1, 4, 4, 2], { topP: 0.1 }, [], 1)).toEqual([0, 1, 0, 0]);
  });

  it("among the k likeliest, the lower ones of equals", () => {
    const logits = [0, 2, 1, 1, 1, -1].map((x) => x / 10);
    expectShares(shares(logits, { temperature: 0.1, topK: 3 }), [
      0,
      Math.exp(2),
      Math.exp(1),
      Math.exp(1),
      0,
      0,
    ]);
  });

  it.each([
    [0.4, [0, 0.5, 0, 0, 0]],
    [0.6, [0, 0.5, 0, 0.3, 0]],
    [0.85, [0.12, 0.5, 0, 0.3, 0]],
    [1e-9, [0, 0.5, 0, 0, 0]],
    [1, [0.12, 0.5, 0.05, 0.3, 0.03]],
  ])("among the fewest that have %d of the probability", (topP, weights) => {
    const logits = logitsOf(0.12, 0.5, 0.05, 0.3, 0.03);
    expectShares(shares(logits, { temperature: 1, topP }), weights);
  });

  it("with topP counted among what topK and the temperature left", () => {
    // The squares of the probabilities, of the three likeliest: 0.25, 0.09, 0.0144.
    const logits = logitsOf(0.12, 0.5, 0.05, 0.3, 0.03);
    const options = { temperature: 0.5, topK: 3, topP: 0.8 };
    expectShares(shares(logits, options), [0, 0.25, 0, 0.09, 0]);
  });

  it("among those that have a share of the likeliest's probability", () => {
    const logits = logitsOf(0.12, 0.5, 0.05, 0.3, 0.03);
    expectShares(shares(logits, { temperature: 1, minP: 0.2 }), [0.12, 0.5, 0, 0.3, 0]);
    // Squares: 0.0144/0.25 is below 0.2.
    expectShares(shares(logits, { temperature: 0.5, minP: 0.2 }), [0, 0.25, 0, 0.09, 0]);
  });

  it("with the logits of written tokens divided if above 0, multiplied if below", () => {
    expect(shares([2, 1.5, -1], { repetitionPenalty: 2 }, [0, 0], 1)).toEqual([0, 1, 0]);
    expect(shares([-2, -3, -2.5], { repetitionPenalty: 1.4 }, [0], 1)).toEqual([0, 0, 1]);
    const options = { temperature: 1, repetitionPenalty: 2 };
    expectShares(shares([2, 1, -1], options, [0, 2]), [Math.exp(1), Math.exp(1), Math.exp(-2)]);
  });

  it.each([
    [{ temperature: 50, topK: 700 }, 700],
    [{ temperature: 1, topP: 0.35 }, 0.35],
  ])("with %j among what the sorted list of many tokens begins with", (options, until) => {
    const next = randomGenerator("many");
    const logits = Float32Array.from({ length: 5000 }, () => Math.round(40 * next()) / 10);
    const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
    const total = logits.reduce((sum, x) => sum + Math.exp(x), 0);
    const allowed = new Set<number>();
    let reached = 0;
    for (const token of order) {
      if (reached >= until) break;
      allowed.add(token);
      reached += "topK" in options ? 1 : Math.exp(logits[token]!) / total;
    }
    const drawn = new Set<number>();
    for (let i = 0; i < 400; i++) drawn.add(chooseToken(logits, [], options, next));
    expect([...drawn].filter((token) => !allowed.has(token))).toEqual([]);
    // Draws with replacement from hundreds of nearly equal ones.
    expect(drawn.size).toBeGreaterThan(200);
  });
});
