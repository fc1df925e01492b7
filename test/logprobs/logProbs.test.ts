/**
 * From logits to sequence log-probabilities, whole and in chunks.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autograd/gradients.js";
import type { DType } from "../../src/kernels/dtype.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import {
  chunkedSequenceLogProbs,
  chunkedTokenLogProbs,
  packedSequenceLogProbs,
  sequenceKl,
  sequenceLogProbs,
  tokenLogProbs,
} from "../../src/losses/index.js";
import { sftLoss } from "../../src/losses/sft.js";
import { packBatch } from "../../src/nn/packing.js";
import { concat, expandDims, matmul, slice, transpose, where } from "../../src/ops/index.js";
import { full, tensor } from "../../src/tensor/create.js";
import { explain, realize } from "../../src/tensor/evaluate.js";
import { randomNormal } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { B, completion, grid, ids, mask, pairsOf, policy, reference, T, V } from "./tokens.js";

async function expectValues(t: Tensor, expected: readonly number[], digits = 8): Promise<void> {
  const found = Array.from(await t.data());
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, digits);
  });
}

describe("the token-level oracle", () => {
  it("gives the policy's and the reference's sequence log-probabilities", async () => {
    await expectValues(
      sequenceLogProbs(policy, ids, mask),
      [-2.72361531, -4.03145015, -15.86494079, -7.42953001],
    );
    await expectValues(reference, [-2.03800529, -5.42606286, -14.53177702, -5.01739058]);
  });

  it("gives DPO's loss and its gradient with respect to the logits", async () => {
    const { loss } = dpoLoss(pairsOf(sequenceLogProbs(policy, ids, mask)), { beta: 0.1 });
    const [gradient] = gradients(loss, [policy]);
    expect(await loss.item()).toBeCloseTo(0.591054503, 9);
    expect(await gradient!.square().sum().sqrt().item()).toBeCloseTo(0.081887242, 9);
    await expectValues(
      slice(gradient!, 0, 1),
      [-0.01291241, 0.00040643, 0.00091977, 0.0111895, 0.00039671],
    );
  });

  it("gives the supervised loss per token of the batch", async () => {
    const { loss, perPair } = sftLoss(pairsOf(sequenceLogProbs(policy, ids, mask)));
    expect(await loss.item()).toBeCloseTo(1.351013092, 9);
    expect(await perPair.mean().item()).toBeCloseTo(1.351013092, 9);
  });
});

describe("a reference computed along", () => {
  it("gives the loss and gradients a stored one gives", async () => {
    const live = pairsOf(sequenceLogProbs(policy, ids, mask));
    const stored = (t: Tensor) => t.data().then((values) => tensor(values));
    const cached = {
      ...live,
      referenceChosen: await stored(live.referenceChosen),
      referenceRejected: await stored(live.referenceRejected),
    };
    const [a, b] = [dpoLoss(live).loss, dpoLoss(cached).loss];
    expect(await a.item()).toBe(await b.item());
    const [ga, gb] = [gradients(a, [policy])[0]!, gradients(b, [policy])[0]!];
    await expectValues(ga, Array.from(await gb.data()), 16);
  });
});

describe("tokenLogProbs", () => {
  it("has one entry per predicted token, whose masked sum is the sequence's", async () => {
    const tokens = tokenLogProbs(policy, ids);
    expect(tokens.shape).toEqual([B, T - 1]);
    const summed = tokens.mul(slice(mask, null, [1]).cast("float64")).sum(-1);
    const sequences = await sequenceLogProbs(policy, ids, mask).data();
    await expectValues(summed, Array.from(sequences), 12);
  });

  it("gives probabilities that sum to one over the vocabulary", async () => {
    let total = full([1, 1], 0, { dtype: "float64" });
    for (let v = 0; v < V; v++) {
      const candidate = tensor([[0, v]], { dtype: "int32" });
      total = total.add(tokenLogProbs(slice(policy, [0, 1], [0, 2]), candidate).exp());
    }
    expect(await total.item()).toBeCloseTo(1, 14);
  });
});

describe("sequenceLogProbs", () => {
  it("gives 0, and gradient 0, for a row with an empty mask", async () => {
    const none = tensor(grid((b, t) => Number(b !== 1 && completion(b, t))));
    const logProbs = sequenceLogProbs(policy, ids, none);
    const [gradient] = gradients(logProbs.sum(), [policy]);
    expect((await logProbs.data())[1]).toBe(0);
    expect(Array.from(await slice(gradient!, 1).data()).every((g) => g === 0)).toBe(true);
  });

  it("takes boolean masks, integer masks and weights", async () => {
    const expected = Array.from(await sequenceLogProbs(policy, ids, mask).data());
    await expectValues(sequenceLogProbs(policy, ids, mask.cast("bool")), expected, 14);
    await expectValues(sequenceLogProbs(policy, ids, mask.cast("int32")), expected, 14);
    await expectValues(
      sequenceLogProbs(policy, ids, mask.mul(0.5)),
      expected.map((x) => x / 2),
      14,
    );
  });

  it("does not look at ids that are masked, padding marks included", async () => {
    const marked = tensor(
      grid((b, t) => (completion(b, t) ? (3 * b + 2 * t + 1) % V : -100)),
      { dtype: "int32" },
    );
    const logProbs = sequenceLogProbs(policy, marked, mask);
    const expected = sequenceLogProbs(policy, ids, mask);
    await expectValues(logProbs, Array.from(await expected.data()), 14);
    const [found] = gradients(logProbs.sum(), [policy]);
    const [wanted] = gradients(expected.sum(), [policy]);
    await expectValues(found!, Array.from(await wanted!.data()), 14);
  });

  it("is unchanged by padding on either side", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(3), fc.nat(3), fc.integer(), async (before, after, seed) => {
        const around = (t: Tensor, fill: (shape: number[]) => Tensor): Tensor =>
          concat(
            [fill([B, before, ...t.shape.slice(2)]), t, fill([B, after, ...t.shape.slice(2)])],
            1,
          );
        const noise = (shape: number[]): Tensor => randomNormal(shape, { seed, dtype: "float64" });
        const zeros = (dtype: DType) => (shape: number[]) => full(shape, 0, { dtype });
        const padded = sequenceLogProbs(
          around(policy, noise),
          around(ids, zeros("int32")),
          around(mask, zeros("float32")),
        );
        const expected = await sequenceLogProbs(policy, ids, mask).data();
        await expectValues(padded, Array.from(expected), 13);
      }),
      { numRuns: 20 },
    );
  });

  it("stays finite for logits of ±1e4", async () => {
    const logits = policy.mul(5e3).cast("float32");
    const logProbs = sequenceLogProbs(logits, ids, mask);
    const [gradient] = gradients(logProbs.sum(), [logits]);
    for (const t of [logProbs, gradient!]) {
      expect(Array.from(await t.data()).every(Number.isFinite)).toBe(true);
    }
  });

  it("computes integer logits in float32", async () => {
    const logits = tensor(
      [
        [
          [0, 0],
          [1, 1],
        ],
      ],
      { dtype: "int32" },
    );
    const two = tensor([[0, 1]], { dtype: "int32" });
    const logProbs = sequenceLogProbs(logits, two, two);
    expect(logProbs.dtype).toBe("float32");
    expect(await logProbs.item()).toBeCloseTo(-Math.LN2, 6);
  });

  it("names the argument that does not fit", () => {
    const floats = ids.cast("float32");
    expect(() => sequenceLogProbs(slice(policy, 0).reshape([T, V]), ids, mask)).toThrow(
      "sequenceLogProbs: `logits` must have shape [B,T,V], got [7,5]",
    );
    expect(() => sequenceLogProbs(policy, slice(ids, null, [1]), mask)).toThrow(
      "sequenceLogProbs: `ids` must have shape [4,7] for `logits` [4,7,5], got [4,6]",
    );
    expect(() => sequenceLogProbs(policy, floats, mask)).toThrow(
      "`ids` must be int32, got float32",
    );
    expect(() => sequenceLogProbs(policy, ids, slice(mask, [0, 2]))).toThrow(
      "sequenceLogProbs: `mask` must have shape [4,7] for `logits` [4,7,5], got [2,7]",
    );
  });
});

const D = 6;
const hidden = randomNormal([B, T, D], { seed: "hidden", dtype: "float64" });
const head = randomNormal([V, D], { seed: "head", dtype: "float64" });

describe("what is not finite at masked positions", async () => {
  // The second row has no completion.
  const some = tensor(grid((b, t) => Number(b !== 1 && completion(b, t))));
  /** The states with NaN and infinities wherever no masked-in token is predicted from them. */
  const spoil = (states: Tensor): Tensor => {
    const predicts = tensor(grid((b, t) => Number(t + 1 < T && b !== 1 && completion(b, t + 1))));
    const waste = where(predicts.cumsum(1).equal(0), Number.NaN, Number.NEGATIVE_INFINITY);
    return where(expandDims(predicts, -1), states, expandDims(waste, -1));
  };
  const logits = matmul(hidden, transpose(head));
  const batch = await packBatch(ids, some, { multipleOf: 8 });

  it.each<[string, Tensor[], (states: Tensor, head?: Tensor) => Tensor]>([
    ["sequenceLogProbs", [logits], (states) => sequenceLogProbs(states, ids, some)],
    ["sequenceKl, the policy's", [logits], (states) => sequenceKl(states, policy, some)],
    ["sequenceKl, the reference's", [logits], (states) => sequenceKl(policy, states, some)],
    ...[1, 5, 1024].map((size): [string, Tensor[], (states: Tensor, head?: Tensor) => Tensor] => [
      `chunkedSequenceLogProbs by ${size}`,
      [hidden, head],
      (states, weight) => chunkedSequenceLogProbs(states, weight!, ids, some, size),
    ]),
    [
      "packedSequenceLogProbs",
      [hidden, head],
      (states, weight) => packedSequenceLogProbs(states, weight!, batch),
    ],
  ])("leaves values and gradients of both orders alone: %s", async (_, [states, ...rest], f) => {
    await realize(states);
    const results = (first: Tensor): Tensor[] => {
      const inputs = [first, ...rest];
      const value = f(first, rest[0]);
      const slopes = gradients(value.square().sum(), inputs);
      const curvatures = gradients(slopes[0]!.square().sum(), inputs);
      return [value, ...slopes, ...curvatures];
    };
    const found = results(await realize(spoil(states!)));
    const expected = results(states!);
    await realize(found, expected);
    for (const [i, t] of found.entries()) {
      await expectValues(t, Array.from(await expected[i]!.data()), 10);
    }
  });

  it("reaches no mask that is differentiated, either", async () => {
    const weights = some.cast("float64");
    const [slope] = gradients(sequenceLogProbs(spoil(logits), ids, weights).sum(), [weights]);
    expect(Array.from(await slope!.data()).every(Number.isFinite)).toBe(true);
  });
});

