/**
 * Element types, their storage and how they promote. One table says what there is to know of each; whoever
 * means a size or a kind asks it, and only instructions of one type ask for a name.
 * @module
 */

/** Element type of a tensor. Booleans occupy one 32-bit integer (0 or 1) on a device. */
export type DType = "float32" | "float64" | "int32" | "bool";

/**
 * How a device holds elements: as their dtype does, or float32 values in the 2 bytes of a bfloat16, the upper half
 * of a float32's. Kernels widen what they read; what they write is of a dtype.
 */
export type StorageType = DType | "bfloat16";

/** The floating-point types. */
export type FloatDType = Extract<DType, `float${number}`>;

/** The typed array that holds elements of a dtype on a device and on the host. */
export type TypedArray = Float32Array | Float64Array | Int32Array;

/** The typed array that holds elements as a device does. */
export type StoredArray = TypedArray | Uint16Array;

/** What there is to know of a dtype. */
interface DTypeTraits<D extends DType = DType> {
  readonly kind: D extends FloatDType ? "float" : "boolean" | "integer";
  /** Bytes that one element occupies. */
  readonly bytes: 4 | 8;
  /** The array that holds elements. */
  readonly array: {
    new (length: number): TypedArray;
    new (bytes: ArrayBufferLike, byteOffset: number, length: number): TypedArray;
  };
  /** The element that stands for a number. Integers wrap around. */
  readonly element: (value: number) => number;
}

/** In promotion order: an operation on two dtypes yields the later one. */
const TABLE: { readonly [D in DType]: DTypeTraits<D> } = {
  bool: { kind: "boolean", bytes: 4, array: Int32Array, element: (x) => Number(x !== 0) },
  int32: { kind: "integer", bytes: 4, array: Int32Array, element: (x) => x | 0 },
  float32: { kind: "float", bytes: 4, array: Float32Array, element: Math.fround },
  float64: { kind: "float", bytes: 8, array: Float64Array, element: (x) => x },
};

/** All dtypes, in promotion order. */
export const DTYPES = /* @__PURE__ */ Object.keys(TABLE) as readonly DType[];

/** Bytes one element occupies on a device. */
export function bytesPerElement(dtype: DType): 4 | 8;
export function bytesPerElement(storage: StorageType): 2 | 4 | 8;
export function bytesPerElement(storage: StorageType): 2 | 4 | 8 {
  return storage === "bfloat16" ? 2 : TABLE[storage].bytes;
}

/** Whether the dtype is floating point, so that gradients flow through it. */
export function isFloating(dtype: DType): dtype is FloatDType {
  return TABLE[dtype].kind === "float";
}

/** A zero-filled typed array of the dtype. */
export function allocate(dtype: DType, length: number): TypedArray {
  return new TABLE[dtype].array(length);
}

/** A typed-array view over bytes that already exist. */
export function viewAs(
  dtype: DType,
  bytes: ArrayBufferLike,
  byteOffset: number,
  length: number,
): TypedArray;
export function viewAs(
  storage: StorageType,
  bytes: ArrayBufferLike,
  byteOffset: number,
  length: number,
): StoredArray;
export function viewAs(
  storage: StorageType,
  bytes: ArrayBufferLike,
  byteOffset: number,
  length: number,
): StoredArray {
  if (storage === "bfloat16") return new Uint16Array(bytes, byteOffset, length);
  return new TABLE[storage].array(bytes, byteOffset, length);
}

/** Elements as their dtype has them: the float32 values of bfloat16s, of others the array itself. */
export function widened(elements: StoredArray): TypedArray {
  if (!(elements instanceof Uint16Array)) return elements;
  const values = new Float32Array(elements.length);
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < elements.length; i++) bits[i] = elements[i]! << 16;
  return values;
}

/**
 * Numbers as bfloat16s, of float64s through float32: the nearest, of two equally near ones the even, and infinity
 * beyond the largest.
 */
export function toBFloat16(values: TypedArray): Uint16Array {
  const bits = new Uint32Array(Float32Array.from(values).buffer);
  return Uint16Array.from(bits, (all, i) =>
    Number.isNaN(values[i]) ? 0x7fc0 : (all + 0x7fff + ((all >>> 16) & 1)) >>> 16,
  );
}

/** A number as an element of the dtype. */
export function elementOf(dtype: DType, value: number): number {
  return TABLE[dtype].element(value);
}

/** The dtype that holds values of both. */
export function promote(a: DType, b: DType): DType {
  return DTYPES.indexOf(a) >= DTYPES.indexOf(b) ? a : b;
}
