/**
 * Reverse-mode differentiation. A gradient is more graph, built from the operations' own rules, so
 * it can be differentiated again.
 * @module
 */

import { isFloating } from "../kernels/dtype.js";
import { add } from "../ops/elementwise.js";
import { constant } from "../tensor/create.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/** The nodes a gradient passes to: the inputs of the node's rule or of its primitive. */
function gradientInputs(node: Tensor): readonly Tensor[] {
  if (node.rule?.kind === "custom") return node.rule.inputs;
  if (node.rule?.kind === "recompute" || node.primitive.vjp) return node.inputs;
  return [];
}

/** Nodes still to be processed, newest first: a node comes after everything that uses it. */
class Frontier {
  private readonly heap: Tensor[] = [];
  private readonly members = new Set<Tensor>();

  push(node: Tensor): void {
    if (this.members.has(node)) return;
    this.members.add(node);
    const { heap } = this;
    let at = heap.push(node) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.id >= node.id) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = node;
  }

  pop(): Tensor | undefined {
    const { heap } = this;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined) return undefined;
    this.members.delete(top);
    if (heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.id > heap[child]!.id) child++;
      if (heap[child]!.id <= last.id) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

/**
 * Gradients of `y` with respect to each of `xs`: `Σ_i cotangent_i · ∂y_i/∂x`. Differentiable again.
 * A tensor that `y` does not depend on has gradient zero. What {@link realize} has evaluated is a
 * leaf: take gradients first, or with respect to it.
 *
 * @param cotangent Weights of y's elements, of y's shape; default ones (so the gradient of the sum).
 * @throws if y or an x is not floating point.
 */
export function gradients(y: Tensor, xs: readonly Tensor[], cotangent?: Tensor): Tensor[] {
  if (!isFloating(y.dtype)) {
    throw new TypeError(`gradients: y is ${y.dtype}; only floating-point tensors have gradients`);
  }
  for (const x of xs) {
    if (!isFloating(x.dtype)) {
      throw new TypeError(
        `gradients: cannot differentiate with respect to a tensor of dtype ${x.dtype}`,
      );
    }
  }
  if (cotangent && !sameShape(cotangent.shape, y.shape)) {
    throw new RangeError(
      `gradients: the cotangent has shape ${formatShape(cotangent.shape)}, y has ${formatShape(y.shape)}`,
    );
  }
  const targets = new Set(xs);
  const oldest = xs.reduce((least, x) => Math.min(least, x.id), Number.POSITIVE_INFINITY);
  const leadsToTarget = dependence(targets, oldest);
  const cotangents = new Map<Tensor, Tensor>();
  const frontier = new Frontier();

  const accumulate = (node: Tensor, contribution: Tensor): void => {
    if (!leadsToTarget(node)) return;
    const sofar = cotangents.get(node);
    cotangents.set(node, sofar ? add(sofar, contribution) : contribution);
    frontier.push(node);
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
  return xs.map((x) => cotangents.get(x) ?? constant(x.shape, 0, x.dtype));
}

/** A memoised test for whether a gradient that reaches a node goes on to a target. */
function dependence(targets: ReadonlySet<Tensor>, oldest: number): (node: Tensor) => boolean {
  const known = new Map<Tensor, boolean>();
  return (start) => {
    const stack = [start];
    while (stack.length > 0) {
      const node = stack[stack.length - 1]!;
      if (known.has(node)) {
        stack.pop();
      } else if (targets.has(node)) {
        known.set(node, true);
      } else if (node.id < oldest) {
        // Inputs are older than the nodes that use them, so no target lies behind.
        known.set(node, false);
      } else {
        const inputs = gradientInputs(node);
        const open = inputs.filter((input) => !known.has(input));
        if (open.length > 0) stack.push(...open);
        else known.set(node, isFloating(node.dtype) && inputs.some((input) => known.get(input)));
      }
    }
    return known.get(start)!;
  };
}
