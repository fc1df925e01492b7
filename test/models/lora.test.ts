/**
 * Adapters on every family: what they compute, what is trained, and what is refused.
 */

import { beforeAll, describe, expect, it } from "vitest";
import {
  adamw,
  checkGradients,
  dpoLoss,
  generate,
  gradients,
  initLora,
  type LoadedModel,
  type LoraAdapter,
  loadModel,
  mergeLora,
  ones,
  packBatch,
  packedTokenLogProbs,
  randomNormal,
  realize,
  sequenceLogProbs,
  setDevice,
  type Tensor,
  tensor,
  treeLeaves,
  treeMap,
  valueAndGrad,
  withLora,
} from "../../src/index.js";
import { tinyFiles } from "./tinyCheckpoint.js";
import { FAMILIES } from "./tinyFamilies.js";

const names = Object.keys(FAMILIES);
const IDS = tensor(
  [
    [1, 5, 9, 2, 33, 7],
    [20, 3, 14, 11, 6, 8],
  ],
  { dtype: "int32" },
);
const MASK = tensor([
  [0, 0, 1, 1, 1, 1],
  [0, 1, 1, 1, 0, 0],
]);

const tiny = async (name: string, dtype: "float32" | "float64" = "float64") =>
  loadModel(await tinyFiles(FAMILIES[name]!), { dtype });

/** The adapter with B from N(0, 0.2²) as well, as after training. */
function trained(adapter: LoraAdapter, seed = "B"): LoraAdapter {
  let number = 0;
  const parameters = treeMap(
    (t) => randomNormal(t.shape, { seed: `${seed}${number++}`, std: 0.2, dtype: t.dtype }),
    adapter.parameters,
  );
  return { ...adapter, parameters };
}

async function furthest(a: Tensor, b: Tensor): Promise<number> {
  return a.sub(b).abs().max().item();
}

beforeAll(() => setDevice("wasm"));

describe.each(names)("an adapter of all linear layers of %s", (name) => {
  let lm: LoadedModel;
  let adapter: LoraAdapter;
  beforeAll(async () => {
    lm = await tiny(name);
    adapter = initLora(lm, { rank: 3, alpha: 6, targets: "all-linear", seed: 1 });
  });

  it("begins as the base, and has a correction at each matrix of the blocks", async () => {
    const [base, adapted] = [lm.parameters, withLora(lm, adapter)].map((own) =>
      lm.model.apply(own, IDS),
    ) as [Tensor, Tensor];
    expect(await furthest(base, adapted)).toBe(0);
    const fused = { gpt2: 4, phi3: 4 }[name] ?? 7;
    expect(Object.keys(adapter.parameters)).toHaveLength(2 * fused);
    expect(treeLeaves(withLora(lm, adapter))).toHaveLength(
      treeLeaves(lm.parameters).length + 4 * fused,
    );
  });

  it("computes what the merged parameters do: logits, packed log-probabilities, written tokens", async () => {
    const own = trained(adapter);
    const [merged, adapted] = [mergeLora(lm, own), withLora(lm, own)];
    const logits = lm.model.apply(merged, IDS);
    expect(await furthest(logits, lm.model.apply(adapted, IDS))).toBeLessThan(1e-12);
    expect(await furthest(logits, lm.model.apply(lm.parameters, IDS))).toBeGreaterThan(0.05);
    const batch = await packBatch(IDS, MASK);
    const [a, b] = [merged, adapted].map((p) =>
      packedTokenLogProbs(lm.model.packedHidden(p, batch), lm.model.headWeight(p), batch, {
        logitSoftCap: lm.model.config.logitSoftCap,
      }),
    ) as [Tensor, Tensor];
    expect(await furthest(a, b)).toBeLessThan(1e-12);
    const [written, wanted] = await Promise.all(
      [adapted, merged].map((p) => generate(lm.model, p, [[1, 5, 9]], { maxNewTokens: 4 })),
    );
    expect(written).toEqual(wanted);
  });

  it("has the merged weights' gradients: s·(∂W·Bᵀ) and s·(Aᵀ·∂W)", async () => {
    const own = trained(adapter);
    const loss = (parameters: LoadedModel["parameters"]) =>
      sequenceLogProbs(lm.model.apply(parameters, IDS), IDS, MASK).sum();
    const merged = mergeLora(lm, own);
    await realize(merged);
    const slopes = gradients(loss(withLora(lm, own)), treeLeaves(own.parameters));
    const leaves = treeLeaves(merged);
    const outer = gradients(loss(merged), leaves);
    const s = 2;
    const places = new Map(leaves.map((t, i) => [t, outer[i]!]));
    // The first layer's, found by the place its merged weight has in the tree.
    const { attention } = merged.blocks[0]!;
    const weight = (attention.qkv ?? attention.query!).weight;
    const first = Object.keys(own.parameters)[0]!;
    const { A, B } = own.parameters[first]!;
    const direction = places.get(weight)!;
    const [da, db] = slopes as [Tensor, Tensor];
    expect(await furthest(da, direction.matmul(B.transpose()).mul(s))).toBeLessThan(1e-10);
    expect(await furthest(db, A.transpose().matmul(direction).mul(s))).toBeLessThan(1e-10);
  });
});

