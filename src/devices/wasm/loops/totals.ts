/**
 * What a reduction builds up, in vectors.
 * @module
 */

import type { DType } from "../../../kernels/dtype.js";
import type { LoopKernel } from "../../../kernels/kernel.js";
import {
  type Code,
  type FunctionBuilder,
  f32x4,
  f64x2,
  inPairs,
  type Local,
  v128,
} from "../assembler.js";
import { emitOperation, splatConstant } from "../scalars.js";

/** How elements are reduced. */
export interface Reduction {
  readonly reduce: NonNullable<LoopKernel["reduce"]>;
  readonly dtype: DType;
}

/** The result of a reduction. */
export interface Total {
  readonly value: Local;
  clear(): Code;
  add(x: Code): Code;
}

/** What the innermost loop builds up, to be added to a total now and then. */
export interface Partial {
  readonly value: Code;
  clear(): Code;
  add(...xs: readonly Local[]): Code;
}

function isFloat(dtype: DType): dtype is "float32" | "float64" {
  return dtype === "float32" || dtype === "float64";
}

/** What changes nothing. */
function identity({ reduce, dtype }: Reduction): Code {
  if (reduce === "sum") return splatConstant(0, dtype);
  const most = dtype === "int32" ? 2147483647 : Number.POSITIVE_INFINITY;
  const least = dtype === "int32" ? -2147483648 : Number.NEGATIVE_INFINITY;
  return splatConstant(reduce === "max" ? least : most, dtype);
}

/** Two partial results as one. Adding and the extremes use each operand once: it may be any code. */
export function combine(f: FunctionBuilder, { reduce, dtype }: Reduction, x: Code, y: Code): Code {
  const operation = { sum: "add", max: "maximum", min: "minimum" } as const;
  return emitOperation(f, operation[reduce], dtype, [x, y], dtype);
}

/** A total. Float sums carry their rounding error along (Kahan). */
export function createTotal(f: FunctionBuilder, reduction: Reduction): Total {
  const { reduce, dtype } = reduction;
  const value = f.local("v128");
  const start = value.set(identity(reduction));
  if (reduce !== "sum" || !isFloat(dtype)) {
    return {
      value,
      clear: () => start,
      add: (x) => value.set(combine(f, reduction, value.get, x)),
    };
  }
  const { add, sub, eq } = dtype === "float64" ? f64x2 : f32x4;
  const [excess, term, next] = [f.local("v128"), f.local("v128"), f.local("v128")];
  return {
    value,
    clear: () => [start, excess.set(splatConstant(0, dtype))],
    add: (x) => [
      term.set(sub(x, excess.get)),
      next.set(add(value.get, term.get)),
      excess.set(sub(sub(next.get, value.get), term.get)),
      // Infinite sums have no rounding error: ∞ − ∞ made it NaN.
      excess.set(v128.and(excess.get, eq(excess.get, excess.get))),
      value.set(next.get),
    ],
  };
}

/**
 * A partial result. The largest and smallest numbers are found by an instruction that ignores NaN, with a
 * mask of the lanes that had one beside it: that which heeds NaN is several.
 */
export function createPartial(f: FunctionBuilder, reduction: Reduction): Partial {
  const { reduce, dtype } = reduction;
  const value = f.local("v128");
  const start = value.set(identity(reduction));
  if (reduce === "sum" || !isFloat(dtype)) {
    return {
      value: value.get,
      clear: () => start,
      add: (...xs) => {
        const joined = inPairs(
          xs.map((x) => x.get),
          (x, y) => combine(f, reduction, x, y),
        );
        return value.set(combine(f, reduction, value.get, joined));
      },
    };
  }
  const { pmax, pmin, ne } = dtype === "float64" ? f64x2 : f32x4;
  const extreme = reduce === "max" ? pmax : pmin;
  const isNan = f.local("v128");
  return {
    // All bits set are a NaN.
    value: v128.or(value.get, isNan.get),
    clear: () => [start, isNan.set(splatConstant(0, dtype))],
    add: (...xs) =>
      xs.map((x) => [
        value.set(extreme(value.get, x.get)),
        isNan.set(v128.or(isNan.get, ne(x.get, x.get))),
      ]),
  };
}
