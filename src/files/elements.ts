/**
 * Element types of safetensors files and the tensors they become.
 * @module
 */

import {
  allocate,
  type DType,
  type StorageType,
  type StoredArray,
  type TypedArray,
  toBFloat16,
} from "../kernels/dtype.js";

/** Reads the elements of a file's bytes into an array of the tensor's dtype. */
type Widen = (bytes: Uint8Array, into: TypedArray, name: string) => void;

interface FileType {
  readonly bytes: 1 | 2 | 4 | 8;
  /** The dtype of the tensor. */
  readonly dtype: DType;
  readonly widen: Widen;
}

/** Rejects integers beyond int32, which no tensor holds. */
function checkedInteger(value: number | bigint, name: string): number {
  if (value < -(2 ** 31) || value >= 2 ** 31) {
    throw new RangeError(`safetensors: ${name} holds ${value}, which does not fit int32`);
  }
  return Number(value);
}

/** Elements read one by one through a view, since files need not align them. */
function each(
  bytes: number,
  get: (view: DataView, at: number, name: string) => number,
): FileType["widen"] {
  return (data, into, name) => {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    for (let i = 0; i < into.length; i++) into[i] = get(view, i * bytes, name);
  };
}

/** Bytes that are the elements. */
const copied: Widen = (bytes, into) =>
  new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(bytes);

/** The number of an IEEE half's bits: 1 sign, 5 exponent (bias 15), 10 fraction. */
function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The bits of a bfloat16 are the upper half of a float32's. */
const upperHalves: Widen = (bytes, into) => {
  const { buffer, byteOffset } = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
  const halves = new Uint16Array(buffer, byteOffset, into.length);
  const bits = new Uint32Array(into.buffer, into.byteOffset, into.length);
  for (let i = 0; i < bits.length; i++) bits[i] = halves[i]! << 16;
};

/** Every 16-bit pattern's number, made when the first file of the type is read. */
function table(of: (bits: number) => number): Widen {
  let numbers: Float32Array | undefined;
  return (bytes, into) => {
    numbers ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => of(bits));
    for (let i = 0; i < into.length; i++) {
      into[i] = numbers[bytes[2 * i]! | (bytes[2 * i + 1]! << 8)]!;
    }
  };
}

/** Everything the format names that a tensor can hold. */
const FILE_TYPES: Readonly<Record<string, FileType>> = {
  F64: { bytes: 8, dtype: "float64", widen: copied },
  F32: { bytes: 4, dtype: "float32", widen: copied },
  F16: { bytes: 2, dtype: "float32", widen: /* @__PURE__ */ table(fromFloat16) },
  BF16: { bytes: 2, dtype: "float32", widen: upperHalves },
  I64: {
    bytes: 8,
    dtype: "int32",
    widen: /* @__PURE__ */ each(8, (view, at, name) =>
      checkedInteger(view.getBigInt64(at, true), name),
    ),
  },
  U64: {
    bytes: 8,
    dtype: "int32",
    widen: /* @__PURE__ */ each(8, (view, at, name) =>
      checkedInteger(view.getBigUint64(at, true), name),
    ),
  },
  I32: { bytes: 4, dtype: "int32", widen: copied },
  U32: {
    bytes: 4,
    dtype: "int32",
    widen: /* @__PURE__ */ each(4, (view, at, name) =>
      checkedInteger(view.getUint32(at, true), name),
    ),
  },
  I16: {
    bytes: 2,
    dtype: "int32",
    widen: /* @__PURE__ */ each(2, (view, at) => view.getInt16(at, true)),
  },
  U16: {
    bytes: 2,
    dtype: "int32",
    widen: /* @__PURE__ */ each(2, (view, at) => view.getUint16(at, true)),
  },
  I8: { bytes: 1, dtype: "int32", widen: /* @__PURE__ */ each(1, (view, at) => view.getInt8(at)) },
  U8: { bytes: 1, dtype: "int32", widen: /* @__PURE__ */ each(1, (view, at) => view.getUint8(at)) },
  BOOL: {
    bytes: 1,
    dtype: "bool",
    widen: /* @__PURE__ */ each(1, (view, at) => Number(view.getUint8(at) !== 0)),
  },
};

/** The file's type of that name. @throws for types no tensor can hold. */
export function fileTypeOf(name: string, dtype: string): FileType {
  const type = Object.hasOwn(FILE_TYPES, dtype) ? FILE_TYPES[dtype] : undefined;
  if (type) return type;
  const known = Object.keys(FILE_TYPES).join(", ");
  throw new TypeError(`safetensors: ${name} is ${dtype}; tensors are made of ${known}`);
}

/** The elements of a tensor's bytes, as an array of its dtype. */
export function elementsOf(name: string, dtype: string, bytes: Uint8Array): TypedArray {
  const type = fileTypeOf(name, dtype);
  const elements = allocate(type.dtype, bytes.length / type.bytes);
  type.widen(bytes, elements, name);
  return elements;
}

/** Writes the elements of a tensor's bytes as a device is to hold them; to a bfloat16 they are rounded. */
export function putElements(
  name: string,
  dtype: string,
  bytes: Uint8Array,
  storage: StorageType,
  into: StoredArray,
): void {
  const type = fileTypeOf(name, dtype);
  if (storage === type.dtype) type.widen(bytes, into as TypedArray, name);
  else if (storage !== "bfloat16") into.set(elementsOf(name, dtype, bytes));
  else if (dtype === "BF16")
    new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(bytes);
  else into.set(toBFloat16(elementsOf(name, dtype, bytes)));
}

/** The file's type of a tensor's elements: its own dtype's, booleans as bytes. */
export const STORED_AS: Readonly<Record<DType, string>> = {
  float64: "F64",
  float32: "F32",
  int32: "I32",
  bool: "BOOL",
};

/** The bytes that store a tensor's elements. */
export function bytesOf(dtype: DType, elements: TypedArray): Uint8Array {
  if (dtype === "bool") return Uint8Array.from(elements);
  return new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
}