describe("the chunked form", () => {
  const logits = matmul(hidden, transpose(head));

  it.each([1, 5, 7, 28, 1024])("gives the same numbers in chunks of %i positions", async (size) => {
    const whole = sequenceLogProbs(logits, ids, mask);
    const chunked = chunkedSequenceLogProbs(hidden, head, ids, mask, size);
    await expectValues(chunked, Array.from(await whole.data()), 12);
    const weights = tensor([1, -2, 3, 0.5], { dtype: "float64" });
    const expected = gradients(whole.mul(weights).sum(), [hidden, head]);
    const found = gradients(chunked.mul(weights).sum(), [hidden, head]);
    for (const [i, gradient] of found.entries()) {
      await expectValues(gradient, Array.from(await expected[i]!.data()), 12);
    }
    await expectValues(
      chunkedTokenLogProbs(hidden, head, ids, size),
      Array.from(await tokenLogProbs(logits, ids).data()),
      12,
    );
  });

  it("can be differentiated twice", async () => {
    const second = (logProbs: Tensor): Tensor => {
      const [first] = gradients(logProbs.square().sum(), [head]);
      return gradients(first!.square().sum(), [hidden])[0]!;
    };
    const expected = second(sequenceLogProbs(logits, ids, mask));
    const found = second(chunkedSequenceLogProbs(hidden, head, ids, mask, 6));
    const values = Array.from(await expected.data());
    const largest = Math.max(...values.map(Math.abs));
    await expectValues(
      found.div(largest),
      values.map((x) => x / largest),
      12,
    );
  });

  it("never holds more than a chunk of logits, forward or backward", async () => {
    const [batch, length, width, vocabulary, chunk] = [4, 64, 8, 1000, 32];
    const states = randomNormal([batch, length, width], { seed: 1 });
    const weight = randomNormal([vocabulary, width], { seed: 2 });
    const tokens = full([batch, length], 3, { dtype: "int32" });
    const everywhere = full([batch, length], 1);
    await realize(states, weight);
    const chunkBytes = chunk * vocabulary * 4;
    // Beside the chunk: hidden states, the weight, their gradients and per-position values.
    const otherBytes = 8 * 4 * (batch * length * width + vocabulary * width);
    const planOf = (logProbs: Tensor) =>
      explain(logProbs, ...gradients(logProbs.sum(), [states, weight]));
    const chunked = await planOf(
      chunkedSequenceLogProbs(states, weight, tokens, everywhere, chunk),
    );
    const whole = await planOf(
      sequenceLogProbs(matmul(states, transpose(weight)), tokens, everywhere),
    );
    const logitBytes = batch * length * vocabulary * 4;
    expect(whole.peakBytes).toBeGreaterThan(logitBytes);
    expect(chunked.peakBytes).toBeLessThan(2 * chunkBytes + otherBytes);
    expect(chunked.peakBytes).toBeLessThan(logitBytes / 2);
  });

  it("names the argument that does not fit", () => {
    expect(() => chunkedSequenceLogProbs(hidden, slice(head, null, [1]), ids, mask)).toThrow(
      "chunkedSequenceLogProbs: `head` must have shape [V,6] for hidden states [4,7,6], got [5,5]",
    );
    expect(() => chunkedTokenLogProbs(hidden, head, ids, 0)).toThrow(
      "chunkedTokenLogProbs: chunkSize must be an integer ≥ 1, got 0",
    );
  });
});
