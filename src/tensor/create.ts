/**
 * Tensors from given values.
 * @module
 */

import { checkOptions, describeValue } from "../checks.js";
import {
  allocate,
  DTYPES,
  type DType,
  elementOf,
  isFloating,
  type TypedArray,
} from "../kernels/dtype.js";
import { CONSTANT, FULL, LEAF, NO_ATTRIBUTES, type Primitive, primitive } from "./primitive.js";
import { checkShape, formatShape, type Shape, sizeOf } from "./shape.js";
import {
  checkTensorLike,
  createNode,
  type NestedArray,
  Tensor,
  type TensorLike,
} from "./tensor.js";

/** A number, or nested arrays of numbers. */
export type NestedData = number | boolean | bigint | readonly NestedData[];

/** Values {@link tensor} takes: a number, nested arrays of numbers, or a typed array. */
export type TensorData =
  | NestedData
  | TypedArray
  | BigInt64Array
  | BigUint64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Int8Array
  | Int16Array;

/** Options of {@link tensor}. */
export interface TensorOptions {
  /** Dimensions; default: the nesting of the arrays, or one dimension for a typed array. */
  readonly shape?: Shape;
  /**
   * Element type; default: `bool` for booleans, `int32` for bigints and integer arrays, `float64` for a
   * `Float64Array`, else `float32`.
   */
  readonly dtype?: DType;
}

/** Options of functions that create filled tensors. */
export interface CreateOptions {
  /** Element type; default `float32`. */
  readonly dtype?: DType;
}

const NONE: readonly never[] = [];
const IOTA = /* @__PURE__ */ primitive("iota", { kind: "iota" }, null);

/**
 * A tensor of given values: a number, nested arrays, or a typed array with a shape. The values are
 * copied.
 *
 * @throws if the arrays are ragged, mix booleans, numbers and bigints, hold what is no int32 where that
 * is the dtype, or the number of values is not that of the shape.
 * @example tensor([[1, 2], [3, 4]]); tensor(new Float32Array(6), { shape: [2, 3] })
 */
export function tensor(data: TensorData, options: TensorOptions = {}): Tensor {
  checkOptions("tensor", options, "shape", "dtype");
  const isTyped = ArrayBuffer.isView(data);
  const found: number[] = isTyped ? [data.length] : nestedShape(data as NestedArray);
  const shape = options.shape ?? found;
  checkShape("tensor", shape);
  if (sizeOf(shape) !== sizeOf(found)) {
    throw new RangeError(
      `tensor: ${sizeOf(found)} values do not fill shape ${formatShape(shape)} (${sizeOf(shape)} elements)`,
    );
  }
  const dtype = options.dtype ?? dtypeOf(data);
  checkDType("tensor", dtype);
  const host = allocate(dtype, sizeOf(shape));
  if (!isTyped) fill(data as NestedArray, found, host, dtype);
  else if (isFloating(dtype) && !isBigInts(data)) host.set(data);
  else for (let i = 0; i < host.length; i++) host[i] = checkedElement("tensor", dtype, data[i]!);
  return leaf(host, [...shape], dtype);
}

/** A tensor that takes over an array of the dtype's own kind. */
export function leaf(host: TypedArray, shape: Shape, dtype: DType): Tensor {
  const result = createNode({
    primitive: LEAF,
    inputs: NONE,
    attributes: NO_ATTRIBUTES,
    shape,
    dtype,
  });
  result.host = host;
  return result;
}

function dtypeOf(data: TensorData): DType {
  if (ArrayBuffer.isView(data)) {
    if (data instanceof Float32Array) return "float32";
    if (data instanceof Float64Array) return "float64";
    // Not every platform has Float16Array yet.
    return describeValue(data) === "a Float16Array" ? "float32" : "int32";
  }
  let first: unknown = data;
  while (Array.isArray(first)) first = first[0];
  if (typeof first === "bigint") return "int32";
  return typeof first === "boolean" ? "bool" : "float32";
}

function isBigInts(data: ArrayBufferView): data is BigInt64Array | BigUint64Array {
  return data instanceof BigInt64Array || data instanceof BigUint64Array;
}

/** A value as an element of the dtype; in int32, only one that it holds exactly. */
function checkedElement(caller: string, dtype: DType, value: number | bigint | boolean): number {
  const number = Number(value);
  if (dtype === "int32" && (number | 0) !== number) {
    throw new RangeError(
      `${caller}: ${value} is no int32; dtype "float64" holds it, and cast("int32") of that truncates`,
    );
  }
  return elementOf(dtype, number);
}

function nestedShape(data: NestedArray): number[] {
  const shape: number[] = [];
  for (let level: NestedArray | undefined = data; Array.isArray(level); level = level[0]) {
    shape.push(level.length);
  }
  return shape;
}

function fill(data: NestedArray, shape: Shape, into: TypedArray, dtype: DType): void {
  let next = 0;
  let kind: string | undefined;
  const visit = (value: NestedArray, depth: number): void => {
    if (depth < shape.length) {
      if (!Array.isArray(value) || value.length !== shape[depth]) {
        throw new RangeError(
          `tensor: ragged arrays: at depth ${depth} expected ${shape[depth]} elements, found ` +
            (Array.isArray(value) ? `${value.length}` : `${value}`),
        );
      }
      for (const item of value) visit(item, depth + 1);
    } else {
      const own = typeof value;
      if (own !== "number" && own !== "boolean" && own !== "bigint") {
        throw new TypeError(`tensor: expected numbers or booleans, found ${describeValue(value)}`);
      }
      kind ??= own;
      if (own !== kind) {
        throw new TypeError(`tensor: found a ${own} among ${kind}s; give one kind`);
      }
      into[next++] = checkedElement("tensor", dtype, value as number);
    }
  };
  visit(data, 0);
}

