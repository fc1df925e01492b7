/**
 * Groups of parameters against separate optimizers and numbers by hand, and as functions.
 */

import { describe, expect, expectTypeOf, it } from "vitest";
import { checkGradients } from "../../src/autograd/checkGradients.js";
import { valueAndGrad } from "../../src/autograd/transforms.js";
import { decodeTree, encodeTree } from "../../src/files/index.js";
import { gpt } from "../../src/models/index.js";
import {
  type AdamWState,
  adamw,
  chain,
  clipGradients,
  frozen,
  type NoState,
  parameterGroups,
  type SgdState,
  sgd,
} from "../../src/optim/index.js";
import { tensor } from "../../src/tensor/create.js";
import { deviceStatistics, realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { treeNamed } from "../../src/tensor/tree.js";

const float64 = (data: number[]): Tensor => tensor(data, { dtype: "float64" });
const isBias = (name: string): boolean => name.endsWith("bias");

/** A layer and a norm. */
const parameters = () => ({
  layers: [{ weight: float64([1, -2]), bias: float64([0.5]) }],
  norm: { bias: float64([3]) },
});
const gradients = {
  layers: [{ weight: float64([1, 1]), bias: float64([1]) }],
  norm: { bias: float64([-2]) },
};

describe("parameter groups", () => {
  it("leave norms and biases without decay", async () => {
    const p = parameters();
    const optimizer = parameterGroups(
      {
        decayed: adamw({ learningRate: 0.1, weightDecay: 0.5 }),
        others: adamw({ learningRate: 0.1, weightDecay: 0 }),
      },
      (name) => (isBias(name) ? "others" : "decayed"),
    );
    const [next] = optimizer.update(gradients, optimizer.init(p), p);
    // Adam's first step is α·sign(g), but for ε.
    const expected = { w: [0.95 - 0.1, -1.9 - 0.1], b: 0.5 - 0.1, norm: 3 + 0.1 };
    const weight = await next.layers[0]!.weight.data();
    for (const [i, value] of expected.w.entries()) expect(weight[i]).toBeCloseTo(value, 7);
    expect(await next.layers[0]!.bias.item()).toBeCloseTo(expected.b, 7);
    expect(await next.norm.bias.item()).toBeCloseTo(expected.norm, 7);
  });

  it("have learning rates of their own", async () => {
    const p = parameters();
    const optimizer = parameterGroups(
      { fast: sgd({ learningRate: 1 }), slow: sgd({ learningRate: 0.25 }) },
      (name) => (name.startsWith("norm") ? "slow" : "fast"),
    );
    const [next] = optimizer.update(gradients, optimizer.init(p), p);
    expect(await next.layers[0]!.weight.array()).toEqual([0, -3]);
    expect(await next.layers[0]!.bias.array()).toEqual([-0.5]);
    expect(await next.norm.bias.array()).toEqual([3.5]);
  });

  it("leave frozen parameters as they are, and compute no gradients for them", async () => {
    const p = parameters();
    const optimizer = parameterGroups({ trained: adamw({ learningRate: 0.1 }), frozen }, (name) =>
      isBias(name) ? "frozen" : "trained",
    );
    const gone = float64([1]);
    gone.dispose();
    const slopes = { layers: [{ weight: float64([1, 1]), bias: gone }], norm: { bias: gone } };
    const [next, state] = optimizer.update(slopes, optimizer.init(p), p);
    await realize(next, state);
    expect(next.layers[0]!.bias).toBe(p.layers[0]!.bias);
    expect(next.norm.bias).toBe(p.norm.bias);
    expect(await next.layers[0]!.weight.array()).not.toEqual(await p.layers[0]!.weight.array());
  });

  it("of one group are its optimizer", async () => {
    const whole = adamw({ learningRate: 0.1 });
    const grouped = parameterGroups({ all: whole }, () => "all");
    let [p, q] = [parameters(), parameters()];
    let [state, groupState] = [whole.init(p), grouped.init(q)];
    for (let step = 0; step < 3; step++) {
      [p, state] = whole.update(gradients, state, p);
      [q, groupState] = grouped.update(gradients, groupState, q);
    }
    for (const [name, t] of Object.entries(treeNamed(p))) {
      expect(await treeNamed(q)[name]!.array()).toEqual(await t.array());
    }
    expect(q.layers).toBeInstanceOf(Array);
  });

  it("are clipped together before them in a chain, and one by one within them", async () => {
    const p = { a: float64([0]), b: float64([0]) };
    const g = { a: float64([3]), b: float64([4]) };
    const clip = clipGradients(1);
    const groups = { a: sgd({ learningRate: 1 }), b: sgd({ learningRate: 10 }) };
    const together = chain(
      clip,
      parameterGroups(groups, (name) => name as "a" | "b"),
    );
    const [next] = together.update(g, together.init(p), p);
    expect(await next.a.item()).toBeCloseTo(-0.6, 15);
    expect(await next.b.item()).toBeCloseTo(-8, 14);
    const each = { a: chain(clip, groups.a), b: groups.b };
    const apart = parameterGroups(each, (name) => name as "a" | "b");
    const [other] = apart.update(g, apart.init(p), p);
    expect([await other.a.item(), await other.b.item()]).toEqual([-1, -40]);
  });

  it("are chosen by the parameter's name and shape", () => {
    const model = gpt({ vocabularySize: 5, contextLength: 4, width: 4, layers: 2, heads: 2 });
    const p = model.init(1);
    const optimizer = parameterGroups(
      { decayed: adamw({ learningRate: 1 }), others: adamw({ learningRate: 1 }) },
      (_, { rank }) => (rank > 1 ? "decayed" : "others"),
    );
    const { decayed, others } = optimizer.init(p);
    const names = (state: AdamWState) => Object.keys(state.firstMoment);
    for (const name of names(others)) expect(name).toMatch(/bias$|[nN]orm\d?\.weight$/);
    for (const name of names(decayed)) expect(name).not.toMatch(/bias$|[nN]orm/);
    expect([...names(decayed), ...names(others)].sort()).toEqual(Object.keys(treeNamed(p)).sort());
  });

  it("have a state by group, of their optimizers' types", () => {
    const optimizer = parameterGroups(
      { trained: adamw({ learningRate: 1 }), slow: sgd({ learningRate: 0.1 }), frozen },
      (name) => (name === "norm.bias" ? "frozen" : isBias(name) ? "slow" : "trained"),
    );
    const state = optimizer.init(parameters());
    expectTypeOf(state.trained).toEqualTypeOf<AdamWState>();
    expectTypeOf(state.slow).toEqualTypeOf<SgdState>();
    expectTypeOf(state.frozen).toEqualTypeOf<NoState>();
    expect(Object.keys(treeNamed(state))).toEqual([
      "trained.firstMoment.layers.0.weight",
      "trained.secondMoment.layers.0.weight",
    ]);
    expect([state.trained.step, state.slow, state.frozen]).toEqual([0, { step: 0 }, {}]);
  });

  it("continue from a state that was saved", async () => {
    const optimizer = parameterGroups({ trained: adamw({ learningRate: 0.1 }), frozen }, (name) =>
      isBias(name) ? "frozen" : "trained",
    );
    const p = parameters();
    const [q, state] = optimizer.update(gradients, optimizer.init(p), p);
    const saved = (await decodeTree(await encodeTree(state))) as unknown as typeof state;
    const [a] = optimizer.update(gradients, state, q);
    const [b] = optimizer.update(gradients, saved, q);
    expect(await b.layers[0]!.weight.array()).toEqual(await a.layers[0]!.weight.array());
  });

  it("have first and second derivatives with respect to where they start and what they fit", async () => {
    const optimizer = parameterGroups(
      { a: adamw({ learningRate: 0.1 }), b: sgd({ learningRate: 0.1, momentum: 0.9 }) },
      (name) => (name === "0" ? "a" : "b"),
    );
    const trained = (start: Tensor, target: Tensor): Tensor => {
      const loss = (p: Tensor[]): Tensor => p[0]!.mul(p[1]!).square().sub(target.mul(p[0]!)).sum();
      let p = [start, start.mul(0.5)];
      let state = optimizer.init(p);
      for (let step = 0; step < 2; step++) {
        [p, state] = optimizer.update(valueAndGrad(loss)(p)[1], state, p);
      }
      return p[0]!.add(p[1]!);
    };
    await checkGradients(trained, [float64([0.5, -1.2]), float64([0.3, 0.4])], {
      order: 2,
      step: 1e-4,
      tolerance: 1e-5,
    });
  });

  it("compile their step once", async () => {
    const optimizer = parameterGroups(
      {
        decayed: adamw({ learningRate: (step) => 0.1 / (step + 1) }),
        others: sgd({ learningRate: 1 }),
      },
      (name) => (isBias(name) ? "others" : "decayed"),
    );
    let p = parameters();
    let state = optimizer.init(p);
    const before = (await deviceStatistics()).plansCompiled;
    for (let step = 0; step < 8; step++) {
      [p, state] = optimizer.update(gradients, state, p);
      await realize(p, state);
    }
    expect((await deviceStatistics()).plansCompiled - before).toBe(1);
  });
});

describe("refused are", () => {
  const p = parameters();
  const optimizer = parameterGroups({ all: adamw({ learningRate: 0.1 }) }, () => "all");

  it("names of no group, and groups that nobody is in", () => {
    const wrong = parameterGroups({ all: frozen }, () => "every" as "all");
    expect(() => wrong.init(p)).toThrow(
      'parameterGroups: groupOf("layers.0.weight") must be one of "all", got "every"',
    );
    // @ts-expect-error: there is no such group
    parameterGroups({ all: frozen }, () => "every");
    const empty = parameterGroups({ all: frozen, biases: frozen }, (name) =>
      name.endsWith("biases") ? "biases" : "all",
    );
    expect(() => empty.init(p)).toThrow(
      "parameterGroups: the group biases has no parameters; leave it out, or compare groupOf with",
    );
  });

  it("groups that are no optimizers, and no groups", () => {
    expect(() => parameterGroups({ all: { learningRate: 1 } as never }, () => "all")).toThrow(
      "parameterGroups: the group all must be an optimizer such as adamw({ learningRate }), got an object",
    );
    expect(() => parameterGroups({ all: clipGradients(1) as never }, () => "all")).toThrow(
      "parameterGroups: the group all must be an optimizer",
    );
    expect(() => parameterGroups({}, () => "all" as never)).toThrow("there are no groups");
    expect(() => parameterGroups({ all: frozen }, { bias: "all" } as never)).toThrow(
      "parameterGroups: groupOf: expected a function",
    );
  });

  it("states and gradients that do not fit", () => {
    expect(() => optimizer.update(gradients, {} as never, p)).toThrow(
      "parameterGroups: takes (gradients, state, parameters), the state as parameterGroups(…).init made it: { all }",
    );
    expect(() => optimizer.update({ norm: gradients.norm } as never, optimizer.init(p), p)).toThrow(
      "adamw: trees differ at layers.0.weight",
    );
  });
});
