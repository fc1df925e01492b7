/**
 * Which values of a graph get a buffer. Everything else is computed inside the kernels that need it.
 *
 * A kernel has one root, the value it stores. Reductions, matrix products, scatters and sorts must
 * store their result, or the result of the elementwise operations that follow them (an epilogue).
 * An elementwise value that several kernels need is stored unless computing it again is cheaper
 * than writing and reading it.
 * @module
 */

import { bytesPerElement } from "../kernels/dtype.js";
import { along, axis, delinearize, type Index, linearize, ZERO } from "../kernels/indexing.js";
import { type Shape, sameShape, sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/** Largest number of operations fused into one kernel. */
const LARGEST_KERNEL = 64;
/** Work, in simple operations per element, up to which a value repeated by broadcasting is computed again. */
const CHEAP_IF_REPEATED = 3;
/** How far to look ahead for the point where the users of a result come together. */
const LOOK_AHEAD = 24;
/** Largest number of operations in an epilogue. */
const LARGEST_EPILOGUE = 32;

/** Work of scalar operations, in instructions of a processor; others are one. */
const COST: Readonly<Record<string, number>> = {
  exp: 25,
  log: 35,
  log1p: 35,
  expm1: 30,
  tanh: 30,
  erf: 45,
  pow: 120,
  div: 2,
  sqrt: 2,
};

/** What the partition says of a node. */
export interface Part {
  readonly node: Tensor;
  /** Elements of the node. */
  readonly size: number;
  /** Every output element is one input element, without conditions or lookups. */
  readonly isView: boolean;
  /** Positions of the nodes that use it, each once. */
  readonly users: number[];
  /** How often they do: a square uses its input twice. */
  uses: number;
  /** The node has a buffer. */
  stored: boolean;
  /** For a stored elementwise node that is the epilogue of a reduction or product: that node. */
  source: Tensor | null;
  /** For a reduction or product that ends in an epilogue: the stored node. */
  epilogue: Part | null;
  /** The node lies between a reduction or product and the end of its epilogue. */
  inEpilogue: boolean;
}

/** Whether the node's value exists before the plan runs. */
export function isGiven(node: Tensor): boolean {
  return node.buffer !== null || node.primitive.lowering.kind === "leaf";
}

function isHeavy(node: Tensor): boolean {
  const { kind } = node.primitive.lowering;
  return kind === "reduce" || kind === "matmul" || kind === "scatter" || kind === "sort";
}

function isView(node: Tensor): boolean {
  const { lowering } = node.primitive;
  if (lowering.kind === "reshape") return true;
  if (lowering.kind !== "read") return false;
  let plain = true;
  const scope = {
    require: () => {
      plain = false;
    },
    lookup: (): Index => {
      plain = false;
      return ZERO;
    },
  };
  lowering.source(
    node.shape.map(() => ZERO),
    node,
    scope,
  );
  return plain;
}

/** Whether the node's elements are its input's in the same row-major order. */
function keepsOrder({ node, isView }: Part): boolean {
  const { lowering } = node.primitive;
  if (lowering.kind !== "read") return lowering.kind === "reshape";
  if (!isView) return false;
  const at = node.shape.map((extent) => along(axis(extent + 1)));
  const source = lowering.source(at, node, {
    require: () => {},
    lookup: () => ZERO,
  });
  return source.length === at.length && source.every((index, d) => index === at[d]);
}

/** Whether elements of the two shapes correspond in row-major order by an affine index. */
function relabels(from: Shape, to: Shape): boolean {
  if (sameShape(from, to)) return true;
  const at = from.map((extent) => along(axis(extent)));
  return sizeOf(from) === sizeOf(to) && delinearize(linearize(at, from), to) !== null;
}

/**
 * Decides for every node that is not given. `nodes` is in topological order, and each node's
 * `position` is its place there. A value that several kernels need is computed again up to `cheap`
 * simple operations per element.
 */
export function partition(
  nodes: readonly Tensor[],
  outputs: ReadonlySet<Tensor>,
  cheap: number,
): Part[] {
  const parts: Part[] = nodes.map((node) => ({
    node,
    size: sizeOf(node.shape),
    isView: isView(node),
    users: [],
    uses: 0,
    stored: isGiven(node) || outputs.has(node),
    source: null,
    epilogue: null,
    inEpilogue: false,
  }));
  const partOf = (node: Tensor): Part => parts[node.position]!;
  for (const { node } of parts) {
    if (isGiven(node)) continue;
    for (const input of node.inputs) {
      const part = partOf(input);
      part.uses++;
      if (part.users.at(-1) !== node.position) part.users.push(node.position);
    }
  }
  storeOperands(parts, partOf);
  // Later results first: of a sum of products, the last takes the sum so far as its epilogue, and no
  // two products are kept.
  for (const part of [...parts].reverse()) {
    if (part.stored) continue;
    const { kind } = part.node.primitive.lowering;
    if (kind === "reduce" || kind === "matmul") attachEpilogue(part, parts, outputs);
    if (isHeavy(part.node) && part.epilogue === null) part.stored = true;
  }
  while (storeShared(parts, costs(parts, partOf), cheap));
  return parts;
}

/** Products read strided buffers and sorts contiguous ones, so their operands are stored. */
function storeOperands(parts: readonly Part[], partOf: (node: Tensor) => Part): void {
  for (const { node } of parts) {
    if (isGiven(node)) continue;
    const { kind } = node.primitive.lowering;
    if (kind === "sort") partOf(node.inputs[0]!).stored = true;
    if (kind !== "matmul") continue;
    for (const operand of node.inputs) {
      let base = operand;
      while (!isGiven(base) && !partOf(base).stored && partOf(base).isView) base = base.inputs[0]!;
      if (!isHeavy(base)) partOf(base).stored = true;
    }
  }
}

/** Work per element of each node when it is computed inside a kernel; long chains are cut. */
function costs(parts: readonly Part[], partOf: (node: Tensor) => Part): Float64Array {
  const cost = new Float64Array(parts.length);
  const length = new Uint32Array(parts.length);
  for (const [position, part] of parts.entries()) {
    const { node } = part;
    const { lowering } = node.primitive;
    if (lowering.kind === "constant" || lowering.kind === "iota") continue;
    if (isGiven(node) || isHeavy(node)) {
      cost[position] = 1;
      continue;
    }
    const own = lowering.kind === "map" ? (COST[lowering.operation] ?? 1) : 0;
    let total = own;
    let count = 1;
    for (const [i, input] of node.inputs.entries()) {
      if (node.inputs.indexOf(input) < i) continue;
      const inside = !partOf(input).stored;
      total += inside ? cost[input.position]! : 1;
      count += inside ? length[input.position]! : 0;
    }
    if (count > LARGEST_KERNEL && !part.inEpilogue) part.stored = true;
    cost[position] = total;
    length[position] = count;
  }
  return cost;
}

/** Moves the store of a reduction or product to the last elementwise operation that only it leads to. */
function attachEpilogue(part: Part, parts: readonly Part[], outputs: ReadonlySet<Tensor>): void {
  const { shape } = part.node;
  const { size } = part;
  // A product's epilogue overwrites the product.
  const inPlace = part.node.primitive.lowering.kind === "matmul";
  const fits = (next: Part): boolean =>
    !next.inEpilogue &&
    next.size === size &&
    (next.node.primitive.lowering.kind === "map" || keepsOrder(next)) &&
    relabels(shape, next.node.shape);
  const region: Part[] = [];
  let current = part;
  while (!outputs.has(current.node) && region.length < LARGEST_EPILOGUE) {
    const inside = untilMeeting(current, parts, fits, outputs);
    if (inside === null) break;
    region.push(...inside);
    current = inside[inside.length - 1]!;
    const { primitive, dtype } = current.node;
    const isEnd = primitive.lowering.kind === "map" || current.stored;
    if (isEnd && (!inPlace || bytesPerElement(dtype) === bytesPerElement(part.node.dtype))) {
      part.epilogue = current;
      for (const one of region) one.inEpilogue = true;
    }
    if (current.stored) break;
  }
  if (part.epilogue) {
    part.epilogue.source = part.node;
    part.epilogue.stored = true;
  }
}

/**
 * The nodes up to and including the first one through which every path from `from` goes (its sole
 * user, or where several users come together again), if all of them fit.
 */
function untilMeeting(
  from: Part,
  parts: readonly Part[],
  fits: (part: Part) => boolean,
  outputs: ReadonlySet<Tensor>,
): Part[] | null {
  const open = new Set(from.users);
  const passed: Part[] = [];
  while (open.size > 0 && passed.length < LOOK_AHEAD) {
    const first = Math.min(...open);
    const part = parts[first]!;
    if (!fits(part)) return null;
    passed.push(part);
    if (open.size === 1) return passed;
    if (part.stored || outputs.has(part.node)) return null;
    open.delete(first);
    for (const user of part.users) open.add(user);
  }
  return null;
}

const NOWHERE = -1;
const SEVERAL = -2;

/**
 * Stores what several kernels need and is not cheap; of a chain of such values only the first, since
 * that may make the others cheap. Returns whether there was any.
 */
function storeShared(parts: readonly Part[], cost: Float64Array, cheap: number): boolean {
  const isCandidate = candidates(parts, cost, cheap);
  // Nodes computed, inside their kernels, from a candidate.
  const follows = new Uint8Array(parts.length);
  let any = false;
  for (const [position, part] of parts.entries()) {
    if (part.stored) continue;
    const after = part.node.inputs.some(
      ({ position: input }) =>
        !parts[input]!.stored && (isCandidate[input] === 1 || follows[input] === 1),
    );
    follows[position] = Number(after);
  }
  for (const [position, part] of parts.entries()) {
    if (isCandidate[position] === 1 && follows[position] === 0) {
      part.stored = true;
      any = true;
    }
  }
  return any;
}

/** Nodes whose value costs too much to be computed in every kernel that needs it. */
function candidates(parts: readonly Part[], cost: Float64Array, cheap: number): Uint8Array {
  const found = new Uint8Array(parts.length);
  // The kernel each node is computed in, named by the position of its root.
  const home = new Int32Array(parts.length).fill(NOWHERE);
  for (let position = parts.length - 1; position >= 0; position--) {
    const part = parts[position]!;
    if (isGiven(part.node)) continue;
    let kernel = NOWHERE;
    let repeated = false;
    for (const user of part.users) {
      const using = parts[user]!;
      const where = home[user]!;
      kernel = kernel === NOWHERE || kernel === where ? where : SEVERAL;
      repeated ||= using.size > part.size && !isHeavy(using.node);
    }
    if (part.epilogue) kernel = part.epilogue.node.position;
    home[position] = part.stored ? position : kernel;
    const { kind } = part.node.primitive.lowering;
    const canStore = kind === "map" || (kind === "read" && !part.isView);
    if (part.stored || !canStore || kernel === NOWHERE || part.inEpilogue) continue;
    const limit = repeated ? CHEAP_IF_REPEATED : kernel === SEVERAL ? cheap : Infinity;
    if (cost[position]! > limit) found[position] = 1;
  }
  return found;
}
