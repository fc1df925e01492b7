/**
 * Reverse-mode differentiation. A gradient is more graph, built from the operations' own rules, so
 * it can be differentiated again.
 * @module
 */

import { isFloating } from "../kernels/dtype.js";
import { add } from "../ops/elementwise.js";
import { constant } from "../tensor/create.js";
import { REALIZED } from "../tensor/primitive.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/** The nodes a gradient passes to: the inputs of the node's rule or of its primitive. */
function gradientInputs(node: Tensor): readonly Tensor[] {
  if (node.rule?.kind === "custom") return node.rule.inputs;
  if (node.rule?.kind === "recompute" || node.primitive.vjp) return node.inputs;
  return [];
}

/** Puts a node into a list that ascends by age, unless it is there. Most nodes belong near its end. */
function insert(list: Tensor[], node: Tensor): void {
  let low = 0;
  for (let high = list.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (list[middle]!._id < node._id) low = middle + 1;
    else high = middle;
  }
  if (list[low] !== node) list.splice(low, 0, node);
}

/**
 * Gradients of `y` with respect to each of `xs`: `Σ_i cotangent_i · ∂y_i/∂x`. Differentiable again.
 * A tensor that `y` does not depend on has gradient zero. What {@link realize} has evaluated is a
 * leaf: take gradients first, or with respect to it.
 *
 * @param cotangent Weights of y's elements, of y's shape; default ones (so the gradient of the sum).
 * @throws if y or an x is not floating point, or y reaches no x and what it was computed of was
 * forgotten in {@link realize}.
 */
export function gradients(y: Tensor, xs: readonly Tensor[], cotangent?: Tensor): Tensor[] {
  for (const t of [y, ...xs]) {
    if (isFloating(t.dtype)) continue;
    throw new TypeError(
      `gradients: ${t === y ? "y" : "an x"} is ${t.dtype}; only floating-point tensors have gradients`,
    );
  }
  if (cotangent && !sameShape(cotangent.shape, y.shape)) {
    throw new RangeError(
      `gradients: the cotangent has shape ${formatShape(cotangent.shape)}, y has ${formatShape(y.shape)}`,
    );
  }
  const targets = new Set(xs);
  const oldest = xs.reduce((least, x) => Math.min(least, x._id), Number.POSITIVE_INFINITY);
  const forgotten: Tensor[] = [];
  const leadsToTarget = dependence(targets, oldest, forgotten);
  const cotangents = new Map<Tensor, Tensor>();
  // Nodes still to be processed, newest last: a node is newer than all that it is made of.
  const frontier: Tensor[] = [];

  const accumulate = (node: Tensor, contribution: Tensor): void => {
    if (!leadsToTarget(node)) return;
    const sofar = cotangents.get(node);
    cotangents.set(node, sofar ? add(sofar, contribution) : contribution);
    insert(frontier, node);
  };

  accumulate(y, cotangent ?? constant(y.shape, 1, y.dtype));
  for (let node = frontier.pop(); node; node = frontier.pop()) {
    const g = cotangents.get(node)!;
    if (!targets.has(node)) cotangents.delete(node);
    const { rule } = node;
    if (rule?.kind === "recompute") {
      accumulate(rule.recompute(), g);
      continue;
    }
    const inputs = gradientInputs(node);
    if (!inputs.some(leadsToTarget)) continue;
    const contributions = rule ? rule.gradient(g) : node.primitive.vjp!(g, node);
    contributions.forEach((contribution, i) => {
      const input = inputs[i];
      if (contribution && input) accumulate(input, contribution);
    });
  }
  if (forgotten[0] && !xs.some((x) => cotangents.has(x))) {
    throw new Error(
      `gradients: y does not reach any x: realize forgot how ${forgotten[0]} was computed; ` +
        "take gradients before realize, or with respect to that tensor",
    );
  }
  return xs.map((x) => cotangents.get(x) ?? constant(x.shape, 0, x.dtype));
}

/**
 * A memoised test for whether a gradient that reaches a node goes on to a target. Nodes whose inputs are
 * forgotten, and may have led to a target, are added to `forgotten`.
 */
function dependence(
  targets: ReadonlySet<Tensor>,
  oldest: number,
  forgotten: Tensor[],
): (node: Tensor) => boolean {
  const known = new Map<Tensor, boolean>();
  return (start) => {
    const stack = [start];
    while (stack.length > 0) {
      const node = stack[stack.length - 1]!;
      if (known.has(node)) {
        stack.pop();
      } else if (targets.has(node)) {
        known.set(node, true);
      } else if (node._id < oldest) {
        // Inputs are older than the nodes that use them, so no target lies behind.
        known.set(node, false);
      } else {
        if (node.primitive === REALIZED) forgotten.push(node);
        const inputs = gradientInputs(node);
        const open = inputs.filter((input) => !known.has(input));
        for (const input of open) stack.push(input);
        if (open.length === 0)
          known.set(node, isFloating(node.dtype) && inputs.some((input) => known.get(input)));
      }
    }
    return known.get(start)!;
  };
}
