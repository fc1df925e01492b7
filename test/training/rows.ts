/**
 * A small model in float64, rows for it, and the losses of objectives computed another way: padded, all rows at once.
 */

import {
  aspoWeights,
  concat,
  fullPolicy,
  type GptParameters,
  gpt,
  type PairLogProbs,
  type Rows,
  randomNormal,
  realize,
  rowsOf,
  sentenceSums,
  sequenceKl,
  sequenceLogProbs,
  sgdpoPilots,
  type Tensor,
  type TokenRatios,
  tensor,
  tokenLogProbs,
  treeLeaves,
  treeMap,
  withReferences,
  wpoLogWeights,
} from "../../src/index.js";
import { randomGenerator } from "../../src/tensor/random.js";
import type { AnyObjective } from "../../src/training/fitOptions.js";
import { microBatchesOf } from "../../src/training/microBatches.js";

export const model = gpt({ vocabularySize: 13, contextLength: 16, width: 8, layers: 1, heads: 2 });

/** Parameters that matter: GPT-2's own start makes all distributions even. */
const parameters = (seed: string): GptParameters => {
  let number = 0;
  return treeMap(
    (t) => randomNormal(t.shape, { seed: `${seed} ${number++}`, std: 0.4, dtype: "float64" }),
    model.init(0, { dtype: "float64" }),
  );
};

const next = randomGenerator("rows of small models");
const ids = (least: number, most: number): number[] =>
  Array.from({ length: least + Math.floor(next() * (most - least + 1)) }, () =>
    Math.floor(next() * 13),
  );

export const pairs = Array.from({ length: 6 }, (_, row) => ({
  row,
  promptIds: ids(1, 4),
  chosenIds: ids(1, 5),
  rejectedIds: ids(1, 5),
})).map((pair) => ({ ...pair, chosenSentences: pair.chosenIds.map((_, i) => Math.floor(i / 2)) }));
export const completions = pairs.map(({ row, promptIds, chosenIds }, i) => ({
  row,
  promptIds,
  completionIds: chosenIds,
  desirable: i % 3 !== 1,
  mismatchedIds: pairs[(i + 1) % 6]!.chosenIds,
}));
export const texts = pairs.map(({ row, promptIds, chosenIds }) => ({
  row,
  ids: [...promptIds, ...chosenIds],
  trained: [...promptIds.map(() => 0), ...chosenIds.map(() => 1)],
}));

/** Parameters of the policy and of the reference. */
export const policy = parameters("policy");
export const reference = fullPolicy({ model, parameters: parameters("reference") });

/** Ways to cut six rows into micro-batches. */
export const CUTS = [[6], [1, 2, 3]];

/** The micro-batches of rows that are cut so. */
export async function cutRows<Row, P>(
  objective: AnyObjective<P, Row>,
  rows: Rows<Row>,
  sizes: readonly number[],
) {
  let start = 0;
  const batches: unknown[] = [];
  for (const size of sizes) {
    const indices = Array.from({ length: size }, (_, i) => start + i);
    batches.push(await objective.collate(await rows.read(indices)));
    start += size;
  }
  return microBatchesOf(objective.parts, start, batches.length, (i) => batches[i]!);
}

/** What padded sequences give: no packing, no chunks. */
function padded(sequences: readonly { prompt: number[]; completion: number[] }[]) {
  const all = sequences.map(({ prompt, completion }) => [...prompt, ...completion]);
  const width = Math.max(...all.map((own) => own.length));
  const fill = (row: number[]) => [...row, ...Array(width - row.length).fill(0)];
  const mask = sequences.map(({ prompt, completion }) =>
    fill([...prompt.map(() => 0), ...completion.map(() => 1)]),
  );
  return {
    ids: tensor(all.map(fill), { dtype: "int32" }),
    mask: tensor(mask, { dtype: "float64" }),
  };
}

const sidesOf = (side: "chosenIds" | "rejectedIds") =>
  padded(pairs.map((pair) => ({ prompt: pair.promptIds, completion: pair[side] })));

/** A model as the logits of padded ids. */
type Logits = (ids: Tensor) => Tensor;

export const logitsAt =
  (at: GptParameters): Logits =>
  (ids) =>
    model.apply(at, ids);
export const referenceLogits = logitsAt(reference.parameters);

const logProbsOf = (logits: Logits, side: "chosenIds" | "rejectedIds"): Tensor => {
  const own = sidesOf(side);
  return sequenceLogProbs(logits(own.ids), own.ids, own.mask);
};