describe("the gradient with respect to an adapter", () => {
  it.each(["gpt2", "phi3", "gemma3_text"])(
    "is that of finite differences, to second order (%s)",
    async (name) => {
      const lm = await tiny(name);
      const fused = { gpt2: "c_attn", phi3: "gate_up_proj" }[name] ?? "k_proj";
      const start = initLora(lm, {
        rank: 1,
        alpha: 3,
        rankStabilized: true,
        targets: [`0.self_attn.${fused}`, `0.attn.${fused}`, `0.mlp.${fused}`].filter((target) =>
          target.includes({ gpt2: ".attn", phi3: "mlp" }[name] ?? "self_attn"),
        ),
        seed: 4,
      });
      const adapter = trained(start);
      const keys = Object.keys(adapter.parameters);
      expect(keys).toHaveLength(1);
      const { A, B } = adapter.parameters[keys[0]!]!;
      const ids = tensor([[1, 5, 9]], { dtype: "int32" });
      const loss = (a: Tensor, b: Tensor) => {
        const own = withLora(lm, { ...adapter, parameters: { [keys[0]!]: { A: a, B: b } } });
        return sequenceLogProbs(lm.model.apply(own, ids), ids, tensor([[0, 1, 1]])).sum();
      };
      await checkGradients(loss, [A, B], { order: 1 });
      await checkGradients(loss, [A, B], { order: 2 });
    },
  );

  it("trains the adapter on pairs, with the base as reference, and leaves the base as it was", async () => {
    const lm = await tiny("llama", "float32");
    const before = await Promise.all(treeLeaves(lm.parameters).map((t) => t.data()));
    const adapter = initLora(lm, { rank: 4, alpha: 8, targets: ["q_proj", "v_proj"], seed: 0 });
    const sides = [IDS, IDS.add(1)] as const;
    const logProbs = (own: LoadedModel["parameters"], ids: Tensor) =>
      sequenceLogProbs(lm.model.apply(own, ids), ids, MASK);
    const [referenceChosen, referenceRejected] = sides.map((ids) =>
      logProbs(lm.parameters, ids),
    ) as [Tensor, Tensor];
    await realize(referenceChosen, referenceRejected);
    const step = valueAndGrad((own: LoraAdapter["parameters"]) => {
      const policy = withLora(lm, { ...adapter, parameters: own });
      const [chosen, rejected] = sides.map((ids) => logProbs(policy, ids)) as [Tensor, Tensor];
      return dpoLoss({ chosen, rejected, referenceChosen, referenceRejected }, { beta: 0.5 }).loss;
    });
    const optimizer = adamw({ learningRate: 0.02 });
    let { parameters } = adapter;
    let state = optimizer.init(parameters);
    expect(treeLeaves(state).length).toBeLessThan(2 * 8 + 2);
    const losses: number[] = [];
    for (let i = 0; i < 12; i++) {
      const [loss, slopes] = step(parameters);
      [parameters, state] = optimizer.update(slopes, state, parameters);
      await realize(loss, parameters, state);
      losses.push(await loss.item());
    }
    expect(losses[0]).toBeCloseTo(Math.LN2, 6);
    expect(losses.at(-1)).toBeLessThan(0.3);
    const after = await Promise.all(treeLeaves(lm.parameters).map((t) => t.data()));
    expect(after).toEqual(before);
  });
});

