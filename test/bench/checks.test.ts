/**
 * The benchmarks' checks accept right numbers and reject wrong ones.
 */

import { describe, expect, it } from "vitest";
import { ALL_CASES } from "../../bench/cases/index.js";
import type { GptProblem, MatmulProblem, MlpProblem, Results } from "../../bench/problem.js";
import { Mismatch } from "../../bench/runner/case.js";
import { doubleParameters, gptValue } from "../../bench/workloads/gptReference.js";
import { FUNCTIONS, mlpLosses, productEntry } from "../../bench/workloads/reference.js";

function caseNamed(name: string) {
  const found = ALL_CASES.find((one) => one.name === name)!;
  const problem = found.problem();
  return { problem, check: found.checker(problem) };
}

function changed(results: Results, name: string, at: number, by: number): Results {
  const values = Float64Array.from(results[name]!);
  values[at]! += by;
  return { ...results, [name]: values };
}

describe("a check", () => {
  it.each(["A·B, n = 128", "Aᵀ·B, n = 128", "A·Bᵀ, n = 128"])(
    "of %s sees one wrong entry",
    (name) => {
      const { problem, check } = caseNamed(name);
      const n = 128;
      const values = Float32Array.from({ length: n * n }, (_, i) =>
        productEntry(problem as MatmulProblem, 0, Math.floor(i / n), i % n),
      );
      check({ values });
      expect(() => check(changed({ values }, "values", 5000, 0.05))).toThrow(Mismatch);
      expect(() => check({ values: values.subarray(1) })).toThrow(Mismatch);
    },
  );

  it("of an elementwise function sees one wrong element, and NaN", () => {
    const { problem, check } = caseNamed("exp, 10³ elements");
    const { x } = problem as { x: Float32Array };
    const values = Float32Array.from(x, FUNCTIONS.exp);
    check({ values });
    expect(() => check(changed({ values }, "values", 999, 0.01))).toThrow(Mismatch);
    expect(() => check(changed({ values }, "values", 0, Number.NaN))).toThrow(Mismatch);
  });

  it("of a perceptron's step sees a loss that does not fall as it should", () => {
    const { problem, check } = caseNamed("small, step");
    const losses = mlpLosses(problem as MlpProblem);
    check({ losses });
    expect(() => check({ losses: losses.map(() => losses[0]!) })).toThrow(Mismatch);
  });

  it("of the GPT takes PyTorch's numbers only", () => {
    const { problem, check } = caseNamed("gpt-dpo, forward");
    const gpt = problem as GptProblem;
    const { loss, logps } = gptValue(gpt, doubleParameters(gpt));
    check({ losses: [loss], logps });
    expect(() => check({ losses: [loss * 1.001], logps })).toThrow(Mismatch);
    expect(() => check(changed({ losses: [loss], logps }, "logps", 3, 0.01))).toThrow(Mismatch);
  });
});
