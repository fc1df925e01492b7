/**
 * What an optimizer is: a pair of functions over parameter trees, whose updates are graph.
 * @module
 */

import { isFloating } from "../kernels/dtype.js";
import { tensor } from "../tensor/create.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { type Tree, treeLeaves, treeMap, treeUnflatten } from "../tensor/tree.js";
import type { Schedule } from "./schedules.js";

/**
 * An optimizer: `init` makes the state for a tree of parameters, `update` makes new parameters and
 * a new state from gradients. Nothing is changed in place. An update is built from tensor
 * operations, so it can be differentiated, to any order, with respect to gradients, state and
 * parameters: inner loops unroll. A training step evaluates it and lets go of its history:
 *
 * @example
 * const optimizer = adamw({ learningRate: 1e-3 });
 * let state = optimizer.init(parameters);
 * for (const batch of batches) {
 *   const [loss, gradient] = valueAndGrad(lossOf)(parameters, batch);
 *   [parameters, state] = optimizer.update(gradient, state, parameters);
 *   await realize(parameters, state, loss);
 * }
 */
export interface Optimizer<State = unknown> {
  /**
   * The state before the first update: moments of zero, of the parameters' structure.
   * @throws if a parameter is not floating point.
   */
  init<P>(parameters: P): State;
  /**
   * One step against the gradients.
   * @param gradients A tree of the parameters' structure, shapes and dtypes.
   * @returns the new parameters and the state of the next update.
   * @throws if gradients or state do not fit the parameters.
   */
  update<P>(gradients: P, state: State, parameters: P): [parameters: P, state: State];
}

/** What every optimizer's state has. */
export interface OptimizerState {
  /** Updates made so far. A plain number: it enters an update's plan as a value only. */
  readonly step: number;
}

/** Rejects parameters that no gradient reaches. */
export function checkParameters(name: string, parameters: unknown): void {
  for (const { dtype } of treeLeaves(parameters)) {
    if (!isFloating(dtype)) {
      throw new TypeError(`${name}: parameters must be floating point, found ${dtype}`);
    }
  }
}

/**
 * Zeros of the parameters' structure. They are elements, not constants, so that the first update
 * has the same plan as all later ones.
 */
export function zeroMoments(name: string, parameters: unknown): Tree {
  checkParameters(name, parameters);
  return treeMap(
    ({ shape, dtype, size }) => tensor(new Float32Array(size), { shape, dtype }),
    parameters as Tree,
  );
}

/** How one parameter and its moments change. */
export type UpdateRule = (
  parameter: Tensor,
  gradient: Tensor,
  ...moments: Tensor[]
) => [parameter: Tensor, ...moments: Tensor[]];

/** Applies a rule to every parameter with what has its place in the trees of gradients and moments. */
export function updateTree<P>(
  name: string,
  rule: UpdateRule,
  parameters: P,
  gradients: P,
  ...moments: Tree[]
): [parameters: P, moments: Tree[]] {
  const columns: Tensor[][] = moments.map(() => []);
  const next = treeMap(
    (parameter, gradient, ...own) => {
      for (const [i, t] of [gradient!, ...own].entries()) {
        if (!sameShape(t.shape, parameter.shape) || t.dtype !== parameter.dtype) {
          const role = i === 0 ? "gradient" : "moment in the state";
          throw new RangeError(
            `${name}: a parameter is ${describe(parameter)}, its ${role} ${describe(t)}`,
          );
        }
      }
      const [changed, ...changedMoments] = rule(parameter, gradient!, ...own);
      for (const [i, moment] of changedMoments.entries()) columns[i]!.push(moment);
      return changed;
    },
    parameters,
    gradients,
    ...moments,
  );
  return [next, columns.map((leaves) => treeUnflatten(parameters, leaves) as Tree)];
}

function describe(t: Tensor): string {
  return `${t.dtype}${formatShape(t.shape)}`;
}

/** The state's velocity as moments for {@link updateTree}: none without momentum. */
export function velocityOf(name: string, momentum: number, velocity: Tree | undefined): Tree[] {
  if (momentum === 0) return [];
  if (velocity === undefined) {
    throw new TypeError(
      `${name}: the state has no velocity; make it with init of an optimizer with momentum`,
    );
  }
  return [velocity];
}

/** A learning rate as a schedule, its values checked. */
export function scheduled(name: string, learningRate: number | Schedule): Schedule {
  if (typeof learningRate === "number") {
    checkOption(name, "learningRate", learningRate, learningRate >= 0, "≥ 0 or a schedule");
    return () => learningRate;
  }
  return (step) => {
    const rate = learningRate(step);
    if (!(Number.isFinite(rate) && rate >= 0)) {
      throw new RangeError(`${name}: the schedule gave learning rate ${rate} at step ${step}`);
    }
    return rate;
  };
}

/** Rejects an option that is not a finite number or does not satisfy a condition. */
export function checkOption(
  name: string,
  option: string,
  value: number,
  holds: boolean,
  condition: string,
): void {
  if (!(Number.isFinite(value) && holds)) {
    throw new RangeError(`${name}: ${option} must be a number ${condition}, got ${value}`);
  }
}
