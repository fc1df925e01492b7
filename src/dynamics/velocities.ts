/**
 * How fast log-probabilities change when parameters move in a given direction.
 * @module
 */

import { gradients } from "../autograd/gradients.js";
import { treeDot } from "../autograd/transforms.js";
import { isFloating } from "../kernels/dtype.js";
import { alias } from "../ops/composite.js";
import { onesLike } from "../tensor/create.js";
import { formatShape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import { treeLeaves, treeMap, treeUnflatten } from "../tensor/tree.js";

/** Log-probabilities of some responses, nats, `[N]`, as a function of a parameter tree. */
export type ResponsePolicy<P> = (parameters: P) => Tensor;

/**
 * `J·d`, `[N]`: the rate at which each response's log-probability changes when the parameters move by
 * d, in nats per whole step d. To first order it is the change itself. The direction may be any
 * optimizer's update, or a batch's gradient of any loss:
 *
 * `⟨∂s_z/∂θ, d⟩` for each response z, `s = log π_θ`.
 *
 * Costs two backward passes, for any number of responses: no response's own gradient is formed.
 *
 * @param policy Log-probabilities of N responses; not only those trained on.
 * @param parameters The tree where the rate is taken.
 * @param direction A tree of the parameters' structure and shapes.
 * @throws if the policy does not return a floating-point tensor of rank 1, or the trees differ.
 * @example logProbVelocities(policy, parameters, treeMap((after, before) => after.sub(before!), updated, parameters));
 */
export function logProbVelocities<P>(
  policy: ResponsePolicy<P>,
  parameters: P,
  direction: P,
): Tensor {
  const at = treeMap(alias, parameters);
  checkDirection(at, direction);
  const logProbs = responses("logProbVelocities", policy, at, 1);
  return pushForward(logProbs, at, [direction])[0]!;
}

/** What the policy gives at the parameters, checked. */
export function responses<P>(
  caller: string,
  policy: ResponsePolicy<P>,
  parameters: P,
  atLeast: number,
): Tensor {
  const found: unknown = policy(parameters);
  if (!(found instanceof Tensor)) {
    throw new TypeError(`${caller}: the policy must return a tensor, but returned ${typeof found}`);
  }
  if (found.rank !== 1 || found.size < atLeast) {
    const least = atLeast > 1 ? ` with N ≥ ${atLeast}` : "";
    throw new RangeError(
      `${caller}: the policy must return log-probabilities of shape [N]${least}, but returned shape ${formatShape(found.shape)}`,
    );
  }
  if (!isFloating(found.dtype)) {
    throw new TypeError(
      `${caller}: the policy's log-probabilities must be floating point, got ${found.dtype}`,
    );
  }
  return found;
}

/**
 * `J·d` for each direction. The backward pass `u ↦ Jᵀu` is linear in u, so that the gradient of
 * `⟨Jᵀu, d⟩` with respect to u is `J·d`, whatever u.
 */
export function pushForward<P>(
  logProbs: Tensor,
  parameters: P,
  directions: readonly P[],
): Tensor[] {
  const u = alias(onesLike(logProbs));
  const pulled = gradientOf(logProbs, parameters, u);
  return directions.map((direction) => {
    const [column] = gradients(treeDot(pulled, direction), [u]);
    return column!;
  });
}

/** `Jᵀu` as a tree. */
export function gradientOf<P>(logProbs: Tensor, parameters: P, u: Tensor): P {
  return treeUnflatten(parameters, gradients(logProbs, treeLeaves(parameters), u));
}

/** A direction that would broadcast against the parameters is no direction. */
function checkDirection<P>(parameters: P, direction: P): void {
  treeMap(
    (parameter, along) => {
      if (formatShape(parameter.shape) !== formatShape(along!.shape)) {
        throw new RangeError(
          `logProbVelocities: a parameter has shape ${formatShape(parameter.shape)}, its direction ${formatShape(along!.shape)}`,
        );
      }
      return parameter;
    },
    parameters,
    direction,
  );
}