describe("dropout of an adapter", () => {
  const logits = (lm: LoadedModel, adapter: LoraAdapter, ids: Tensor, step?: number) =>
    lm.model.apply(
      withLora(lm, adapter, step === undefined ? {} : { dropout: { seed: 7, step } }),
      ids,
    );

  it("acts where it is asked for, with the numbers of seed, step and row", async () => {
    const lm = await tiny("llama");
    const options = { alpha: 8, targets: ["v_proj"], seed: 0 };
    const own = trained(initLora(lm, { ...options, dropout: 0.5 }));
    const plain = { ...own, config: { ...own.config, dropout: 0 } };
    const run = async (adapter: LoraAdapter, ids = IDS, step?: number) =>
      logits(lm, adapter, ids, step).array();
    expect(await run(own)).toEqual(await run(plain));
    expect(await run(plain, IDS, 1)).toEqual(await run(plain));
    const first = (await run(own, IDS, 1)) as number[][][];
    expect(first).not.toEqual(await run(own));
    expect(first).toEqual(await run(own, IDS, 1));
    expect(first).not.toEqual(await run(own, IDS, 2));
    // A row's numbers are its own, whatever other rows there are.
    expect(await run(own, IDS.slice([0, 1]), 1)).toEqual([first[0]]);
  });

  it("keeps the mean: x that A reads is divided by the share that stays", async () => {
    const lm = await tiny("llama");
    const module = "model.layers.0.self_attn.v_proj";
    const own = initLora(lm, { rank: 1, alpha: 1, targets: [module], dropout: 0.25, seed: 0 });
    const { lora } = withLora(lm, own, { dropout: { seed: 0, step: 0 } }).blocks[0]!.attention
      .value!;
    const { linear } = await import("../../src/nn/linear.js");
    const summed = linear(
      {
        weight: tensor(new Float64Array(16), { shape: [16, 1] }),
        lora: {
          ...lora!,
          A: ones([16, 1], { dtype: "float64" }),
          B: ones([1, 1], { dtype: "float64" }),
        },
      },
      ones([500, 16], { dtype: "float64" }),
    );
    const values = await summed.data();
    // Sums of 16 elements that are 4/3 or 0: standard deviation of the mean of all 8,000 is 0.0065·16.
    expect(Math.abs((await summed.mean().item()) / 16 - 1)).toBeLessThan(0.03);
    for (const value of values)
      expect(Math.abs(value * 0.75 - Math.round(value * 0.75))).toBeLessThan(1e-9);
  });
});

