/**
 * The vectors in which a reduction builds up its result: totals, and partial results on the way to them.
 * @module
 */

import { type DType, isFloating } from "../../../kernels/dtype.js";
import type { LoopKernel } from "../../../kernels/kernel.js";
import { type Code, type FunctionBuilder, inPairs, type Local, v128 } from "../assembler.js";
import { emitOperation, FLOATS, splatConstant } from "../scalars.js";

/** How elements are reduced. */
export interface LaneReduction {
  readonly reduce: NonNullable<LoopKernel["reduce"]>;
  readonly dtype: DType;
}

/** The result of a reduction. */
export interface Total {
  readonly value: Local;
  clear(): Code;
  add(x: Code): Code;
}

/** The result of the innermost loop so far, which is added to a total now and then. */
export interface Partial {
  readonly value: Code;
  clear(): Code;
  add(...xs: readonly Local[]): Code;
}

/** The start of a reduction: the element that changes nothing. */
function identity({ reduce, dtype }: LaneReduction): Code {
  if (reduce === "sum") return splatConstant(0, dtype);
  const most = isFloating(dtype) ? Number.POSITIVE_INFINITY : 2147483647;
  const least = isFloating(dtype) ? Number.NEGATIVE_INFINITY : -2147483648;
  return splatConstant(reduce === "max" ? least : most, dtype);
}

/** Combines two partial results. Each operand is used once, so it may be any code. */
export function combine(
  f: FunctionBuilder,
  { reduce, dtype }: LaneReduction,
  x: Code,
  y: Code,
): Code {
  const operation = { sum: "add", max: "maximum", min: "minimum" } as const;
  return emitOperation(f, operation[reduce], dtype, [x, y], dtype);
}

/** A total. Float sums carry their rounding error along (Kahan). */
export function createTotal(f: FunctionBuilder, reduction: LaneReduction): Total {
  const { reduce, dtype } = reduction;
  const value = f.local("v128");
  const start = value.set(identity(reduction));
  if (reduce !== "sum" || !isFloating(dtype)) {
    return {
      value,
      clear: () => start,
      add: (x) => value.set(combine(f, reduction, value.get, x)),
    };
  }
  const { add, sub, eq } = FLOATS[dtype];
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
 * A partial result. A maximum or minimum is found by an instruction that ignores NaN, beside a mask of the
 * lanes that had one. The instruction that heeds NaN takes several of the processor's.
 */
export function createPartial(f: FunctionBuilder, reduction: LaneReduction): Partial {
  const { reduce, dtype } = reduction;
  const value = f.local("v128");
  const start = value.set(identity(reduction));
  if (reduce === "sum" || !isFloating(dtype)) {
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
  const { pmax, pmin, ne } = FLOATS[dtype];
  const extreme = reduce === "max" ? pmax : pmin;
  const isNan = f.local("v128");
  return {
    // A lane with all bits set is a NaN.
    value: v128.or(value.get, isNan.get),
    clear: () => [start, isNan.set(splatConstant(0, dtype))],
    add: (...xs) => [
      // A NaN may hide numbers of its own lane, whose result is NaN whatever they are.
      value.set(
        extreme(
          value.get,
          inPairs(
            xs.map((x) => x.get),
            extreme,
          ),
        ),
      ),
      isNan.set(inPairs([isNan.get, ...xs.map((x) => ne(x.get, x.get))], (x, y) => v128.or(x, y))),
    ],
  };
}
