/**
 * The tensor: a node of a lazy graph. Operations build nodes and compute nothing; values appear
 * when asked for.
 *
 * Methods call the operations' functions and those build tensors, so this file and `ops/` import
 * each other; neither uses the other while loading.
 * @module
 */

import { describeValue } from "../checks.js";
import type { DType, StorageType, TypedArray } from "../kernels/dtype.js";
import { stopGradient } from "../ops/composite.js";
import * as ops from "../ops/index.js";
import { type Attributes, LEAF, NO_ATTRIBUTES, type Primitive, REALIZED } from "./primitive.js";
import { type DeviceBuffer, runtime, runtimeIfLoaded } from "./runtime.js";
import { formatShape, type Shape, sizeOf } from "./shape.js";

/** Anything an operation accepts in place of a tensor. */
export type TensorLike = Tensor | number | boolean;

/** Nested arrays of numbers, as `array()` gives them. */
export type NestedArray = number | boolean | NestedArray[];

/** How a gradient goes through a node whose primitive leaves that to the node. */
export type GradientRule =
  /** Cotangents of `inputs` from the node's own. */
  | {
      readonly kind: "custom";
      readonly inputs: readonly Tensor[];
      readonly gradient: (cotangent: Tensor) => readonly (Tensor | null)[];
    }
  /** The node's value computed again; the cotangent goes through that graph. */
  | { readonly kind: "recompute"; readonly recompute: () => Tensor };

/** The parts of a node of a primitive with attributes of type A. */
interface NodeParts<A extends Attributes> {
  readonly primitive: Primitive<A>;
  readonly inputs: readonly Tensor[];
  readonly attributes: NoInfer<A>;
  readonly shape: Shape;
  readonly dtype: DType;
}

/** Rejects what is not a tensor. */
export function checkTensor(operation: string, value: unknown): asserts value is Tensor {
  if (!(value instanceof Tensor)) {
    throw new TypeError(
      `${operation}: expected a tensor, got ${describeValue(value)}; make one with tensor(…)`,
    );
  }
}

/** Rejects what cannot stand for a tensor. */
export function checkTensorLike(value: unknown, operation = ""): asserts value is TensorLike {
  if (value instanceof Tensor || typeof value === "number" || typeof value === "boolean") return;
  throw new TypeError(
    `${operation && `${operation}: `}expected a tensor, number or boolean, got ${describeValue(value)}; make one with tensor(…)`,
  );
}

/** A new node of the graph, with the attributes its primitive takes. */
export function createNode<A extends Attributes>(parts: NodeParts<A>): Tensor {
  // A graph holds nodes of all primitives; that these attributes are of type A, only the primitive's own
  // functions rely on.
  return new Tensor(parts as unknown as NodeParts<Attributes>);
}

/** The elements where they can be read at once: on the host, or in memory of the processor as their dtype has them. */
export function knownElements({ host, buffer }: Tensor): TypedArray | undefined {
  return host ?? buffer?.home.peek?.(buffer);
}

/** What cannot be cloned, first among a tensor's fields: its text is in the error of `structuredClone`. */
const UNCLONEABLE = /* @__PURE__ */ Symbol("a tensor: use encodeTree");

/** Where creation stacks are kept while debugging. */
export const creation: { capture: boolean } = { capture: false };

const NONE: readonly never[] = [];
let nextId = 0;

/**
 * A multi-dimensional array of `float32`, `float64`, `int32` or `bool` elements, evaluated lazily.
 * Create one with {@link tensor}; read it with {@link Tensor.data}, {@link Tensor.array} or
 * {@link Tensor.item}.
 */
export class Tensor {
  /** @internal */
  readonly clone = UNCLONEABLE;
  /** Dimensions, outermost first; `[]` for a scalar. */
  readonly shape: Shape;
  /** Element type. */
  readonly dtype: DType;
  // Numbers that are kept on a node begin with a line: `loss.element` or `loss.position` would be read as a value.
  /** @internal Grows with creation, so a node's inputs have smaller ids than it has. */
  readonly _id: number = nextId++;
  /** @internal */
  primitive: Primitive<Attributes>;
  /** @internal */
  inputs: readonly Tensor[];
  /** @internal What completes the primitive: axes, extents, offsets. */
  attributes: Attributes;
  /** @internal The repeated element of a constant. */
  _element = 0;
  /** @internal Elements on the host, for leaves that were not needed on a device yet. */
  host: TypedArray | null = null;
  /** @internal Elements on a device, once evaluated. */
  buffer: DeviceBuffer | null = null;
  /** @internal */
  rule: GradientRule | null = null;
  /** @internal Which traversal saw the node last, and the place it gave it. */
  _visit = 0;
  /** @internal */
  _position = 0;
  /** @internal Stack of the creating call, while debugging. */
  readonly stack: string | null;

