/**
 * The cases of the GPU: matrix products, rows, perceptrons, the GPT, from small to large, so that the
 * time of one that is too large for a slow GPU is known before it is tried.
 */

import { gptCases } from "../cases/gpt.js";
import { matmulCase } from "../cases/matmul.js";
import { mlpCases } from "../cases/mlp.js";
import { rowCase } from "../cases/rows.js";
import { differenceCheck, FIXED } from "../cases/scaling.js";
import { type Case, defineCase } from "../runner/case.js";
import { close } from "../runner/check.js";
import { type GptVariant, gptProblem, productFlops } from "../workloads/gpt.js";

const products: readonly Case[] = [
  ...[256, 512, 1024, 2048, 4096].map((n) =>
    matmulCase(`A·B, n = ${n}`, { m: n, k: n, n }, n > 2048),
  ),
  matmulCase("Aᵀ·B, n = 1024", { m: 1024, k: 1024, n: 1024, transposeA: true }, true),
  matmulCase("A·Bᵀ, n = 1024", { m: 1024, k: 1024, n: 1024, transposeB: true }, true),
  matmulCase("64 × [128,32]·[128,32]ᵀ", { batch: 64, m: 128, k: 32, n: 128, transposeB: true }),
];

const SIZES = [
  { elements: 2 ** 20, name: "4 MB, " },
  { elements: 2 ** 22, name: "16 MB, " },
  { elements: 2 ** 24, name: "64 MB, " },
];

const rows: readonly Case[] = (["softmax", "tokenLogProbs"] as const).flatMap((name) =>
  [1024, 50257].flatMap((width) =>
    [false, true].flatMap((gradient) =>
      SIZES.map(({ elements, name: size }) =>
        rowCase({ name, width, gradient, elements }, width > 1024 || elements > 2 ** 22, size),
      ),
    ),
  ),
);

/** Prefgrad with old parameters disposed of is another contender, in training steps only. */
function contenders(one: Case): Case {
  if (one.name.includes("step")) return one;
  return { ...one, contenders: (name) => !name.includes("dispose") };
}

const SMALL: GptVariant = { ...FIXED, length: 64 };

/** Losses of the small GPT after 0 … 3 steps, as PyTorch computes them in double precision. */
const SMALL_LOSSES = [0.9328234472, 0.02800802736, 0.009422042691, 0.00515356635];

/** A step that software adapters finish. */
const smallGpt: Case = defineCase({
  family: "gpt",
  name: "two blocks, 256 tokens, step",
  kind: "gpt",
  problem: () => ({ ...gptProblem(SMALL), reported: SMALL_LOSSES.length }),
  checker: (problem) => {
    const check = differenceCheck(problem);
    return (results) => {
      check(results);
      SMALL_LOSSES.forEach((loss, k) => {
        close(`loss after ${k} steps`, results.losses![k]!, loss, 1e-3 * loss);
      });
    };
  },
  work: { unit: "GFLOP/s", amount: 3 * productFlops(gptProblem(SMALL)) },
});

const bySize = (a: Case, b: Case): number => a.work!.amount - b.work!.amount;

export const GPU_CASES: readonly Case[] = [
  ...products.map(contenders),
  ...rows.map(contenders),
  ...[...mlpCases].sort(bySize).map(contenders),
  smallGpt,
  ...gptCases.filter(({ name }) => /^gpt-dpo, \w+$/.test(name)).map(contenders),
];

/**
 * Cases of a series take time in proportion to their work, or less for the larger ones; null for one
 * too small to tell of others.
 */
export function seriesOf({ family, name, kind }: Case): string | null {
  if (kind === "rows") return `${family} ${name.replace(/\d+ MB, /, "")}`;
  if (kind === "matmul") return family;
  return name.startsWith("small") ? null : "networks";
}
