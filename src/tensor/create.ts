/**
 * Tensors from given values.
 * @module
 */

import { allocate, DTYPES, type DType, type TypedArray } from "../kernels/dtype.js";
import { CONSTANT, FULL, LEAF, type Primitive, primitive } from "./primitive.js";
import { checkShape, formatShape, type Shape, sizeOf } from "./shape.js";
import {
  checkTensorLike,
  describeValue,
  type NestedArray,
  Tensor,
  type TensorLike,
} from "./tensor.js";

/** Values {@link tensor} takes. */
export type TensorData =
  | NestedArray
  | readonly NestedArray[]
  | TypedArray
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Int8Array
  | Int16Array;

/** Options of {@link tensor}. */
export interface TensorOptions {
  /** Dimensions; default: the nesting of the arrays, or one dimension for a typed array. */
  readonly shape?: Shape;
  /** Element type; default: that of a typed array, `bool` for booleans, else `float32`. */
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
 * @throws if the arrays are ragged or the number of values is not that of the shape.
 * @example tensor([[1, 2], [3, 4]]); tensor(new Float32Array(6), { shape: [2, 3] })
 */
export function tensor(data: TensorData, options: TensorOptions = {}): Tensor {
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
  const isBoolean = dtype === "bool";
  if (isTyped) host.set(isBoolean ? Array.from(data, (x) => Number(x !== 0)) : data);
  else fill(data as NestedArray, found, host, isBoolean);
  return leaf(host, [...shape], dtype);
}

/** A tensor that takes over an array of the dtype's own kind. */
export function leaf(host: TypedArray, shape: Shape, dtype: DType): Tensor {
  const result = new Tensor({ primitive: LEAF, inputs: NONE, attributes: NONE, shape, dtype });
  result.host = host;
  return result;
}

function dtypeOf(data: TensorData): DType {
  if (ArrayBuffer.isView(data)) {
    if (data instanceof Float32Array) return "float32";
    return data instanceof Float64Array ? "float64" : "int32";
  }
  let first: unknown = data;
  while (Array.isArray(first)) first = first[0];
  return typeof first === "boolean" ? "bool" : "float32";
}

function nestedShape(data: NestedArray): number[] {
  const shape: number[] = [];
  for (let level: NestedArray | undefined = data; Array.isArray(level); level = level[0]) {
    shape.push(level.length);
  }
  return shape;
}

function fill(data: NestedArray, shape: Shape, into: TypedArray, isBoolean: boolean): void {
  let next = 0;
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
      if (typeof value !== "number" && typeof value !== "boolean") {
        throw new TypeError(`tensor: expected numbers or booleans, found ${describeValue(value)}`);
      }
      into[next++] = isBoolean ? Number(Number(value) !== 0) : Number(value);
    }
  };
  visit(data, 0);
}

/** A tensor of one repeated value. It occupies no memory until it is needed. */
export function full(shape: Shape, value: number | boolean, options: CreateOptions = {}): Tensor {
  checkShape("full", shape);
  const dtype = options.dtype ?? (typeof value === "boolean" ? "bool" : "float32");
  checkDType("full", dtype);
  return repeated(FULL, [...shape], Number(value), dtype);
}

/** A number of a formula as a tensor: {@link full} for operations and derivative rules. */
export function constant(shape: Shape, value: number, dtype: DType): Tensor {
  return repeated(CONSTANT, shape, value, dtype);
}

function repeated(primitive: Primitive, shape: Shape, value: number, dtype: DType): Tensor {
  const result = new Tensor({ primitive, inputs: NONE, attributes: NONE, shape, dtype });
  result.value = roundTo(dtype, value);
  return result;
}

/** The value as an element of the dtype. Integers wrap around. */
function roundTo(dtype: DType, value: number): number {
  if (dtype === "float64") return value;
  if (dtype === "float32") return Math.fround(value);
  return dtype === "bool" ? Number(value !== 0) : value | 0;
}

/** A tensor of zeros. */
export function zeros(shape: Shape, options: CreateOptions = {}): Tensor {
  return full(shape, 0, { dtype: options.dtype ?? "float32" });
}

/** A tensor of ones. */
export function ones(shape: Shape, options: CreateOptions = {}): Tensor {
  return full(shape, 1, { dtype: options.dtype ?? "float32" });
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
  return new Tensor({
    primitive: IOTA,
    inputs: NONE,
    attributes: NONE,
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
  const dtype = options.dtype ?? (integers ? "int32" : "float32");
  const host = allocate(dtype, count);
  for (let i = 0; i < count; i++) host[i] = from + i * step;
  return leaf(host, [count], dtype);
}

/** The identity matrix of n rows. */
export function eye(n: number, options: CreateOptions = {}): Tensor {
  checkShape("eye", [n]);
  const dtype = options.dtype ?? "float32";
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
