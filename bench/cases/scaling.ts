/**
 * How a training step's cost grows: steps of a GPT with two blocks as one size grows and the others
 * stay (4 rows of 128 tokens, width 128, heads of 32, vocabulary 256). The same rate along a curve
 * means that cost grows as work does.
 */

import type { GptProblem, Results } from "../problem.js";
import { type Case, defineCase } from "../runner/case.js";
import { close, norm, result } from "../runner/check.js";
import { type GptVariant, gptProblem, productFlops } from "../workloads/gpt.js";
import { doubleParameters, gptValue } from "../workloads/gptReference.js";
import { draws } from "../workloads/numbers.js";

export const FIXED: GptVariant = { layers: 2, pairs: 2, length: 128, width: 128 };

/** Step of the finite difference. */
const H = 1e-5;

/**
 * Loss and log-probabilities, and the gradient, of contenders that give it, along a random direction of
 * ±1 for every parameter, which a wrong entry anywhere changes, against a central difference.
 */
export function differenceCheck(problem: GptProblem): (results: Results) => void {
  const start = doubleParameters(problem);
  const expected = gptValue(problem, start);
  const next = draws(11);
  const direction = Object.fromEntries(
    problem.parameters.map(({ name, values }) => [
      name,
      Float64Array.from(values, () => (next() & 1 ? 1 : -1)),
    ]),
  );
  const along = (h: number): number => {
    const moved = Object.fromEntries(
      Object.entries(start).map(([name, values]) => [
        name,
        values.map((value, i) => value + h * direction[name]![i]!),
      ]),
    );
    return gptValue(problem, moved).loss;
  };
  const slope = (along(H) - along(-H)) / (2 * H);
  return (results) => {
    const logps = result(results, "logps", expected.logps.length);
    let loosest = 0;
    expected.logps.forEach((value, i) => {
      const tolerance = 1e-3 + 3e-6 * Math.abs(value);
      loosest = Math.max(loosest, tolerance);
      close(`log-probability ${i}`, logps[i]!, value, tolerance);
    });
    const losses = result(results, "losses", problem.reported);
    close("loss", losses[0]!, expected.loss, 0.2 * loosest);
    if (!problem.parameters.some(({ name }) => `grad:${name}` in results)) return;
    let found = 0;
    let square = 0;
    for (const { name, values } of problem.parameters) {
      const gradient = result(results, `grad:${name}`, values.length);
      for (let i = 0; i < values.length; i++) found += gradient[i]! * direction[name]![i]!;
      square += norm(gradient) ** 2;
    }
    close("gradient along a random direction", found, slope, 1e-3 * Math.sqrt(square));
  };
}

interface Curve {
  readonly name: string;
  readonly at: readonly number[];
  readonly variant: (at: number) => GptVariant;
}

const CURVES: readonly Curve[] = [
  { name: "sequence", at: [64, 128, 256, 512, 1024], variant: (length) => ({ length }) },
  { name: "width", at: [64, 128, 256, 512], variant: (width) => ({ width, heads: width / 32 }) },
  { name: "rows", at: [2, 4, 8, 16, 32], variant: (rows) => ({ pairs: rows / 2 }) },
  {
    name: "vocabulary",
    at: [256, 1024, 4096, 16384, 50257],
    variant: (vocabulary) => ({ vocabulary }),
  },
];

function scalingCase(curve: string, name: string, variant: GptVariant, long: boolean): Case {
  const problem = (): GptProblem => ({ ...gptProblem({ ...FIXED, ...variant }), reported: 1 });
  return defineCase({
    family: "scaling",
    name,
    kind: "gpt",
    problem,
    checker: differenceCheck,
    get work() {
      return { unit: "GFLOP/s" as const, amount: 3 * productFlops(problem()) };
    },
    contenders: (contender) => contender.startsWith("prefgrad"),
    curve,
    long,
  });
}

export const scalingCases: readonly Case[] = [
  ...CURVES.flatMap(({ name, at, variant }) =>
    at.map((size, i) => scalingCase(name, `${name} ${size}`, variant(size), i > 1)),
  ),
  scalingCase("threads", "threads, rows 16", { pairs: 8 }, true),
];
