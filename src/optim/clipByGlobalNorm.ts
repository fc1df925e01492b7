/**
 * Gradient clipping.
 * @module
 */

import { checkNumber } from "../checks.js";
import { add, cast, div, maximum, mul, square } from "../ops/elementwise.js";
import { sum } from "../ops/reduce.js";
import type { Tensor } from "../tensor/tensor.js";
import { treeLeaves, treeMap } from "../tensor/tree.js";
import { softRoot } from "./softRoot.js";

/** Makes derivatives finite at norm 0, also in float32, and too small for norms below its root. */
const DELTA = 1e-24;

/**
 * Scales a tree of gradients so that its global norm, `‖g‖ = √(Σ over all tensors and elements of
 * g²)`, is at most `maxNorm`: `g · maxNorm/max(‖g‖, maxNorm)` (Pascanu et al. 2013, arXiv
 * 1211.5063). Gradients that are all zero stay zero. Differentiable.
 *
 * @returns the clipped gradients and the norm before clipping, a scalar.
 * @throws if `maxNorm` is not a number > 0, or there are no gradients.
 */
export function clipByGlobalNorm<P>(gradients: P, maxNorm: number): [gradients: P, norm: Tensor] {
  checkNumber("clipByGlobalNorm", "maxNorm", maxNorm, (norm) => norm > 0, "> 0");
  const [first, ...rest] = treeLeaves(gradients).map((g) => sum(square(g)));
  if (!first) throw new RangeError("clipByGlobalNorm: the tree has no tensors");
  const norm = softRoot(
    rest.reduce((total, term) => add(total, term), first),
    DELTA,
  );
  const scale = div(maxNorm, maximum(norm, maxNorm));
  return [treeMap((g) => mul(g, cast(scale, g.dtype)), gradients), norm];
}
