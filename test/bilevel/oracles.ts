/**
 * The oracles of SPO's specification: what preference optimization does to the two smallest models.
 * @module
 */

import { gradients } from "../../src/autograd/gradients.js";
import { grad } from "../../src/autograd/transforms.js";
import { bilevelStep, type SharedOptions } from "../../src/bilevel/bilevelStep.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import { dpopLoss } from "../../src/losses/dpop.js";
import { type SpoLossOptions, spoLoss } from "../../src/losses/spo.js";
import { logSoftmax, slice } from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import type { Direction, Parameters, SharedFeatures } from "./displacement.js";

export const beta = 0.5;

/** One step of DPO on a tabular softmax: changes of chosen, rejected and all others per learning rate. */
export const TABULAR = [
  { from: [0.2, 0.5, 0.2, 0.1], change: [0.065, -0.0875, 0.0225] },
  { from: [0.5, 0.2, 0.2, 0.1], change: [0.0875, -0.065, -0.0225] },
] as const;

/** The changes that {@link TABULAR} lists, by gradients. */
export async function tabularChange(
  from: readonly number[],
  dtype: "float32" | "float64",
): Promise<number[]> {
  const theta = tensor(from.map(Math.log), { dtype });
  const policy = logSoftmax(theta);
  const frozen = tensor(from.map(Math.log), { dtype });
  const { loss } = dpoLoss(
    {
      chosen: slice(policy, 0),
      rejected: slice(policy, 1),
      referenceChosen: slice(frozen, 0),
      referenceRejected: slice(frozen, 1),
    },
    { beta },
  );
  const [slope] = gradients(loss, [theta]);
  const derivative = async (response: number): Promise<number> => {
    const [g] = gradients(slice(policy.exp(), response).sum(), [theta]);
    return -(await g!.mul(slope!).sum().item());
  };
  const others = (await derivative(2)) + (await derivative(3));
  return [await derivative(0), await derivative(1), others];
}

/** The preference loss on shared features. */
export const preferenceOf =
  ({ pairsAt }: SharedFeatures) =>
  (parameters: Parameters) =>
    dpoLoss(pairsAt(parameters), { beta }).loss;

const spo =
  (options: SpoLossOptions) =>
  ({ pairsAt }: SharedFeatures): Direction =>
    grad(
      (p: Parameters) =>
        spoLoss(pairsAt(p), { baseOptions: { beta }, per: "sequence", ...options }).loss,
    );

const bilevel =
  (options: (model: SharedFeatures) => SharedOptions) =>
  (model: SharedFeatures): Direction => {
    const problem = { upper: preferenceOf(model), lower: model.supervised };
    return async (params) => (await bilevelStep(problem, { params }, options(model))).direction;
  };

/** Where 400 steps on shared features end. */
export interface Descent {
  readonly name: string;
  readonly direction: (model: SharedFeatures) => Direction;
  /** Probabilities of the responses. */
  readonly end: readonly number[];
  readonly tolerance: number;
}

// The ends of hinges chatter.
const hinge = { end: [0.4422, 0.0889, 0.4339, 0.035], tolerance: 5e-3 };
const penalties = [
  { gamma: 0.1, end: [0.6025, 0.12, 0.25, 0.0275] },
  { gamma: 0.5, end: [0.8201, 0.1143, 0.0586, 0.0069] },
  { gamma: 1, end: [0.8815, 0.0844, 0.0314, 0.0026] },
];

export const DESCENTS: readonly Descent[] = [
  {
    name: "DPO moves the mass to a response nobody asked for",
    direction: (model) => grad(preferenceOf(model)),
    end: [0.0459, 0.0067, 0.9341, 0.0133],
    tolerance: 1e-4,
  },
  {
    name: "DPOP with λ = 5 holds the chosen response where it was",
    direction: ({ pairsAt }) =>
      grad((p: Parameters) => dpopLoss(pairsAt(p), { beta, lambda: 5 }).loss),
    end: [0.4144, 0.0818, 0.4692, 0.0346],
    tolerance: 5e-3,
  },
  {
    name: "spoLoss with hinge stops the chosen response from falling",
    direction: spo({ gamma: 1, hinge: true }),
    ...hinge,
  },
  ...penalties.map(({ gamma, end }) => ({
    name: `spoLoss with γ = ${gamma} raises the chosen response`,
    direction: spo({ gamma }),
    end,
    tolerance: 1e-4,
  })),
  {
    name: "bilevelStep's penalty with hinge does as spoLoss does",
    direction: bilevel(({ supervised, start }) => ({
      method: "penalty",
      gamma: 1,
      hinge: true,
      floor: supervised(start),
    })),
    ...hinge,
  },
  ...penalties.map(({ gamma, end }) => ({
    name: `bilevelStep's penalty with γ = ${gamma} does as spoLoss does`,
    direction: bilevel(() => ({ method: "penalty", gamma })),
    end,
    tolerance: 1e-4,
  })),
  {
    name: "the look-ahead, exact to second order, raises the chosen response",
    direction: bilevel(() => ({ method: "lookahead", alpha: 1 })),
    end: [0.583, 0.1459, 0.2313, 0.0398],
    tolerance: 1e-4,
  },
  {
    name: "the look-ahead without its second-order term collapses as DPO does",
    direction: bilevel(() => ({ method: "lookahead", alpha: 1, firstOrder: true })),
    end: [0.0294, 0.0036, 0.9585, 0.0085],
    tolerance: 1e-4,
  },
  {
    name: "the barrier raises the chosen response",
    direction: bilevel(() => ({ method: "barrier", eta: 0.1 })),
    end: [0.7026, 0.1406, 0.1364, 0.0204],
    tolerance: 1e-4,
  },
];
