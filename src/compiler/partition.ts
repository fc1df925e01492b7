/**
 * Which values of a graph get a buffer. Everything else is computed inside the kernels that need it.
 *
 * A kernel has one root, the value it stores. Reductions, matrix products, scatters and sorts must
 * store their result, or the result of the elementwise operations that follow them (an epilogue).
 * An elementwise value that several kernels need is stored unless computing it again is cheaper
 * than writing and reading it.
 * @module
 */

import { bytesPerElement, isFloating } from "../kernels/dtype.js";
import { along, axis, delinearize, type Index, linearize, ZERO } from "../kernels/indexing.js";
import type { ScalarOperation } from "../kernels/kernel.js";
import { type Shape, sameShape, sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/** Largest number of operations fused into one kernel. */
const LARGEST_KERNEL = 64;
/** A value repeated by broadcasting is computed again up to this much work, in instructions per element. */
const REPEATED_RECOMPUTE_LIMIT = 3;
/** How many nodes to follow in search of the point where the users of a result come together. */
const LOOK_AHEAD = 24;
/** Largest number of operations in an epilogue. */
const LARGEST_EPILOGUE = 32;

/** What the partition knows of a scalar operation. */
interface ScalarTraits {
  /** Work per element, in instructions of a processor. */
  readonly cost: number;
  /** Its results need no rounding, so every kernel computes the same bits. */
  readonly isExact: boolean;
}
const exact = (cost: number): ScalarTraits => ({ cost, isExact: true });
const rounded = (cost: number): ScalarTraits => ({ cost, isExact: false });

const SCALARS: Readonly<Record<ScalarOperation, ScalarTraits>> = {
  neg: exact(1),
  abs: exact(1),
  sign: exact(1),
  floor: exact(1),
  ceil: exact(1),
  round: exact(1),
  not: exact(1),
  sqrt: rounded(2),
  exp: rounded(25),
  expm1: rounded(30),
  log: rounded(35),
  log1p: rounded(35),
  tanh: rounded(30),
  erf: rounded(45),
  sin: rounded(50),
  cos: rounded(50),
  add: rounded(1),
  sub: rounded(1),
  mul: rounded(1),
  div: rounded(2),
  pow: rounded(120),
  maximum: exact(1),
  minimum: exact(1),
  equal: exact(1),
  less: exact(1),
  lessEqual: exact(1),
  and: exact(1),
  or: exact(1),
  where: exact(1),
  cast: exact(1),
};

/**
 * What the partition says of a node. Parts stand at the nodes' positions, and belong to one compilation:
 * the next traversal of a graph moves the positions.
 */
export interface Part {
  readonly node: Tensor;
  /** Elements of the node. */
  readonly size: number;
  /** Every output element is one input element, without conditions or lookups. */
  readonly isView: boolean;
  /** Positions of the nodes that use it, each once. */
  readonly users: number[];
  /** How often they use it: a square uses its input twice. */
  uses: number;
  /**
   * The node has a buffer. While kernels are lowered this may still become true, never false: a kernel
   * that cannot read a node as an affine function of its own indices demands a buffer for it. A kernel
   * is lowered before the kernels of what it reads, so the node's own kernel follows. A kernel lowered
   * earlier that computes the node inside itself goes on doing so.
   */
  stored: boolean;
  /**
   * For a stored elementwise node that is the epilogue of a reduction or product: that node. Lowering
   * the part makes it null if the epilogue must be a kernel of its own.
   */
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

/** Whether the node must store its result, or that of its epilogue. */
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
 * Decides which nodes are stored, and which end an epilogue. `nodes` is in topological order, and each node's
 * `position` is its place there. A value that several kernels need is computed again in each, if that
 * takes at most `recomputeLimit` simple operations per element.
 */
export function partition(
  nodes: readonly Tensor[],
  outputs: ReadonlySet<Tensor>,
  recomputeLimit: number,
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
  const partOf = (node: Tensor): Part => parts[node._position]!;
  for (const { node } of parts) {
    if (isGiven(node)) continue;
    for (const input of node.inputs) {
      const part = partOf(input);
      part.uses++;
      if (part.users.at(-1) !== node._position) part.users.push(node._position);
    }
  }
  storeOperands(parts, partOf);
  // Later results first. Of a sum of products, the last one then adds the sum of the others in its
  // epilogue, and no two products are in memory at once.
  for (const part of [...parts].reverse()) {
    if (part.stored) continue;
    const { kind } = part.node.primitive.lowering;
    if (kind === "reduce" || kind === "matmul") attachEpilogue(part, parts, outputs);
    if (isHeavy(part.node) && part.epilogue === null) part.stored = true;
  }
  storeCompared(parts, partOf);
  while (storeShared(parts, costs(parts, partOf), recomputeLimit));
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

/**
 * Stores the numbers that a maximum or minimum is taken of, if other nodes read them, too. Those compare
 * them with the extreme or subtract it, so they must see the same bits. Another kernel that computes the
 * numbers again may round them otherwise, by a fused multiply-add for example.
 */
function storeCompared(parts: readonly Part[], partOf: (node: Tensor) => Part): void {
  // Nodes that every kernel computes to the same bits.
  const exact = new Uint8Array(parts.length);
  const isExact = ({ node, stored }: Part): boolean => {
    if (stored || isHeavy(node)) return stored;
    const { lowering } = node.primitive;
    const rounds =
      lowering.kind === "map" && isFloating(node.dtype) && !SCALARS[lowering.operation].isExact;
    return !rounds && node.inputs.every((input) => exact[input._position] === 1);
  };
  for (const [position, part] of parts.entries()) {
    const { node } = part;
    const { lowering } = node.primitive;
    exact[position] = Number(isExact(part));
    if (isGiven(node) || lowering.kind !== "reduce" || lowering.operation === "sum") continue;
    let operand = partOf(node.inputs[0]!);
    let isShared = operand.users.length > 1;
    while (!operand.stored && operand.isView) {
      operand = partOf(operand.node.inputs[0]!);
      isShared ||= operand.users.length > 1;
    }
    if (isShared && exact[operand.node._position] === 0) operand.stored = true;
  }
}

/** Work per element of each node if it is computed inside a kernel. Stores a node of each chain that is too long. */
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
    const own = lowering.kind === "map" ? SCALARS[lowering.operation].cost : 0;
    let total = own;
    let count = 1;
    for (const [i, input] of node.inputs.entries()) {
      if (node.inputs.indexOf(input) < i) continue;
      const inside = !partOf(input).stored;
      total += inside ? cost[input._position]! : 1;
      count += inside ? length[input._position]! : 0;
    }
    if (count > LARGEST_KERNEL && !part.inEpilogue) part.stored = true;
    cost[position] = total;
    length[position] = count;
  }
  return cost;
}

/**
 * Extends a reduction or product by an epilogue: in place of its own result it stores that of the last
 * elementwise operation to which all paths from it lead.
 */
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
    for (const one of inside) region.push(one);
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
 * The nodes up to and including the first one through which every path from `from` goes, if all of them
 * fit: its only user, or the node where several users come together again.
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
    let first = parts.length;
    for (const user of open) first = Math.min(first, user);
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
 * Stores values that several kernels need and that cost more than the limit. Of a chain of such values only
 * the first is stored, since the others may then cost less. Returns whether there was any.
 */
function storeShared(parts: readonly Part[], cost: Float64Array, recomputeLimit: number): boolean {
  const isCandidate = candidates(parts, cost, recomputeLimit);
  // Nodes computed, inside their kernels, from a candidate.
  const follows = new Uint8Array(parts.length);
  let any = false;
  for (const [position, part] of parts.entries()) {
    if (part.stored) continue;
    const after = part.node.inputs.some(
      ({ _position: input }) =>
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
function candidates(
  parts: readonly Part[],
  cost: Float64Array,
  recomputeLimit: number,
): Uint8Array {
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
    if (part.epilogue) kernel = part.epilogue.node._position;
    home[position] = part.stored ? position : kernel;
    const { kind } = part.node.primitive.lowering;
    const canStore = kind === "map" || (kind === "read" && !part.isView);
    if (part.stored || !canStore || kernel === NOWHERE || part.inEpilogue) continue;
    const limit = repeated
      ? REPEATED_RECOMPUTE_LIMIT
      : kernel === SEVERAL
        ? recomputeLimit
        : Infinity;
    if (cost[position]! > limit) found[position] = 1;
  }
  return found;
}
