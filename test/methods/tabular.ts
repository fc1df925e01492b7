/**
 * A tabular policy as a language model: the next token's logits are a column of a matrix, chosen by the last token.
 */

import { gather, oneHot } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import type { PackedLanguageModel } from "../../src/training/policy.js";

export interface Table {
  /** `[next, last]`. */
  readonly logits: Tensor;
}

/** A policy over so many tokens. */
export function tabularModel(size: number): PackedLanguageModel<Table> {
  const states = (ids: Tensor, { logits }: Table): Tensor => oneHot(ids, size).cast(logits.dtype);
  return {
    config: { vocabularySize: size, contextLength: 8 },
    hidden: (parameters, ids) => states(ids, parameters),
    packedHidden: (parameters, { ids, predictors }) => states(gather(ids, predictors), parameters),
    headWeight: ({ logits }) => logits,
  };
}

/** The policy that gives these probabilities after whatever token. */
export function tableOf(probabilities: readonly number[]): Table {
  const rows = probabilities.map((p) => probabilities.map(() => Math.log(p)));
  return { logits: tensor(rows, { dtype: "float64" }) };
}

/** The probabilities of the next token after token 0. */
export async function probabilitiesOf({ logits }: Table): Promise<number[]> {
  const found = (await logits.array()) as number[][];
  const weights = found.map(([first]) => Math.exp(first!));
  return normalized(weights);
}

/** Weights divided by their sum. */
export function normalized(weights: readonly number[]): number[] {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}
