/**
 * Perceptrons: medium (batch 64, 784-256-256-10, relu, cross-entropy) and small (batch 32, 32-64-64-1,
 * tanh, squared error), forward passes and steps of gradient descent with the loss read back.
 */

import type { MlpProblem } from "../problem.js";
import { type Case, defineCase } from "../runner/case.js";
import { allClose, result } from "../runner/check.js";
import { draws, integers, uniform } from "../workloads/numbers.js";
import { mlpLosses } from "../workloads/reference.js";

function problem(size: "medium" | "small", mode: MlpProblem["mode"]): MlpProblem {
  const medium = size === "medium";
  const sizes = medium ? [784, 256, 256, 10] : [32, 64, 64, 1];
  const batch = medium ? 64 : 32;
  const next = draws(31);
  const layers = sizes.slice(1).map((to, i) => ({ from: sizes[i]!, to }));
  return {
    mode,
    sizes,
    batch,
    activation: medium ? "relu" : "tanh",
    weights: layers.map(({ from, to }) =>
      uniform(from * to, next, { spread: Math.sqrt(3 / from) }),
    ),
    biases: layers.map(({ to }) => uniform(to, next, { spread: 1 / 32 })),
    inputs: uniform(batch * sizes[0]!, next),
    targets: medium
      ? { kind: "classes", labels: integers(batch, next, 10) }
      : { kind: "values", values: uniform(batch, next) },
    learningRate: 0.05,
    reported: mode === "step" ? 5 : 1,
  };
}

/** Floating-point operations of the products: a step's gradients need none for the inputs. */
function flops({ sizes, batch }: MlpProblem, mode: MlpProblem["mode"]): number {
  const layers = sizes.slice(1).map((to, i) => 2 * batch * sizes[i]! * to);
  const all = layers.reduce((a, b) => a + b);
  return mode === "step" ? 3 * all - layers[0]! : all;
}

export const mlpCases: readonly Case[] = (["medium", "small"] as const).flatMap((size) =>
  (["forward", "step"] as const).map((mode) =>
    defineCase({
      family: "mlp",
      name: `${size}, ${mode}`,
      kind: "mlp",
      problem: () => problem(size, mode),
      checker: (p) => {
        const expected = mlpLosses(p);
        return (results) => {
          const losses = result(results, "losses", expected.length);
          allClose("losses", losses, expected, 2e-5 * Math.max(...expected));
        };
      },
      work: { unit: "GFLOP/s", amount: flops(problem(size, mode), mode) },
    }),
  ),
);