/** A tensor of one repeated value. It occupies no memory until it is needed. */
export function full(shape: Shape, value: number | boolean, options: CreateOptions = {}): Tensor {
  if (typeof value !== "number" && typeof value !== "boolean") {
    throw new TypeError(`full: takes (shape, value), got ${describeValue(value)} for the value`);
  }
  return filled("full", shape, value, options);
}

function filled(
  caller: string,
  shape: Shape,
  value: number | boolean,
  options: CreateOptions,
): Tensor {
  checkShape(caller, shape);
  const dtype = dtypeOption(caller, options, typeof value === "boolean" ? "bool" : "float32");
  return repeated(FULL, [...shape], checkedElement(caller, dtype, value), dtype);
}

/** The dtype that options with nothing else ask for. */
function dtypeOption(caller: string, options: CreateOptions, otherwise: DType): DType {
  checkOptions(caller, options, "dtype");
  const { dtype = otherwise } = options;
  checkDType(caller, dtype);
  return dtype;
}

/** A number of a formula as a tensor: {@link full} for operations and derivative rules. */
export function constant(shape: Shape, value: number, dtype: DType): Tensor {
  return repeated(CONSTANT, shape, value, dtype);
}

function repeated(primitive: Primitive, shape: Shape, value: number, dtype: DType): Tensor {
  const result = createNode({ primitive, inputs: NONE, attributes: NO_ATTRIBUTES, shape, dtype });
  result._element = elementOf(dtype, value);
  return result;
}

/** A tensor of zeros. */
export function zeros(shape: Shape, options: CreateOptions = {}): Tensor {
  return filled("zeros", shape, 0, options);
}

/** A tensor of ones. */
export function ones(shape: Shape, options: CreateOptions = {}): Tensor {
  return filled("ones", shape, 1, options);
}

/** Zeros of another tensor's shape and dtype. */
export function zerosLike(like: Tensor): Tensor {
  return full(like.shape, 0, { dtype: like.dtype });
}

/** Ones of another tensor's shape and dtype. */
export function onesLike(like: Tensor): Tensor {
  return full(like.shape, 1, { dtype: like.dtype });
}

/** The integers 0, 1, … of a shape in row-major order, as int32. Generated inside kernels. */
export function iota(shape: Shape): Tensor {
  return createNode({
    primitive: IOTA,
    inputs: NONE,
    attributes: NO_ATTRIBUTES,
    shape,
    dtype: "int32",
  });
}

/** Options of {@link arange}. */
export interface ArangeOptions {
  /** Element type; default `int32` when start and step are integers, else `float32`. */
  readonly dtype?: DType;
}

/**
 * `start, start + step, …` below `stop` (above it for a negative step); `arange(n)` is `0 … n − 1`.
 */
export function arange(
  start: number,
  stop?: number,
  step = 1,
  options: ArangeOptions = {},
): Tensor {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  if (!(Number.isFinite(from) && Number.isFinite(to) && Number.isFinite(step)) || step === 0) {
    throw new RangeError(`arange: needs finite bounds and a step ≠ 0, got ${from}, ${to}, ${step}`);
  }
  const count = Math.max(0, Math.ceil((to - from) / step));
  const integers = Number.isInteger(from) && Number.isInteger(step);
  const dtype = dtypeOption("arange", options, integers ? "int32" : "float32");
  const host = allocate(dtype, count);
  for (let i = 0; i < count; i++) host[i] = checkedElement("arange", dtype, from + i * step);
  return leaf(host, [count], dtype);
}

/** `count` numbers at equal distances, from `start` to `stop`, both included; `start` alone for a count of 1. */
export function linspace(
  start: number,
  stop: number,
  count: number,
  options: CreateOptions = {},
): Tensor {
  checkShape("linspace", [count]);
  if (!(Number.isFinite(start) && Number.isFinite(stop))) {
    throw new RangeError(`linspace: needs finite bounds, got ${start} and ${stop}`);
  }
  const dtype = dtypeOption("linspace", options, "float32");
  const host = allocate(dtype, count);
  // From the nearer end, so that both ends are exact.
  const step = (stop - start) / Math.max(1, count - 1);
  for (let i = 0; i < count; i++) {
    host[i] = 2 * i < count ? start + i * step : stop - (count - 1 - i) * step;
  }
  return leaf(host, [count], dtype);
}

/** The identity matrix of n rows. */
export function eye(n: number, options: CreateOptions = {}): Tensor {
  checkShape("eye", [n]);
  const dtype = dtypeOption("eye", options, "float32");
  const host = allocate(dtype, n * n);
  for (let i = 0; i < n; i++) host[i * n + i] = 1;
  return leaf(host, [n, n], dtype);
}

/** Rejects what is no dtype. */
export function checkDType(operation: string, dtype: DType): void {
  if (!DTYPES.includes(dtype)) {
    throw new TypeError(
      `${operation}: unknown dtype ${JSON.stringify(dtype)}; known: ${DTYPES.join(", ")}`,
    );
  }
}

/** The tensor, or a scalar constant for a plain value. */
export function asTensor(value: TensorLike, dtype: DType = "float32"): Tensor {
  checkTensorLike(value);
  return value instanceof Tensor ? value : constant([], Number(value), dtype);
}