describe("initLora", () => {
  it("draws A from ±1/√inputs, the same for a seed, and B is 0", async () => {
    const lm = await tiny("llama", "float32");
    const options = { rank: 8, alpha: 16, targets: ["down_proj"] };
    const [a, b, c] = [0, 0, 1].map((seed) => initLora(lm, { ...options, seed })) as LoraAdapter[];
    const values = async (adapter: LoraAdapter, key: "A" | "B") =>
      Array.from(await adapter.parameters["model.layers.1.mlp.down_proj"]![key].data());
    const drawn = await values(a!, "A");
    expect(drawn).toHaveLength(24 * 8);
    const bound = 1 / Math.sqrt(24);
    expect(Math.max(...drawn.map(Math.abs))).toBeLessThanOrEqual(bound);
    // The variance of U(−b, b) is b²/3; of 192 squares it is known to 7 %.
    const variance = drawn.reduce((sum, x) => sum + x * x, 0) / drawn.length;
    expect(Math.abs(variance / (bound ** 2 / 3) - 1)).toBeLessThan(0.25);
    expect(await values(b!, "A")).toEqual(drawn);
    expect(await values(c!, "A")).not.toEqual(drawn);
    expect(new Set(await values(a!, "B"))).toEqual(new Set([0]));
    expect(a!.config).toEqual({ ...options, dropout: 0, rankStabilized: false });
  });

  it("means by a target what ends in it: c_proj is both of GPT-2's", async () => {
    const lm = await tiny("gpt2");
    const of = (...targets: string[]) =>
      Object.keys(initLora(lm, { alpha: 1, targets, seed: 0 }).parameters);
    expect(of("c_proj")).toEqual(
      [0, 1].flatMap((i) => ["attn", "mlp"].map((part) => `transformer.h.${i}.${part}.c_proj`)),
    );
    expect(of("1.mlp.c_proj", "transformer.h.0.attn.c_attn")).toEqual([
      "transformer.h.0.attn.c_attn",
      "transformer.h.1.mlp.c_proj",
    ]);
  });

  it.each<[object, RegExp]>([
    [
      { targets: ["q_prj"] },
      /no linear layer "q_prj"; did you mean "q_proj"\? It has q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or "all-linear"/,
    ],
    [{ targets: ["proj"] }, /no linear layer "proj"/],
    [{ targets: ["lm_head"] }, /no linear layer "lm_head"/],
    [{ targets: "q_proj" }, /targets must be a list of names or "all-linear", got "q_proj"/],
    [{ targets: [] }, /targets must be a list/],
    [{ rank: 0 }, /rank must be an integer ≥ 1/],
    [{ alpha: undefined }, /alpha must be a number > 0/],
    [{ dropout: 1 }, /dropout must be a number in \[0, 1\)/],
    [{ seed: undefined }, /needs a seed/],
    [{ drop_out: 0.1 }, /no option `drop_out`; did you mean `dropout`/],
  ])("refuses %j", async (change, why) => {
    const lm = await tiny("llama");
    const options = { alpha: 16, targets: ["q_proj"], seed: 0, ...change };
    expect(() => initLora(lm, options as never)).toThrow(why);
  });
});

describe("withLora and mergeLora", () => {
  it("refuse an adapter of another model, and one above another", async () => {
    const [llama, gpt2] = await Promise.all([tiny("llama"), tiny("gpt2")]);
    const adapter = initLora(llama, { alpha: 1, targets: ["q_proj"], seed: 0 });
    for (const f of [withLora, mergeLora]) {
      expect(() => f(gpt2, adapter)).toThrow(/no linear layer model\.layers\.0\.self_attn\.q_proj/);
      const wrong = { ...adapter, config: { ...adapter.config, rank: 4 } };
      expect(() => f(llama, wrong)).toThrow(
        /q_proj\.A has shape \[16,8\]; rank and layer ask for \[16,4\]/,
      );
      const twice = { ...llama, parameters: withLora(llama, adapter) };
      expect(() => f(twice, adapter)).toThrow(/q_proj has an adapter already/);
    }
    expect(() => withLora(llama, adapter, { dropout: { seed: 1, steps: 2 } as never })).toThrow(
      /no option `steps`/,
    );
    expect(() => withLora(llama, adapter, { dropout: { seed: 1 } as never })).toThrow(
      /^withLora: dropout\.step must be a number or a string, got undefined/,
    );
    expect(() => withLora(llama, adapter.parameters as never)).toThrow(
      /^withLora: an adapter is \{ config, parameters \}.*give \{ \.\.\.adapter, parameters \}/,
    );
  });

  it("scale by α/r, or α/√r where that is asked for", async () => {
    const lm = await tiny("llama");
    const module = "model.layers.0.self_attn.q_proj";
    const change = async (rankStabilized: boolean) => {
      const own = trained(
        initLora(lm, { rank: 4, alpha: 6, targets: [module], rankStabilized, seed: 0 }),
      );
      const { A, B } = own.parameters[module]!;
      const weight = (p: LoadedModel["parameters"]) => p.blocks[0]!.attention.query!.weight;
      const added = weight(mergeLora(lm, own)).sub(weight(lm.parameters));
      return added.div(A.matmul(B)).mean().item();
    };
    expect(await change(false)).toBeCloseTo(1.5, 9);
    expect(await change(true)).toBeCloseTo(3, 9);
  });
});
