/**
 * Instructions of the two element types of products.
 * @module
 */

import type { FloatDType } from "../../../kernels/dtype.js";
import { range } from "../../../kernels/layout.js";
import { type Code, f32, f32x4, f64, f64x2, i32, i32x4, type Local, v128 } from "../assembler.js";
import { multiplyAdd } from "../relaxed.js";

/** Reading the elements of an operand, as they lie in memory, as numbers of the product's type. */
export interface Elements {
  readonly bytes: number;
  /** One element. */
  readonly load: (address: Code, offset?: number) => Code;
  /** A vector of neighbours. */
  readonly loadVector: (address: Code, offset?: number) => Code;
  /** The first `count` lanes of a vector, reading no memory beyond them. */
  readonly loadLanes: (into: Local, address: Code, count: number) => Code;
}

/** Instructions and sizes of one element type. */
export interface Scalar {
  readonly size: number;
  readonly lanes: number;
  readonly zero: Code;
  readonly load: (address: Code, offset?: number) => Code;
  readonly store: (address: Code, value: Code, offset?: number) => Code;
  readonly splat: (address: Code, offset?: number) => Code;
  readonly extract: (lane: number, vector: Code) => Code;
  readonly scalarAdd: (a: Code, b: Code) => Code;
  readonly scalarMul: (a: Code, b: Code) => Code;
  readonly add: (a: Code, b: Code) => Code;
  readonly mul: (a: Code, b: Code) => Code;
  /** a · b + c. */
  readonly multiplyAdd: (a: Code, b: Code, c: Code) => Code;
  /** Rows of a lanes × lanes square become its columns, in place. */
  readonly transpose: (rows: readonly Local[], temporary: readonly Local[]) => Code;
}

const SHUFFLE = {
  low32: [0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23],
  high32: [8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31],
  low64: [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23],
  high64: [8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31],
} as const;

const FLOAT32: Scalar = {
  size: 4,
  lanes: 4,
  zero: v128.constF32(0),
  load: f32.load,
  store: f32.store,
  splat: v128.load32Splat,
  extract: f32x4.extractLane,
  scalarAdd: f32.add,
  scalarMul: f32.mul,
  add: f32x4.add,
  mul: f32x4.mul,
  multiplyAdd: (a, b, c) => multiplyAdd(f32x4, a, b, c),
  transpose(rows, temporary) {
    const [a, b, c, d] = rows as [Local, Local, Local, Local];
    const [p, q] = temporary as [Local, Local];
    return [
      p.set(v128.shuffle(SHUFFLE.low32, a.get, b.get)), // a0 b0 a1 b1
      q.set(v128.shuffle(SHUFFLE.low32, c.get, d.get)), // c0 d0 c1 d1
      b.set(v128.shuffle(SHUFFLE.high32, a.get, b.get)), // a2 b2 a3 b3
      d.set(v128.shuffle(SHUFFLE.high32, c.get, d.get)), // c2 d2 c3 d3
      a.set(v128.shuffle(SHUFFLE.low64, p.get, q.get)),
      c.set(v128.shuffle(SHUFFLE.low64, b.get, d.get)),
      d.set(v128.shuffle(SHUFFLE.high64, b.get, d.get)),
      b.set(v128.shuffle(SHUFFLE.high64, p.get, q.get)),
    ];
  },
};

const FLOAT64: Scalar = {
  size: 8,
  lanes: 2,
  zero: v128.constF64(0),
  load: f64.load,
  store: f64.store,
  splat: v128.load64Splat,
  extract: f64x2.extractLane,
  scalarAdd: f64.add,
  scalarMul: f64.mul,
  add: f64x2.add,
  mul: f64x2.mul,
  multiplyAdd: (a, b, c) => multiplyAdd(f64x2, a, b, c),
  transpose(rows, temporary) {
    const [a, b] = rows as [Local, Local];
    const [p] = temporary as [Local];
    return [
      p.set(v128.shuffle(SHUFFLE.low64, a.get, b.get)),
      b.set(v128.shuffle(SHUFFLE.high64, a.get, b.get)),
      a.set(p.get),
    ];
  },
};

/** The element types of products. */
export const SCALARS: Readonly<Record<FloatDType, Scalar>> = { float32: FLOAT32, float64: FLOAT64 };

/** bfloat16s as float32: the bits of each are the upper half of a float32's. */
const BFLOAT16: Elements = {
  bytes: 2,
  load: (address, offset) =>
    f32.reinterpretI32(i32.shl(i32.load16U(address, offset), i32.const(16))),
  loadVector: (address, offset) => i32x4.shl(v128.load16x4U(address, offset), i32.const(16)),
  loadLanes: (into, address, count) => [
    into.set(v128.constI32(0)),
    range(count).map((lane) =>
      into.set(v128.load16Lane(address, into.get, 2 * lane + 1, 2 * lane)),
    ),
  ],
};

/** How the elements of an operand are read. */
export function elementsOf(scalar: Scalar, storage?: "bfloat16"): Elements {
  if (storage === "bfloat16") return BFLOAT16;
  return {
    bytes: scalar.size,
    load: scalar.load,
    loadVector: v128.load,
    loadLanes: (into, address, count) => loadLanes(scalar, into, address, count, 0),
  };
}

/** Loads the first `count` lanes of a vector, reading no memory beyond them. */
export function loadLanes(
  scalar: Scalar,
  into: Local,
  address: Code,
  count: number,
  offset: number,
): Code {
  if (count === scalar.lanes) return into.set(v128.load(address, offset));
  if (scalar.size === 8) return into.set(v128.load64Zero(address, offset));
  if (count === 1) return into.set(v128.load32Zero(address, offset));
  const low = into.set(v128.load64Zero(address, offset));
  if (count === 2) return low;
  return [low, into.set(v128.load32Lane(address, into.get, 2, offset + 8))];
}

export function storeLanes(
  scalar: Scalar,
  address: Code,
  value: Local,
  count: number,
  offset: number,
): Code {
  if (count === scalar.lanes) return v128.store(address, value.get, offset);
  if (scalar.size === 8) return v128.store64Lane(address, value.get, 0, offset);
  if (count === 1) return v128.store32Lane(address, value.get, 0, offset);
  const low = v128.store64Lane(address, value.get, 0, offset);
  if (count === 2) return low;
  return [low, v128.store32Lane(address, value.get, 2, offset + 8)];
}
