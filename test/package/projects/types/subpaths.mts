import type { Tensor as WholeTensor } from "prefgrad";
import type { NestedProblem } from "prefgrad/bilevel";
import { grad, Tensor, tensor, treeLeaves } from "prefgrad/core";
import { rowsOf } from "prefgrad/data";
import { chesScore } from "prefgrad/dynamics";
import { lossGradient } from "prefgrad/interop";
import { dpoLoss, type PairLogProbs, type PreferenceLoss } from "prefgrad/losses";
import { rejectionSample } from "prefgrad/methods";
import { gpt } from "prefgrad/models";
import { initLinear, linear } from "prefgrad/nn";
import { type AdamWState, adamw } from "prefgrad/optim";
import type { Objective } from "prefgrad/training";

/** Whether two types are one: what is assigned between them changes its type for none. */
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
export const same: Same<Tensor, WholeTensor> = true;

const layer = initLinear(2, 1, { seed: 1 });
const output: WholeTensor = linear(layer, tensor([[1, 2]]));
const zero = tensor([0]);
const pairs: PairLogProbs = {
  chosen: output,
  rejected: zero,
  referenceChosen: zero,
  referenceRejected: zero,
};
const loss: PreferenceLoss = dpoLoss(pairs);
const [next, state]: [typeof layer, AdamWState] = adamw({ learningRate: 1 }).update(
  grad((p: typeof layer) => linear(p, zero).sum())(layer),
  adamw({ learningRate: 1 }).init(layer),
  layer,
);
export const leaves: WholeTensor[] = treeLeaves([next, loss.loss, state]);
export const others = [chesScore, lossGradient, rejectionSample, gpt, rowsOf];
export type Descended = Objective<WholeTensor, number>;
export type Problem = NestedProblem<WholeTensor, Tensor>;
// @ts-expect-error: tensors come from tensor() and the operations
export const constructed = new Tensor([1]);
// @ts-expect-error: internals are not published
export const internal = output.primitive;
