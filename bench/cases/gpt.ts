/**
 * Preference optimization of a GPT with 842,496 parameters on 16 rows of 128 tokens: forward passes,
 * and steps of forward, backward and AdamW with the loss read back; the same with what the loss
 * does not need left out. Numbers are PyTorch's in double precision.
 */

import type { GptProblem, Results } from "../problem.js";
import { type Case, defineCase } from "../runner/case.js";
import { allClose, close, norm, result } from "../runner/check.js";
import { golden, productFlops, standardGpt } from "../workloads/gpt.js";

/** The check of standard problems, which the probe processes make too. */
export function goldenCheck({ loss, reported, pairs, parameters }: GptProblem) {
  const expected = golden().results[`gpt-${loss}`];
  const tolerance = loss === "dpo" ? 5e-5 : 1e-5;
  return (results: Results): void => {
    const losses = result(results, "losses", reported);
    for (let k = 0; k < reported; k++) {
      close(
        `loss after ${k} steps`,
        losses[k]!,
        expected.losses[k]!,
        tolerance * expected.losses[k]!,
      );
    }
    const logps = [...expected.chosenLogps, ...expected.rejectedLogps];
    allClose("log-probability", result(results, "logps", 2 * pairs), logps, 1e-3);
    for (const { name, values } of parameters) {
      if (!(`grad:${name}` in results)) continue;
      const gradient = result(results, `grad:${name}`, values.length);
      const { norm: size, entries } = expected.grads[name]!;
      close(`norm of the gradient of ${name}`, norm(gradient), size, 1e-5 * size);
      for (const [at, value] of Object.entries(entries)) {
        const bound = (1e-4 * size) / Math.sqrt(values.length);
        close(`gradient of ${name}[${at}]`, gradient[Number(at)]!, value, bound);
      }
    }
  };
}

const sameWork = (["dpo", "spo"] as const).flatMap((loss) =>
  (["forward", "step"] as const).map((mode) =>
    defineCase({
      family: "gpt",
      name: `gpt-${loss}, ${mode}`,
      kind: "gpt",
      problem: () => standardGpt(loss, mode),
      checker: goldenCheck,
      get work() {
        const forward = productFlops(standardGpt(loss, mode));
        return { unit: "GFLOP/s" as const, amount: mode === "step" ? 3 * forward : forward };
      },
      long: loss === "spo",
    }),
  ),
);

/** No rate: prefgrad computes less than the others do. */
const skippingWork = (["forward", "step"] as const).map((mode) =>
  defineCase({
    family: "gpt",
    name: `gpt-dpo, ${mode}, skipping work`,
    kind: "gpt",
    problem: () => ({ ...standardGpt("dpo", mode), skipsWork: true }),
    checker: goldenCheck,
  }),
);

export const gptCases: readonly Case[] = [...sameWork, ...skippingWork];
