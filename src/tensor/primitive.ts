/**
 * What an operation tells the rest of the library: its name, how its gradient is built, and how it
 * lowers to the kernel language.
 * @module
 */

import type { Index } from "../kernels/indexing.js";
import type { Reduction, ScalarOperation } from "../kernels/kernel.js";
import type { Tensor } from "./tensor.js";

/** What an operation may ask for while it says which element of its input an output element reads. */
export interface IndexScope {
  /** Outside `0 ≤ index < size` the element is `otherwise` instead of the input's. */
  require(index: Index, size: number, otherwise: 0 | "nan"): void;
  /** The value of an int32 tensor at an index, for use as an index into `size` elements; outside, the element is `otherwise`. */
  lookup(indices: Tensor, at: readonly Index[], size: number, otherwise: 0 | "nan"): Index;
}

/** How a node becomes part of a kernel. */
export type Lowering =
  /** Its elements are given. */
  | { readonly kind: "leaf" }
  /** Every element is the node's `value`. */
  | { readonly kind: "constant" }
  /** Element i of the flattened tensor is the integer i. */
  | { readonly kind: "iota" }
  /** A scalar function of equally shaped inputs. */
  | { readonly kind: "map"; readonly operation: ScalarOperation }
  /** Each output element is one element of input 0, or a fill value where the scope's conditions fail. */
  | {
      readonly kind: "read";
      source(at: readonly Index[], node: Tensor, scope: IndexScope): readonly Index[];
    }
  /** The same elements in row-major order under another shape. */
  | { readonly kind: "reshape" }
  /** Reduces the axes listed in the node's attributes. */
  | { readonly kind: "reduce"; readonly operation: Reduction }
  /** `[batch, m, k] × [batch, k, n]`. */
  | { readonly kind: "matmul" }
  /** Adds each element of input 1 to a zeroed output at the place `target` gives. */
  | {
      readonly kind: "scatter";
      target(at: readonly Index[], node: Tensor, scope: IndexScope): readonly Index[];
    }
  /** Stable ascending order along the last axis. */
  | { readonly kind: "sort" };

/** Cotangents of a node's inputs, in order; null where none flows. Built from public operations only. */
export type VectorJacobianProduct = (cotangent: Tensor, node: Tensor) => readonly (Tensor | null)[];

/** An operation of the graph. */
export interface Primitive {
  readonly name: string;
  /** Distinguishes primitives in structural keys. */
  readonly id: number;
  readonly lowering: Lowering;
  /** null: no gradient flows through the operation. */
  readonly vjp: VectorJacobianProduct | null;
}

let count = 0;

/** Declares a primitive. */
/* @__NO_SIDE_EFFECTS__ */
export function primitive(
  name: string,
  lowering: Lowering,
  vjp: VectorJacobianProduct | null,
): Primitive {
  return { name, id: count++, lowering, vjp };
}

/** A tensor whose elements are given. */
export const LEAF: Primitive = /* @__PURE__ */ primitive("tensor", { kind: "leaf" }, null);

/** A tensor of one repeated value; the value is no part of a plan's structure. */
export const FULL: Primitive = /* @__PURE__ */ primitive("full", { kind: "constant" }, null);

/** The same for numbers in a formula. Nobody can differentiate with respect to one, so operations may simplify it away. */
export const CONSTANT: Primitive = /* @__PURE__ */ primitive(
  "constant",
  { kind: "constant" },
  null,
);
