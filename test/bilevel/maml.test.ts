/**
 * Model-agnostic meta-learning (Finn et al. 2017, arXiv 1703.03400, section 5.1): initial parameters
 * from which one step of gradient descent on ten points fits any sinusoid of amplitude .1 … 5 and
 * phase 0 … π.
 */

import { describe, expect, it } from "vitest";
import { bilevelStep } from "../../src/bilevel/bilevelStep.js";
import { add, matmul, mean, square, sub, tanh } from "../../src/ops/index.js";
import { adamw } from "../../src/optim/adamw.js";
import { linearSchedule } from "../../src/optim/schedules.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import { randomGenerator, randomNormal } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { treeMap } from "../../src/tensor/tree.js";

const seed = randomGenerator("maml");
const shots = 10;
const alpha = 0.05;

interface Layer {
  readonly weight: Tensor;
  readonly bias: Tensor;
}
const layer = (inputs: number, outputs: number): Layer => ({
  weight: randomNormal([inputs, outputs], { seed, std: inputs ** -0.5 }),
  bias: tensor(new Float32Array(outputs), { shape: [1, outputs] }),
});
const initial = [layer(1, 40), layer(40, 40), layer(40, 1)];

/** `[…, points, 1] → […, points, 1]`; the parameters may have a leading axis of tasks as well. */
function network(layers: readonly Layer[], x: Tensor): Tensor {
  return layers.reduce((h, { weight, bias }, i) => {
    const z = add(matmul(h, weight), bias);
    return i < layers.length - 1 ? tanh(z) : z;
  }, x);
}

interface Points {
  readonly x: Tensor;
  readonly y: Tensor;
}

/** `[tasks, shots, 1]` points of sinusoids, to adapt to and to judge by. */
function sinusoids(tasks: number): { readonly support: Points; readonly query: Points } {
  const waves = Array.from(
    { length: tasks },
    () => [0.1 + 4.9 * seed(), Math.PI * seed()] as const,
  );
  const draw = (): Points => {
    const x = waves.map(() => Array.from({ length: shots }, () => 10 * seed() - 5));
    const y = waves.map(([amplitude, phase], task) =>
      x[task]!.map((at) => amplitude * Math.sin(at - phase)),
    );
    const shape = [tasks, shots, 1];
    return { x: tensor(x.flat(), { shape }), y: tensor(y.flat(), { shape }) };
  };
  return { support: draw(), query: draw() };
}

const error = (layers: readonly Layer[], { x, y }: Points): Tensor =>
  mean(square(sub(network(layers, x), y)));

/** Parameters of a task: the shared initial ones plus the task's own offset. */
const adapted = (x: Layer[], offset: Layer[]): Layer[] => treeMap((p, d) => p.add(d!), x, offset);

/** An offset of zero for every task. */
const unadapted = (tasks: number): Layer[] =>
  treeMap((p) => tensor(new Float32Array(tasks * p.size), { shape: [tasks, ...p.shape] }), initial);

/**
 * All tasks in one problem. The lower loss is the sum over tasks, so that each task's offset takes the
 * gradient step of its own task; from an offset of 0 that is a step from the initial parameters.
 */
const tasksProblem = ({ support, query }: ReturnType<typeof sinusoids>, tasks: number) => ({
  upper: (x: Layer[], offset: Layer[]) => error(adapted(x, offset), query),
  lower: (x: Layer[], offset: Layer[]) => error(adapted(x, offset), support).mul(tasks),
});

const oneStep = { method: "unrolled", lowerSteps: 1, lowerLearningRate: alpha } as const;

describe("one-step MAML on sinusoids", () => {
  it("as unrolling an offset is the look-ahead on the parameters", async () => {
    const task = sinusoids(1);
    const variables = { x: initial, y: unadapted(1) };
    const unrolled = await bilevelStep(tasksProblem(task, 1), variables, oneStep);
    const lookahead = await bilevelStep(
      {
        upper: (p: Layer[]) => error(p, task.query),
        lower: (p: Layer[]) => error(p, task.support),
      },
      { params: initial },
      { method: "lookahead", alpha },
    );
    for (const [i, { weight }] of lookahead.direction.entries()) {
      const expected = await weight.data();
      const found = await unrolled.hypergradient[i]!.weight.data();
      const scale = Math.max(...expected.map(Math.abs));
      expected.forEach((value, j) => {
        expect(Math.abs(found[j]! - value)).toBeLessThanOrEqual(1e-4 * scale);
      });
    }
  });

  it("learns to adapt: the error falls at least fivefold in one step on unseen tasks", async () => {
    const [steps, tasks] = [1500, 25];
    const optimizer = adamw({
      learningRate: linearSchedule({ learningRate: 3e-3, totalSteps: steps }),
      weightDecay: 0,
    });
    let x = initial;
    let state = optimizer.init(x);
    const offsets = unadapted(tasks);
    for (let i = 0; i < steps; i++) {
      const problem = tasksProblem(sinusoids(tasks), tasks);
      const step = await bilevelStep(problem, { x, y: offsets }, oneStep);
      [x, state] = optimizer.update(step.hypergradient, state, x);
      await realize(x, state);
    }
    const unseen = 500;
    const problem = tasksProblem(sinusoids(unseen), unseen);
    const before = await problem.upper(x, unadapted(unseen)).item();
    const variables = { x, y: unadapted(unseen) };
    const after = await (await bilevelStep(problem, variables, oneStep)).upperLoss.item();
    // A constant is off by the mean of amplitude²/2, about 4.2: the error before is no straw man.
    expect(before).toBeLessThan(4.5);
    expect(before / after).toBeGreaterThanOrEqual(5);
  });
});
