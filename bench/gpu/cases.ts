/**
 * The cases of the GPU: matrix products, rows, perceptrons, the GPT, from small to large, so that the
 * time of one that is too large for a slow GPU is known before it is tried.
 */

import { gptCases } from "../cases/gpt.js";
import { matmulCase } from "../cases/matmul.js";
import { mlpCases } from "../cases/mlp.js";
import { rowCase } from "../cases/rows.js";
import { scalingCases } from "../cases/scaling.js";
import type { Case } from "../runner/case.js";

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

/** A step that software adapters finish; its check needs gradients, which prefgrad's peers keep. */
const smallGpt: readonly Case[] = scalingCases
  .filter(({ name }) => name === "sequence 64")
  .map((one) => ({ ...one, family: "gpt", name: "two blocks, 256 tokens, step" }));

const bySize = (a: Case, b: Case): number => a.work!.amount - b.work!.amount;

export const GPU_CASES: readonly Case[] = [
  ...products.map(contenders),
  ...rows.map(contenders),
  ...[...mlpCases].sort(bySize).map(contenders),
  ...smallGpt,
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