  /** @internal Use {@link tensor} and the operations; they use {@link createNode}. */
  constructor(parts: NodeParts<Attributes>) {
    if (!parts?.primitive) throw new TypeError("new Tensor(…) is internal; write tensor(…)");
    this.primitive = parts.primitive;
    this.inputs = parts.inputs;
    this.attributes = parts.attributes;
    this.shape = parts.shape;
    this.dtype = parts.dtype;
    this.stack = creation.capture ? (new Error().stack ?? null) : null;
  }

  /**
   * How a device holds the elements: as `dtype`, or in the 2 bytes of a bfloat16, for weights that {@link storeAs} or
   * `loadModel` keeps so.
   */
  get storage(): StorageType {
    return this.buffer?.dtype ?? this.dtype;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Number of dimensions. */
  get rank(): number {
    return this.shape.length;
  }

  /**
   * The elements, row-major, as a fresh typed array: `Float32Array`, `Float64Array`, or `Int32Array`
   * for `int32` and (as 0 and 1) `bool`. Evaluates the tensor if need be.
   */
  async data(): Promise<TypedArray> {
    return this.host?.slice() ?? (await runtime()).read(this);
  }

  /** The elements as nested arrays; a plain number for a scalar. Booleans come as `true`/`false`. */
  async array(): Promise<NestedArray> {
    const flat = await this.data();
    const isBoolean = this.dtype === "bool";
    let next = 0;
    const build = (depth: number): NestedArray => {
      if (depth === this.shape.length) {
        const value = flat[next++]!;
        return isBoolean ? value !== 0 : value;
      }
      return Array.from({ length: this.shape[depth]! }, () => build(depth + 1));
    };
    return build(0);
  }

  /** The only element as a number. Throws unless the tensor has exactly one. */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new RangeError(
        `item: the tensor has shape ${formatShape(this.shape)}, not one element`,
      );
    }
    return (await this.data())[0]!;
  }

  /**
   * @internal Forgets how the tensor was computed; what only its history held is free to go.
   */
  detachHistory(): void {
    if (this.inputs.length > 0) this.primitive = REALIZED;
    else if (this.primitive !== REALIZED) this.primitive = LEAF;
    this.inputs = NONE;
    this.attributes = NO_ATTRIBUTES;
    this.rule = null;
  }

  /** Gives the tensor's memory back at once; using it afterwards is an error. Garbage collection does the same in its own time. */
  dispose(): void {
    this.buffer?.dispose();
    this.buffer = null;
    this.host = null;
    this.detachHistory();
  }

  /** Disposes of the tensor at the end of a block: `using t = …`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * Type and elements, `Tensor float32[2,2] = [[1, 2], [3, 4]]`, in the middle of long axes `…`; where
   * elements are not computed yet the operation, `Tensor float32[2,3] = exp(…)`; on a GPU the type alone.
   * Before the first evaluation, which loads the printer, elements are not nested.
   */
  toString(): string {
    const printer = runtimeIfLoaded();
    if (printer) return printer.print(this);
    const values = this.host ? ` = ${this.host.slice(0, 9)}` : "";
    return `Tensor ${this.dtype}${formatShape(this.shape)}${values}`;
  }

  /** The same text as {@link Tensor.toString}, a row to a line, for Node's `console.log`. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString().replaceAll("], [", "],\n [");
  }

  /**
   * A tensor is a text in template strings, and no number: its elements may not be computed yet.
   * @throws for arithmetic and comparison, naming what to write instead.
   */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === "string") return this.toString();
    throw new TypeError(
      "a tensor is no number: compute with methods, t.add(1), t.less(x), or with await t.item()",
    );
  }

  /**
   * A tensor has no JSON: its elements may not be computed yet, or lie on a device.
   * @throws always, naming what to write instead.
   */
  toJSON(): never {
    throw new TypeError(
      `JSON cannot hold a tensor (${this.dtype}${formatShape(this.shape)}): ` +
        "write `await treeNumbers(state)` for scalars, or `await tensor.array()`",
    );
  }

  // Arithmetic
  /** See {@link ops.add}. */
  add(other: TensorLike): Tensor {
    return ops.add(this, other);
  }
  /** See {@link ops.sub}. */
  sub(other: TensorLike): Tensor {
    return ops.sub(this, other);
  }
  /** See {@link ops.mul}. */
  mul(other: TensorLike): Tensor {
    return ops.mul(this, other);
  }
  /** See {@link ops.div}. */
  div(other: TensorLike): Tensor {
    return ops.div(this, other);
  }
  /** See {@link ops.pow}. */
  pow(exponent: TensorLike): Tensor {
    return ops.pow(this, exponent);
  }
  /** See {@link ops.maximum}. */
  maximum(other: TensorLike): Tensor {
    return ops.maximum(this, other);
  }
  /** See {@link ops.minimum}. */
  minimum(other: TensorLike): Tensor {
    return ops.minimum(this, other);
  }
  /** See {@link ops.neg}. */
  neg(): Tensor {
    return ops.neg(this);
  }
  /** See {@link ops.exp}. */
  exp(): Tensor {
    return ops.exp(this);
  }
  /** See {@link ops.log}. */
  log(): Tensor {
    return ops.log(this);
  }
  /** See {@link ops.log1p}. */
  log1p(): Tensor {
    return ops.log1p(this);
  }
  /** See {@link ops.expm1}. */
  expm1(): Tensor {
    return ops.expm1(this);
  }
  /** See {@link ops.sqrt}. */
  sqrt(): Tensor {
    return ops.sqrt(this);
  }
  /** See {@link ops.square}. */
  square(): Tensor {
    return ops.square(this);
  }
  /** See {@link ops.tanh}. */
  tanh(): Tensor {
    return ops.tanh(this);
  }
  /** See {@link ops.erf}. */
  erf(): Tensor {
    return ops.erf(this);
  }
  /** See {@link ops.abs}. */
  abs(): Tensor {
    return ops.abs(this);
  }
  /** See {@link ops.sign}. */
  sign(): Tensor {
    return ops.sign(this);
  }
  /** See {@link ops.floor}. */
  floor(): Tensor {
    return ops.floor(this);
  }
  /** See {@link ops.cast}. */
  cast(dtype: DType): Tensor {
    return ops.cast(this, dtype);
  }

  // Comparison and logic
  /** See {@link ops.equal}. */
  equal(other: TensorLike): Tensor {
    return ops.equal(this, other);
  }
  /** See {@link ops.notEqual}. */
  notEqual(other: TensorLike): Tensor {
    return ops.notEqual(this, other);
  }
  /** See {@link ops.less}. */
  less(other: TensorLike): Tensor {
    return ops.less(this, other);
  }
  /** See {@link ops.lessEqual}. */
  lessEqual(other: TensorLike): Tensor {
    return ops.lessEqual(this, other);
  }
  /** See {@link ops.greater}. */
  greater(other: TensorLike): Tensor {
    return ops.greater(this, other);
  }
  /** See {@link ops.greaterEqual}. */
  greaterEqual(other: TensorLike): Tensor {
    return ops.greaterEqual(this, other);
  }

  /** See {@link ops.isnan}. */
  isnan(): Tensor {
    return ops.isnan(this);
  }
  /** See {@link ops.isfinite}. */
  isfinite(): Tensor {
    return ops.isfinite(this);
  }
  /** This tensor where the condition holds, else `other`. See {@link ops.where}. */
  where(condition: TensorLike, other: TensorLike): Tensor {
    return ops.where(condition, this, other);
  }

  // Activations
  /** See {@link ops.sigmoid}. */
  sigmoid(): Tensor {
    return ops.sigmoid(this);
  }
  /** See {@link ops.logSigmoid}. */
  logSigmoid(): Tensor {
    return ops.logSigmoid(this);
  }
  /** See {@link ops.softplus}. */
  softplus(): Tensor {
    return ops.softplus(this);
  }
  /** See {@link ops.relu}. */
  relu(): Tensor {
    return ops.relu(this);
  }
  /** See {@link ops.silu}. */
  silu(): Tensor {
    return ops.silu(this);
  }
  /** See {@link ops.gelu}. */
  gelu(options?: ops.GeluOptions): Tensor {
    return ops.gelu(this, options);
  }
  /** See {@link ops.softmax}. */
  softmax(axis?: number): Tensor {
    return ops.softmax(this, axis);
  }
  /** See {@link ops.logSoftmax}. */
  logSoftmax(axis?: number): Tensor {
    return ops.logSoftmax(this, axis);
  }

  // Reductions
  /** See {@link ops.sum}. */
  sum(axes?: number | readonly number[], options?: ops.ReduceOptions): Tensor {
    return ops.sum(this, axes, options);
  }
  /** See {@link ops.mean}. */
  mean(axes?: number | readonly number[], options?: ops.ReduceOptions): Tensor {
    return ops.mean(this, axes, options);
  }
  /** See {@link ops.max}. */
  max(axes?: number | readonly number[], options?: ops.ReduceOptions): Tensor {
    return ops.max(this, axes, options);
  }
  /** See {@link ops.min}. */
  min(axes?: number | readonly number[], options?: ops.ReduceOptions): Tensor {
    return ops.min(this, axes, options);
  }
  /** See {@link ops.variance}. */
  variance(axes?: number | readonly number[], options?: ops.VarianceOptions): Tensor {
    return ops.variance(this, axes, options);
  }
  /** See {@link ops.logSumExp}. */
  logSumExp(axes?: number | readonly number[], options?: ops.ReduceOptions): Tensor {
    return ops.logSumExp(this, axes, options);
  }
  /** See {@link ops.argmax}. */
  argmax(axis?: number, options?: ops.ReduceOptions): Tensor {
    return ops.argmax(this, axis, options);
  }
  /** See {@link ops.cumsum}. */
  cumsum(axis?: number): Tensor {
    return ops.cumsum(this, axis);
  }

  // Movement
  /** See {@link ops.reshape}. */
  reshape(shape: Shape): Tensor {
    return ops.reshape(this, shape);
  }
  /** See {@link ops.transpose}. */
  transpose(axes?: readonly number[]): Tensor {
    return ops.transpose(this, axes);
  }
  /** See {@link ops.swapAxes}. */
  swapAxes(a: number, b: number): Tensor {
    return ops.swapAxes(this, a, b);
  }
  /** The part at a position of each leading axis, without those axes: `t.at(-1)` is the last row. See {@link ops.at}. */
  at(...positions: number[]): Tensor {
    return ops.at(this, ...positions);
  }
  /** See {@link ops.slice}. */
  slice(...ranges: ops.SliceRange[]): Tensor {
    return ops.slice(this, ...ranges);
  }
  /** See {@link ops.flip}. */
  flip(axes?: number | readonly number[]): Tensor {
    return ops.flip(this, axes);
  }
  /** See {@link ops.pad}. */
  pad(widths: readonly (readonly [number, number])[]): Tensor {
    return ops.pad(this, widths);
  }
  /** See {@link ops.broadcastTo}. */
  broadcastTo(shape: Shape): Tensor {
    return ops.broadcastTo(this, shape);
  }
  /** See {@link ops.squeeze}. */
  squeeze(axes?: number | readonly number[]): Tensor {
    return ops.squeeze(this, axes);
  }
  /** See {@link ops.expandDims}. */
  expandDims(axis: number): Tensor {
    return ops.expandDims(this, axis);
  }

  // Products, indexing, order
  /** See {@link ops.matmul}. */
  matmul(other: Tensor): Tensor {
    return ops.matmul(this, other);
  }
  /** See {@link ops.dot}. */
  dot(other: Tensor): Tensor {
    return ops.dot(this, other);
  }
  /** See {@link ops.gather}. */
  gather(indices: Tensor, axis?: number): Tensor {
    return ops.gather(this, indices, axis);
  }
  /** See {@link ops.takeAlongAxis}. */
  takeAlongAxis(indices: Tensor, axis?: number): Tensor {
    return ops.takeAlongAxis(this, indices, axis);
  }
  /** See {@link ops.scatterAdd}. */
  scatterAdd(indices: Tensor, updates: Tensor, axis?: number): Tensor {
    return ops.scatterAdd(this, indices, updates, axis);
  }
  /** See {@link ops.sort}. */
  sort(axis?: number): Tensor {
    return ops.sort(this, axis);
  }

  /** See {@link ops.argsort}. */
  argsort(axis?: number): Tensor {
    return ops.argsort(this, axis);
  }

  // Gradients
  /** See {@link stopGradient}. */
  stopGradient(): Tensor {
    return stopGradient(this);
  }
}
