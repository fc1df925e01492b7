/**
 * Chains against the optimizers they are, against numbers by hand, and as functions.
 */

import { describe, expect, expectTypeOf, it } from "vitest";
import { checkGradients } from "../../src/autograd/checkGradients.js";
import { valueAndGrad } from "../../src/autograd/transforms.js";
import { decodeTree, encodeTree } from "../../src/files/index.js";
import {
  type AdamWState,
  adamw,
  addDecayedWeights,
  addMomentum,
  chain,
  clipGradients,
  type GradientTransform,
  type NoState,
  type Optimizer,
  rmsprop,
  type SgdState,
  scaleBy,
  scaleByAdam,
  scaleByRms,
  sgd,
} from "../../src/optim/index.js";
import { tensor } from "../../src/tensor/create.js";
import { deviceStatistics, realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { treeMap, treeNamed } from "../../src/tensor/tree.js";

const float64 = (data: number[]): Tensor => tensor(data, { dtype: "float64" });

const GRADIENTS = [
  [0.3, -0.2, 1e-3],
  [-0.1, -0.4, 2e-3],
  [0.2, 0.9, -5e-3],
  [0.7, 0, 4e-3],
];
const RATES = [0.1, 0.07, 0.05, 0.02];
const learningRate = (step: number): number => RATES[step]!;

/** Parameters after four steps. */
async function run<State>(optimizer: Optimizer<State>): Promise<number[]> {
  let parameters = { layer: [float64([0.5, -1.25, 2])] };
  let state = optimizer.init(parameters);
  for (const gradient of GRADIENTS) {
    [parameters, state] = optimizer.update({ layer: [float64(gradient)] }, state, parameters);
    await realize(parameters, state);
  }
  return [...(await parameters.layer[0]!.data())];
}

/** One step of rate 1 from parameters 1, 1. */
async function stepFrom11(gradient: number[], ...links: GradientTransform[]): Promise<number[]> {
  const p = float64([1, 1]);
  const optimizer = chain(...links, sgd({ learningRate: 1 }));
  const [next] = optimizer.update(float64(gradient), optimizer.init(p), p);
  return [...(await next.data())];
}

describe("a chain", () => {
  it("of Adam's direction, decay and descent is adamw", async () => {
    const constants = { beta1: 0.8, beta2: 0.95, epsilon: 1e-3 };
    const chained = await run(
      chain(scaleByAdam(constants), addDecayedWeights(0.2), sgd({ learningRate })),
    );
    const whole = await run(adamw({ learningRate, weightDecay: 0.2, ...constants }));
    for (const [i, value] of whole.entries()) expect(chained[i]).toBeCloseTo(value, 14);
    const plain = await run(adamw({ learningRate, weightDecay: 0 }));
    const alone = await run(chain(scaleByAdam(), sgd({ learningRate })));
    for (const [i, value] of plain.entries()) expect(alone[i]).toBeCloseTo(value, 14);
  });

  it.each([false, true])(
    "of decay, momentum and descent is sgd; nesterov: %s",
    async (nesterov) => {
      const links = [addDecayedWeights(0.03), addMomentum({ momentum: 0.9, nesterov })] as const;
      expect(await run(chain(...links, sgd({ learningRate })))).toEqual(
        await run(sgd({ learningRate, momentum: 0.9, nesterov, weightDecay: 0.03 })),
      );
    },
  );

  it("of decay, scaling by the root mean square, momentum and descent is rmsprop", async () => {
    const constants = { decay: 0.9, epsilon: 1e-3 };
    const chained = chain(
      addDecayedWeights(0.03),
      scaleByRms(constants),
      addMomentum({ momentum: 0.8 }),
      sgd({ learningRate }),
    );
    expect(await run(chained)).toEqual(
      await run(rmsprop({ learningRate, ...constants, momentum: 0.8, weightDecay: 0.03 })),
    );
    expect(await run(chain(scaleByRms(), sgd({ learningRate })))).toEqual(
      await run(rmsprop({ learningRate })),
    );
  });

  it("scales by a schedule as sgd steps by one", async () => {
    expect(await run(chain(scaleBy(learningRate), sgd({ learningRate: 1 })))).toEqual(
      await run(sgd({ learningRate })),
    );
    expect(await stepFrom11([1, 2], scaleBy(0.25))).toEqual([0.75, 0.5]);
  });

  it("passes gradients through its links in order", async () => {
    // ‖(3, 4)‖ = 5; with the decay 1·p they are (4, 5).
    const [clip, decay] = [clipGradients(2.5), addDecayedWeights(1)];
    expect(await stepFrom11([3, 4], clip)).toEqual([1 - 1.5, 1 - 2]);
    expect(await stepFrom11([3, 4], clip, decay)).toEqual([1 - 2.5, 1 - 3]);
    const scale = 2.5 / Math.sqrt(41);
    const [x, y] = await stepFrom11([3, 4], decay, clip);
    expect(x).toBeCloseTo(1 - 4 * scale, 14);
    expect(y).toBeCloseTo(1 - 5 * scale, 14);
  });

  it("clips by the norm of all parameters together", async () => {
    const p = { a: float64([1]), b: [float64([1])] };
    const optimizer = chain(clipGradients(1), sgd({ learningRate: 1 }));
    const g = { a: float64([3]), b: [float64([4])] };
    const [next] = optimizer.update(g, optimizer.init(p), p);
    expect(await next.a.item()).toBeCloseTo(0.4, 15);
    expect(await next.b[0]!.item()).toBeCloseTo(0.2, 15);
  });

  it("of no links is its optimizer, and a chain ends another", async () => {
    const whole = adamw({ learningRate });
    expect(await run(chain(whole))).toEqual(await run(whole));
    const [clip, momentum] = [clipGradients(0.3), addMomentum({ momentum: 0.5 })];
    const descent = sgd({ learningRate });
    expect(await run(chain(clip, chain(momentum, descent)))).toEqual(
      await run(chain(clip, momentum, descent)),
    );
  });

  it("takes links that a user writes", async () => {
    const signs: GradientTransform<object> = {
      init: () => ({}),
      transform: (gradients, state) => [treeMap((g) => g.sign(), gradients), state],
    };
    expect(await stepFrom11([-0.1, 7], signs)).toEqual([2, 0]);
  });

  it("has a state of its parts' states, of their types", async () => {
    const optimizer = chain(clipGradients(1), scaleByAdam(), sgd({ learningRate: 0.1 }));
    const p = { w: tensor([1, 2]) };
    const state = optimizer.init(p);
    expectTypeOf(state).toEqualTypeOf<[NoState, AdamWState, SgdState]>();
    expect(Object.keys(treeNamed(state))).toEqual(["1.firstMoment.w", "1.secondMoment.w"]);
    const [, next] = optimizer.update(p, state, p);
    expect([next[0], next[1].step, next[2]]).toEqual([{}, 1, { step: 1 }]);
  });

  it("continues from a state that was saved", async () => {
    const optimizer = chain(
      clipGradients(1),
      scaleByAdam(),
      sgd({ learningRate: 0.1, momentum: 0.9 }),
    );
    const [p, g] = [{ w: float64([1, -2]) }, { w: float64([0.1, 0.7]) }];
    const [q, state] = optimizer.update(g, optimizer.init(p), p);
    const saved = (await decodeTree(await encodeTree(state))) as unknown as typeof state;
    const [a] = optimizer.update(g, state, q);
    const [b] = optimizer.update(g, saved, q);
    expect(await b.w.array()).toEqual(await a.w.array());
  });
});

const everything = chain(
  clipGradients(0.5),
  scaleByAdam(),
  scaleByRms(),
  addDecayedWeights(0.1),
  addMomentum({ momentum: 0.9, nesterov: true }),
  scaleBy((step) => 1 / (step + 2)),
  sgd({ learningRate: 0.1 }),
);

describe("a chain of all links", () => {
  it("has first and second derivatives with respect to where it starts and what it fits", async () => {
    const trained = (start: Tensor, target: Tensor): Tensor => {
      const loss = (p: Tensor): Tensor => p.square().square().mul(0.25).sub(target.mul(p)).sum();
      let p = start;
      let state = everything.init(p);
      for (let step = 0; step < 2; step++) {
        [p, state] = everything.update(valueAndGrad(loss)(p)[1], state, p);
      }
      return p;
    };
    await checkGradients(trained, [float64([0.5, -1.2]), float64([0.3, 0.4])], {
      order: 2,
      step: 1e-4,
      tolerance: 1e-5,
    });
  });

  it("compiles its step once, though factors and corrections change", async () => {
    let parameters = { a: tensor([1, 2, 3]), b: [tensor([[4, 5]])] };
    let state = everything.init(parameters);
    const before = (await deviceStatistics()).plansCompiled;
    for (let i = 0; i < 8; i++) {
      const loss = (p: typeof parameters): Tensor => p.a.square().sum().add(p.b[0]!.exp().sum());
      [parameters, state] = everything.update(valueAndGrad(loss)(parameters)[1], state, parameters);
      await realize(parameters, state);
    }
    expect((await deviceStatistics()).plansCompiled - before).toBe(1);
  });
});

describe("refused are", () => {
  const p = tensor([1, 2]);
  const descent = sgd({ learningRate: 1 });

  it("an optimizer that is not last, a link that is, and what is neither", () => {
    const link = clipGradients(1);
    expect(() => chain(descent as never, descent)).toThrow(
      "chain: argument 1 must be a link such as clipGradients(1), got an optimizer, which comes last",
    );
    expect(() => chain(link, link as never)).toThrow(
      "chain: the last argument must be an optimizer such as sgd({ learningRate }), got a link",
    );
    expect(() => chain([link] as never, descent)).toThrow("argument 1 must be a link");
    expect(() => chain(...([] as unknown as [typeof descent]))).toThrow("got undefined");
    // @ts-expect-error: a link gives gradients and no parameters
    expect(() => chain(link, link)).toThrow();
    // @ts-expect-error: nothing follows an optimizer
    expect(() => chain(descent, descent)).toThrow();
  });

  it("states of other chains and links", () => {
    const optimizer = chain(clipGradients(1), descent);
    expect(() => optimizer.update(p, descent.init(p) as never, p)).toThrow(
      "chain: takes (gradients, state, parameters), the state as chain(…).init made it: an array of 2",
    );
    expect(() => optimizer.update(p, [{}] as never, p)).toThrow("an array of 2");
    for (const link of [addMomentum({ momentum: 0.9 }), scaleByAdam(), scaleByRms(), scaleBy(1)]) {
      expect(() => (link as GradientTransform<object>).transform(p, { other: 1 }, p)).toThrow(
        /takes \(gradients, state, parameters\), the state as \w+\(…\)\.init made it/,
      );
    }
  });

  it("gradients and parameters that do not fit", () => {
    const links = [addMomentum({ momentum: 0.9 }), scaleByAdam(), scaleByRms(), scaleBy(1)];
    for (const link of links as GradientTransform<unknown>[]) {
      expect(() => link.init(tensor([1], { dtype: "int32" }))).toThrow("must be floating point");
      expect(() => link.transform(tensor([1]), link.init(p), p)).toThrow(
        "a parameter is float32[2], its gradient float32[1]",
      );
    }
    expect(() => addDecayedWeights(0.1).transform(tensor([1]), {}, p)).toThrow(
      "addDecayedWeights: a parameter is float32[2], its gradient float32[1]",
    );
  });

  it("options that do not exist or are out of range", () => {
    const { NaN: none } = Number;
    expect(() => clipGradients(0)).toThrow("clipGradients: maxNorm must be a number > 0, got 0");
    expect(() => addDecayedWeights(-1)).toThrow(
      "addDecayedWeights: weightDecay must be a number ≥ 0",
    );
    expect(() => scaleBy(-1)).toThrow("scaleBy: factor must be a number ≥ 0 or a schedule, got -1");
    const scaled = scaleBy(() => none);
    expect(() => scaled.transform(p, scaled.init(p), p)).toThrow(
      "scaleBy: the schedule gave factor NaN at step 0",
    );
    expect(() => addMomentum({ momentum: 1 })).toThrow(
      "addMomentum: momentum must be a number in [0, 1)",
    );
    expect(() => addMomentum({ momentum: 0.9, nestrov: true } as never)).toThrow(
      "did you mean `nesterov`?",
    );
    expect(() => scaleByAdam({ beta1: 1 })).toThrow(
      "scaleByAdam: beta1 must be a number in [0, 1)",
    );
    expect(() => scaleByAdam({ betas: [0.9, 0.99] } as never)).toThrow(
      "scaleByAdam: has no option `betas`",
    );
    expect(() => scaleByRms({ epsilon: 0 })).toThrow("scaleByRms: epsilon must be a number > 0");
    expect(() => scaleByRms({ beta: 0.9 } as never)).toThrow("scaleByRms: has no option `beta`");
  });
});