/** All pairs' log-probabilities under two models. */
export function pairLogProbsOf(policy: Logits, reference: Logits): Required<PairLogProbs> {
  const lengths = (side: "chosenIds" | "rejectedIds") =>
    tensor(
      pairs.map((pair) => pair[side].length),
      { dtype: "float64" },
    );
  return {
    chosen: logProbsOf(policy, "chosenIds"),
    rejected: logProbsOf(policy, "rejectedIds"),
    referenceChosen: logProbsOf(reference, "chosenIds"),
    referenceRejected: logProbsOf(reference, "rejectedIds"),
    chosenLength: lengths("chosenIds"),
    rejectedLength: lengths("rejectedIds"),
  };
}

/** All pairs' log-probabilities. */
export const pairLogProbs = (at: GptParameters) => pairLogProbsOf(logitsAt(at), referenceLogits);

/** WPO's weights. */
export function logWeights(at: GptParameters) {
  const of = (side: "chosenIds" | "rejectedIds") => {
    const own = sidesOf(side);
    return wpoLogWeights(model.apply(at, own.ids), own.ids, own.mask);
  };
  return { chosenLogWeight: of("chosenIds"), rejectedLogWeight: of("rejectedIds") };
}

/** TDPO's divergences of two models. */
export function divergencesOf(policy: Logits, reference: Logits) {
  const of = (side: "chosenIds" | "rejectedIds") => {
    const { ids, mask } = sidesOf(side);
    return sequenceKl(policy(ids), reference(ids), mask);
  };
  return { chosenKl: of("chosenIds"), rejectedKl: of("rejectedIds") };
}

/** TDPO's divergences. */
export const divergences = (at: GptParameters) => divergencesOf(logitsAt(at), referenceLogits);

/** Log-ratios of a side's tokens under two models, and the log-probabilities behind them. */
function tokensOf(policy: Logits, reference: Logits, side: "chosenIds" | "rejectedIds") {
  const { ids, mask } = sidesOf(side);
  const [own, other] = [policy, reference].map((logits) => tokenLogProbs(logits(ids), ids));
  return { policy: own!, reference: other!, ratios: own!.sub(other!), mask };
}

/** SGDPO's pilots, as an objective of seed 0 draws them at a step. */
export const pilotsOf = (policy: Logits, reference: Logits, step: number | "evaluation") =>
  sgdpoPilots(
    ...((["chosenIds", "rejectedIds"] as const).map((side) => {
      const { ratios, mask } = tokensOf(policy, reference, side);
      return { ratios, mask };
    }) as [TokenRatios, TokenRatios]),
    { seed: `0 ${step}`, rows: pairs.map(({ row }) => row) },
  );

/** SGDPO's pilots at step 3. */
export const pilots = (at: GptParameters) => pilotsOf(logitsAt(at), referenceLogits, 3);

/** ASPO's sentences of two models. */
export function sentencesOf(policy: Logits, reference: Logits) {
  const own = tokensOf(policy, reference, "chosenIds");
  const [, width] = own.mask.shape;
  const rows = pairs.map(({ promptIds, chosenSentences }) => {
    const row: number[] = [...promptIds.map(() => -1), ...chosenSentences];
    return [...row, ...Array(width! - row.length).fill(-1)];
  });
  const places = tensor(rows, { dtype: "int32" });
  return {
    sentences: sentenceSums(own.policy, places, 3),
    referenceSentences: sentenceSums(own.reference, places, 3),
    weights: aspoWeights(own.policy, places, 3),
    mask: tensor(pairs.map((pair) => [0, 1, 2].map((k) => pair.chosenSentences.includes(k)))),
  };
}

/** ASPO's sentences. */
export const sentences = (at: GptParameters) => sentencesOf(logitsAt(at), referenceLogits);

/** Log-probabilities of completions, or of those of other prompts. */
export function completionLogProbs(at: GptParameters, side: "completionIds" | "mismatchedIds") {
  const own = padded(completions.map((row) => ({ prompt: row.promptIds, completion: row[side] })));
  return sequenceLogProbs(model.apply(at, own.ids), own.ids, own.mask);
}

export const referencedPairs = async () =>
  (await withReferences(rowsOf(pairs), { policy: reference, batchSize: 4 })).rows;
export const referencedCompletions = async () =>
  (await withReferences(rowsOf(completions), { policy: reference, batchSize: 4 })).rows;

/** The largest difference of two trees, over the largest element of the second. */
export async function difference(a: unknown, b: unknown): Promise<number> {
  const flat = (tree: unknown): Tensor => concat(treeLeaves(tree).map((t) => t.reshape([-1])));
  const [found, expected] = [flat(a), flat(b)];
  const [distance, size] = [found.sub(expected).abs().max(), expected.abs().max()];
  await realize(distance, size);
  return (await distance.item()) / (await size.item());
}
