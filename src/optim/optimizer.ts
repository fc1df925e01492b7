/**
 * What an optimizer is: a pair of functions over parameter trees, whose updates are graph.
 * @module
 */

import { checkNumber, describeValue, isPlainObject } from "../checks.js";
import { isFloating } from "../kernels/dtype.js";
import { tensor } from "../tensor/create.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import {
  mapTrees,
  parameterLeaves,
  type Tree,
  treeMap,
  treeNamed,
  treeUnflatten,
} from "../tensor/tree.js";
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
   * @throws if a parameter is not floating point, or one tensor is at two places.
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

/** The state of what remembers nothing. */
export type NoState = Readonly<Record<string, never>>;

/** What the state of every optimizer that counts its updates has. */
export interface OptimizerState {
  /** Updates made so far. A plain number: it enters an update's plan as a value only. */
  readonly step: number;
}

/** Rejects parameters that no gradient reaches, and one tensor at two places: an update would make two of it. */
export function checkParameters(name: string, parameters: unknown): void {
  for (const { dtype } of parameterLeaves(name, parameters)) {
    if (!isFloating(dtype)) {
      throw new TypeError(`${name}: parameters must be floating point, found ${dtype}`);
    }
  }
  const places = new Map<Tensor, string>();
  for (const [place, parameter] of Object.entries(treeNamed(parameters))) {
    const other = places.get(parameter);
    if (other !== undefined) {
      throw new TypeError(
        `${name}: the parameters ${other} and ${place} are one tensor, which an update would untie; ` +
          "keep a shared parameter at one place and use it twice, or make a tensor for each",
      );
    }
    places.set(parameter, place);
  }
}

/**
 * Rejects what `init` of the same optimizer or link did not make: arguments in another order, another
 * one's state.
 * @param needed The keys a state has.
 * @param optional Those it may have.
 */
export function checkOptimizerState(
  name: string,
  state: object,
  needed: readonly string[],
  optional: readonly string[] = [],
): void {
  const found = isPlainObject(state) ? Object.keys(state) : [];
  const own = needed.every((key) => found.includes(key));
  if (own && found.every((key) => needed.includes(key) || optional.includes(key))) return;
  throw new TypeError(
    `${name}: takes (gradients, state, parameters), the state as ${name}(…).init made it: ` +
      `{ ${needed.join(", ")} }, got ${found.length > 0 ? `{ ${found.join(", ")} }` : describeValue(state)}`,
  );
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
  parameterLeaves(name, parameters);
  const columns: Tensor[][] = moments.map(() => []);
  const next = mapTrees(
    name,
    ["the parameters", "the gradients", ...moments.map(() => "the state's moments")],
    (parameter, gradient, ...own) => {
      for (const [i, t] of [gradient!, ...own].entries()) {
        checkFits(name, parameter, i === 0 ? "gradient" : "moment in the state", t);
      }
      const [changed, ...changedMoments] = rule(parameter, gradient!, ...own);
      for (const [i, moment] of changedMoments.entries()) columns[i]!.push(moment);
      return changed;
    },
    parameters,
    [gradients, ...moments],
  );
  return [next, columns.map((leaves) => treeUnflatten(parameters, leaves) as Tree)];
}

/** Rejects a tensor that is not like the parameter whose gradient, moment or average it is. */
export function checkFits(name: string, parameter: Tensor, role: string, t: Tensor): void {
  if (sameShape(t.shape, parameter.shape) && t.dtype === parameter.dtype) return;
  throw new RangeError(
    `${name}: a parameter is ${describe(parameter)}, its ${role} ${describe(t)}`,
  );
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

/** A number that may change from step to step as a schedule, its values checked. */
export function scheduled(
  name: string,
  option: string,
  value: number | Schedule,
  holds: (value: number) => boolean = (x) => x >= 0,
  condition = "≥ 0",
): Schedule {
  if (typeof value !== "function") {
    checkNumber(name, option, value, holds, `${condition} or a schedule`);
    return () => value;
  }
  return (step) => {
    const current = value(step);
    if (!(Number.isFinite(current) && holds(current))) {
      throw new RangeError(
        `${name}: the schedule gave ${option} ${current} at step ${step}, and no number ${condition}`,
      );
    }
    return current;
  };
}
