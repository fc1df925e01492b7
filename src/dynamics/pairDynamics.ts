/**
 * What one gradient step on a preference pair does to the probabilities of responses.
 * @module
 */

import { gradients } from "../autograd/gradients.js";
import { checkOptions } from "../checks.js";
import { dpoLoss } from "../losses/dpo.js";
import { checkLoss } from "../losses/inputs.js";
import type { PairLogProbs, PreferenceLoss } from "../losses/types.js";
import { alias, stopGradient } from "../ops/composite.js";
import { add, concat, div, exp, less, mul, neg, relu, slice, softmax, sum } from "../ops/index.js";
import { tensor, zeros } from "../tensor/create.js";
import { formatShape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import { treeMap } from "../tensor/tree.js";
import { gradientOf, pushForward, type ResponsePolicy, responses } from "./velocities.js";

/** Options of {@link pairDynamics}. */
export interface PairDynamicsOptions {
  /** The loss a step is taken on, of a batch of this one pair; default {@link dpoLoss}. */
  readonly loss?: (pairs: PairLogProbs) => PreferenceLoss;
  /** `[N]` or `[2]`: the responses' log-probabilities under the frozen reference, nats; for losses that need them. */
  readonly reference?: Tensor;
  /** `[N]` or `[2]`: the responses' lengths, tokens; for losses that need them. */
  readonly lengths?: Tensor;
}

/**
 * What {@link pairDynamics} gives. Rates are per unit of learning rate: times η they are the change
 * of one step, to first order. Response 0 is the chosen one (w), response 1 the rejected one (l).
 */
export interface PairDynamics {
  /** `[N]`: `s = log π_θ` of the responses, nats. */
  readonly logProbs: Tensor;
  /** Scalar: the loss of the pair. */
  readonly loss: Tensor;
  /** Scalars: `−∂L/∂s_w` and `−∂L/∂s_l`, how hard the loss pushes each log-probability up. For DPO `±β·σ(−m)`. */
  readonly push: { readonly chosen: Tensor; readonly rejected: Tensor };
  /** `[N]` each: `⟨g_z, g_w⟩` and `⟨g_z, g_l⟩` of every response z, `g = ∂s/∂θ`. */
  readonly products: { readonly chosen: Tensor; readonly rejected: Tensor };
  /** Scalar: `⟨g_w, g_l⟩/‖g_w‖²`. Above 1, a loss of the margin alone lowers the chosen log-probability. */
  readonly overlap: Tensor;
  /** `[N]`: `ds_z/dη`, nats per unit of learning rate. */
  readonly velocities: Tensor;
  /** `[N]`: `dπ_z/dη = π_z·ds_z/dη`. */
  readonly probabilityVelocities: Tensor;
  /** Scalar bool: whether a small step lowers the chosen log-probability. */
  readonly displaced: Tensor;
  /** Scalar: `max(0, −ds_w/dη)`, how fast the chosen log-probability falls, nats. */
  readonly displacement: Tensor;
  /** Scalar: `−d(π_w + π_l)/dη`, probability that goes to all other responses; below 0 it comes from them. */
  readonly outflow: Tensor;
  /** Scalar: the outflow as a share of `π_w + π_l`; finite where the probabilities themselves underflow. */
  readonly leavingShare: Tensor;
}

/**
 * The dynamics of one gradient step `θ ← θ − η∇L` on a preference pair, to first order in η. With
 * `s = log π_θ`, `g = ∂s/∂θ` and a loss L of the two log-probabilities,
 *
 * `ds_z/dη = −∂L/∂s_w·⟨g_z, g_w⟩ − ∂L/∂s_l·⟨g_z, g_l⟩` for every response z.
 *
 * For DPO both factors are `±c`, `c = β·σ(−m)`, so `ds_w/dη = c(‖g_w‖² − ⟨g_w, g_l⟩)`: the chosen
 * response loses probability exactly when `⟨g_w, g_l⟩ > ‖g_w‖²`, which is likelihood displacement
 * (Razin et al. 2024, arXiv 2410.05779). Where the pair loses probability altogether, `outflow` says
 * how much of it other responses gain (the catastrophic shift of Jian, Yang et al., arXiv 2507.07723).
 *
 * Costs four backward passes more than the policy's value, for any number of responses.
 *
 * @param policy Log-probabilities of N ≥ 2 responses, nats: the chosen, the rejected, then any others
 * to be watched, such as samples of the model or the whole vocabulary.
 * @param parameters The tree where the step starts.
 * @throws if the policy does not return a floating-point `[N]`, if `reference` or `lengths` do not fit,
 * and what the loss throws for an input it lacks.
 * @example const { displaced } = pairDynamics(policy, parameters, { loss: simpoLoss, lengths });
 */
export function pairDynamics<P>(
  policy: ResponsePolicy<P>,
  parameters: P,
  options: PairDynamicsOptions = {},
): PairDynamics {
  const { loss = dpoLoss, reference, lengths } = options;
  checkOptions("pairDynamics", options, "loss", "reference", "lengths");
  checkLoss("pairDynamics", "loss", loss);
  const at = treeMap(alias, parameters);
  const logProbs = responses("pairDynamics", policy, at, 2);
  const { dtype, size } = logProbs;

  const chosen = alias(slice(logProbs, [0, 1]));
  const rejected = alias(slice(logProbs, [1, 2]));
  const value = loss({
    chosen,
    rejected,
    ...named("reference", reference, size, "referenceChosen", "referenceRejected"),
    ...named("lengths", lengths, size, "chosenLength", "rejectedLength"),
  }).loss;
  const [push0, push1] = gradients(value, [chosen, rejected]).map((g) => neg(g).reshape([]));

  const unit = (at: 0 | 1): Tensor => {
    const ones = tensor(at === 0 ? [1, 0] : [0, 1], { dtype });
    return size === 2 ? ones : concat([ones, zeros([size - 2], { dtype })]);
  };
  const [products0, products1] = pushForward(logProbs, at, [
    gradientOf(logProbs, at, unit(0)),
    gradientOf(logProbs, at, unit(1)),
  ]);

  const velocities = add(mul(products0!, push0!), mul(products1!, push1!));
  const probabilityVelocities = mul(exp(logProbs), velocities);
  const pair = (of: Tensor): Tensor => slice(of, [0, 2]);
  const chosenVelocity = slice(velocities, 0).reshape([]);
  return {
    logProbs,
    loss: value,
    push: { chosen: push0!, rejected: push1! },
    products: { chosen: products0!, rejected: products1! },
    overlap: div(slice(products0!, 1), slice(products0!, 0)).reshape([]),
    velocities,
    probabilityVelocities,
    displaced: less(chosenVelocity, 0),
    displacement: relu(neg(chosenVelocity)),
    outflow: neg(sum(pair(probabilityVelocities))),
    leavingShare: neg(sum(mul(softmax(pair(logProbs)), pair(velocities)))),
  };
}

/** The pair's entries of an input, under the names losses know them by. */
function named<Chosen extends string, Rejected extends string>(
  option: string,
  values: Tensor | undefined,
  count: number,
  chosen: Chosen,
  rejected: Rejected,
): Partial<Record<Chosen | Rejected, Tensor>> {
  if (values === undefined) return {};
  if (!(values instanceof Tensor)) {
    throw new TypeError(`pairDynamics: \`${option}\` must be a tensor, got ${typeof values}`);
  }
  if (values.rank !== 1 || (values.size !== count && values.size !== 2)) {
    const expected = count === 2 ? "[2]" : `[${count}] or [2]`;
    throw new RangeError(
      `pairDynamics: \`${option}\` must have shape ${expected}, got ${formatShape(values.shape)}`,
    );
  }
  const frozen = stopGradient(values);
  return {
    [chosen]: slice(frozen, [0, 1]),
    [rejected]: slice(frozen, [1, 2]),
  } as Record<Chosen | Rejected, Tensor>;
}
