/**
 * The decoder as a model to start from, of configurations that no family has.
 */

import { beforeAll, describe, expect, it } from "vitest";
import {
  type DecoderConfig,
  decoder,
  packBatch,
  packedSequenceLogProbs,
  sequenceLogProbs,
  setDevice,
  tensor,
  treeNamed,
} from "../../src/index.js";

const CONFIG: DecoderConfig = {
  vocabularySize: 11,
  contextLength: 16,
  width: 8,
  layers: [{ rotary: { theta: 100, width: 4 } }, { window: 3 }],
  heads: 4,
  keyValueHeads: 2,
  headWidth: 6,
  norm: "rmsPlusOne",
  normEpsilon: 1e-6,
  normPlacement: "sandwich",
  learntPositions: true,
  attention: { fused: true, inputBias: true, outputBias: false, queryKeyNorm: "head", softCap: 2 },
  feedForward: { width: 12, kind: "fusedGate", activation: "gelu", bias: true },
  embeddingScale: 2,
  residualScale: 0.5,
  logitDivisor: 3,
  logitSoftCap: 4,
  tiedHead: false,
};
const ids = tensor(
  [
    [1, 2, 3, 4, 5, 6],
    [1, 2, 7, 8, 0, 0],
  ],
  { dtype: "int32" },
);
const mask = tensor([
  [0, 0, 1, 1, 1, 1],
  [0, 0, 1, 1, 0, 0],
]);

describe("decoder", () => {
  beforeAll(() => setDevice("wasm"));

  it("starts from the same parameters for the same seed, norms neutral", async () => {
    const model = decoder(CONFIG);
    const [a, b] = [treeNamed(model.init(1)), treeNamed(model.init(1))];
    expect(Object.keys(a)).toEqual(Object.keys(b));
    for (const [name, t] of Object.entries(a)) {
      expect(await t.data()).toEqual(await b[name]!.data());
      if (/norm/i.test(name)) expect([...(await t.data())].every((w) => w === 0)).toBe(true);
    }
  });

  it("a position's logits depend on no later token, and on none before its layers' windows", async () => {
    const config = { ...CONFIG, layers: [{ window: 2 }, { window: 2 }] };
    const model = decoder(config);
    const parameters = model.init(2, { std: 0.5 });
    const rows = async (first: number[]) =>
      (await model.apply(parameters, tensor([first], { dtype: "int32" })).array()) as number[][][];
    const [base] = await rows([1, 2, 3, 4, 5]);
    const [later] = await rows([1, 2, 3, 4, 9]);
    expect(later!.slice(0, 4)).toEqual(base!.slice(0, 4));
    expect(later![4]).not.toEqual(base![4]);
    // Two layers of windows of two see three positions.
    const [earlier] = await rows([1, 9, 3, 4, 5]);
    expect(earlier![4]).toEqual(base![4]);
    expect(earlier![3]).not.toEqual(base![3]);
  });

  it("gives a packed batch the log-probabilities of the batch as given, blocks or none", async () => {
    const blocks = { ...CONFIG, attention: { ...CONFIG.attention, causalBlocks: 3 } };
    const parameters = decoder(CONFIG).init(3, { std: 0.5, dtype: "float64" });
    const expected = await sequenceLogProbs(
      decoder(CONFIG).apply(parameters, ids),
      ids,
      mask,
    ).data();
    const batch = await packBatch(ids, mask);
    for (const model of [decoder(CONFIG), decoder(blocks)]) {
      const hidden = model.packedHidden(parameters, batch);
      const head = model.headWeight(parameters);
      const own = await packedSequenceLogProbs(hidden, head, batch, { logitSoftCap: 4 }).data();
      for (const [i, value] of expected.entries()) expect(own[i]).toBeCloseTo(value, 10);
    }
  });

  it.each<[Partial<DecoderConfig>, RegExp]>([
    [{ heads: 3 }, /2 key-value heads do not divide 3/],
    [{ width: 0 }, /width must be/],
    [{ layers: [] }, /layers must be/],
    [{ layers: [{ window: 0 }] }, /layers\[0\]\.window must be/],
    [
      { layers: [{ rotary: { theta: 1e4, width: 5 } }] },
      /rotary\.width must be even and at most 6/,
    ],
    [{ kvHeads: 2 } as never, /has no option `kvHeads`/],
  ])("refuses %j", (change, why) => {
    expect(() => decoder({ ...CONFIG, ...change })).toThrow(why);
  });

  it("refuses ids beyond the context or the vocabulary, and a missing seed", () => {
    const model = decoder(CONFIG);
    const parameters = model.init(1);
    const of = (row: number[]) => () => model.apply(parameters, tensor([row], { dtype: "int32" }));
    expect(of(new Array(17).fill(0))).toThrow(/17 positions exceed the context of 16/);
    expect(of([11])).toThrow(/id 11 .* outside the vocabulary/);
    expect(() => model.init(undefined as never)).toThrow(/decoder\.init: needs a seed/);
  });
});
