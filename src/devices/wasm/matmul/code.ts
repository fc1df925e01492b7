/**
 * Code that the functions of a product share.
 * @module
 */

import { type StridedAxis, sizeOf } from "../../../kernels/layout.js";
import { type Code, control, type FunctionBuilder, i32, type Local } from "../assembler.js";
import type { Blocking } from "./blocking.js";

/** The entry function of a product while it is generated: what its parts share. */
export interface ProductFrame {
  readonly blocking: Blocking;
  readonly hasEpilogue: boolean;
  /** Adds a function to the module and returns its index. */
  define(builder: FunctionBuilder): number;
  /** A new local of the entry function. */
  local(): Local;
  /** Addresses of the matrices of the left operand, the right one and the output. */
  readonly a: Local;
  readonly b: Local;
  readonly c: Local;
  /** Which matrices of the batch these are. */
  readonly batch: Local;
  /** Positions to compute along the axis that work items divide. */
  readonly first: Local;
  readonly last: Local;
  readonly workspace: Local;
  /** Applies the epilogue to some rows of the output, counted over all matrices; no code without an epilogue. */
  finishRows(row: Code, count: Code): Code;
}

/** `index · stride`, as code. */
export function scaled(index: Code, stride: number): Code {
  if (stride === 0) return i32.const(0);
  return stride === 1 ? index : i32.mul(index, i32.const(stride));
}

/** The byte offset of a position along a dimension, as code. */
export function offsetOf(axes: readonly StridedAxis[], index: Local): Code {
  if (axes.length <= 1) return scaled(index.get, axes[0]?.stride ?? 0);
  let inner = 1;
  let sum: Code | undefined;
  for (const { size, stride } of [...axes].reverse()) {
    const quotient = inner === 1 ? index.get : i32.divU(index.get, i32.const(inner));
    inner *= size;
    const outermost = inner === sizeOf(axes.map((axis) => axis.size));
    const term = scaled(outermost ? quotient : i32.remU(quotient, i32.const(size)), stride);
    sum = sum ? i32.add(sum, term) : term;
  }
  return sum ?? i32.const(0);
}

export const increment = (local: Local, by: Code | number): Code =>
  local.set(i32.add(local.get, typeof by === "number" ? i32.const(by) : by));

/** Runs `body` while `local < end`, from the local's current value, in steps. */
export const forUpTo = (local: Local, end: Code, step: number, body: Code): Code =>
  control.block(
    control.loop([
      control.branchIf(1, i32.geU(local.get, end)),
      body,
      increment(local, step),
      control.branch(0),
    ]),
  );

/** `min(limit, end - begin)`. */
export const atMost = (limit: number, end: Code, begin: Code): Code =>
  control.select(
    i32.const(limit),
    i32.sub(end, begin),
    i32.ltU(i32.const(limit), i32.sub(end, begin)),
  );
