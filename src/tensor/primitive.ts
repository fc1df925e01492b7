/**
 * What an operation tells the rest of the library: its name, how its gradient is built, and how it
 * lowers to the kernel language.
 * @module
 */

import type { Index } from "../kernels/indexing.js";
import type { Reduction, ScalarOperation } from "../kernels/kernel.js";
import type { Tensor } from "./tensor.js";

/**
 * What completes a primitive: numbers and lists of numbers by name, such as a reduction's axes. They are
 * part of a plan's structure. A primitive's attributes have one type, and every node of it lists them in
 * one order.
 */
export interface Attributes {
  readonly [name: string]: number | readonly number[];
}

/** The attributes of a primitive that needs none. */
export type NoAttributes = { readonly [name: string]: never };
/** The attributes of a node whose primitive needs none. */
export const NO_ATTRIBUTES: NoAttributes = {};

/** A node of a primitive with attributes of type A. */
export type NodeOf<A extends Attributes> = Tensor & { readonly attributes: A };

/** What an operation may ask for while it says which element of its input an output element reads. */
export interface IndexScope {
  /** Outside `0 ≤ index < size` the element is `otherwise` instead of the input's. */
  require(index: Index, size: number, otherwise: 0 | "nan"): void;
  /** The value of an int32 tensor at an index, for use as an index into `size` elements; outside, the element is `otherwise`. */
  lookup(indices: Tensor, at: readonly Index[], size: number, otherwise: 0 | "nan"): Index;
}

/** How a node of a primitive with attributes of type A becomes part of a kernel. */
export type Lowering<A extends Attributes = Attributes> =
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
      source(at: readonly Index[], node: NodeOf<A>, scope: IndexScope): readonly Index[];
      /** An explanation does not mention the operation. Default: it does. */
      readonly isSilent?: boolean;
    }
  /** The same elements in row-major order under another shape. */
  | { readonly kind: "reshape" }
  /** Reduces some axes of input 0. */
  | {
      readonly kind: "reduce";
      readonly operation: Reduction;
      axes(node: NodeOf<A>): readonly number[];
    }
  /** `[batch, m, k] × [batch, k, n]`. */
  | { readonly kind: "matmul" }
  /**
   * Adds each element of input 1 to a zeroed output at the place `target` gives. With a `base`, the elements
   * take the places of some of that input's, a run in row-major order.
   */
  | {
      readonly kind: "scatter";
      /** The number of an input. Default: none. */
      readonly base?: number;
      target(at: readonly Index[], node: NodeOf<A>, scope: IndexScope): readonly Index[];
    }
  /** Stable ascending order along the last axis. */
  | { readonly kind: "sort" };

/** Cotangents of a node's inputs, in order; null where none flows. Built from public operations only. */
export type VectorJacobianProduct<A extends Attributes = NoAttributes> = (
  cotangent: Tensor,
  node: NodeOf<A>,
) => readonly (Tensor | null)[];

/** An operation of the graph whose nodes have attributes of type A. */
export interface Primitive<A extends Attributes = NoAttributes> {
  readonly name: string;
  /** Distinguishes primitives in structural keys. */
  readonly id: number;
  readonly lowering: Lowering<A>;
  /** null: no gradient flows through the operation. */
  readonly vjp: VectorJacobianProduct<A> | null;
}

let count = 0;

/** Declares a primitive. */
/* @__NO_SIDE_EFFECTS__ */
export function primitive<A extends Attributes = NoAttributes>(
  name: string,
  lowering: Lowering<A>,
  vjp: VectorJacobianProduct<A> | null,
): Primitive<A> {
  return { name, id: count++, lowering, vjp };
}

/** A tensor whose memory {@link realizeInto} had for its results. */
export const GIVEN_UP: Primitive<Attributes> = /* @__PURE__ */ primitive(
  "given up",
  { kind: "leaf" },
  null,
);

/** A tensor whose elements are given. */
export const LEAF: Primitive<Attributes> = /* @__PURE__ */ primitive(
  "tensor",
  { kind: "leaf" },
  null,
);

/** The same where the elements were computed, and how is forgotten. */
export const REALIZED: Primitive<Attributes> = /* @__PURE__ */ primitive(
  "tensor",
  { kind: "leaf" },
  null,
);

/** A tensor of one repeated value; the value is no part of a plan's structure. */
export const FULL = /* @__PURE__ */ primitive("full", { kind: "constant" }, null);

/** The same for numbers in a formula. Nobody can differentiate with respect to one, so operations may simplify it away. */
export const CONSTANT = /* @__PURE__ */ primitive("constant", { kind: "constant" }, null);
