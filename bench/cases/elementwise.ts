/**
 * Elementwise functions and a fused chain of them, on 10³ … 10⁷ elements, beside a loop over `Math.*`
 * and a copy of as many elements.
 */

import type { ElementwiseProblem, Results } from "../problem.js";
import { type Case, defineCase } from "../runner/case.js";
import { close, result } from "../runner/check.js";
import { draws, uniform } from "../workloads/numbers.js";
import { FUNCTIONS } from "../workloads/reference.js";

/** Every element, to a bound that the least accurate of the peers keeps. */
function checker({ function: name, x }: ElementwiseProblem): (results: Results) => void {
  const f = FUNCTIONS[name];
  return (results) => {
    const y = result(results, "values", x.length);
    for (let i = 0; i < x.length; i++) {
      const expected = f(x[i]!);
      close(`${name}(${x[i]})`, y[i]!, expected, 5e-5 * Math.max(1, Math.abs(expected)));
    }
  };
}

const NAMES = ["polynomial", "exp", "log", "tanh", "gelu"] as const;

export const elementwiseCases: readonly Case[] = NAMES.flatMap((name) =>
  [3, 4, 5, 6, 7].map((power) =>
    defineCase({
      family: "elementwise",
      name: `${name}, 10${"⁰¹²³⁴⁵⁶⁷"[power]} elements`,
      kind: "elementwise",
      problem: () => {
        // Logarithms of positive numbers.
        const range = name === "log" ? { centre: 4.5, spread: 4 } : { spread: 4 };
        return { function: name, x: uniform(10 ** power, draws(power), range) };
      },
      checker,
      work: { unit: "GB/s", amount: 8 * 10 ** power },
      long: power !== 3 && power !== 5,
    }),
  ),
);
