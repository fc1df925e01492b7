/**
 * Elements that a loop asks the memory for before it comes to them.
 *
 * A core's memory answers some ten requests at a time. The processor makes them as far ahead as it looks, a few hundred
 * instructions: where each vector takes an elementary function, these are four cache lines. Such a loop therefore asks
 * for {@link LINES} lines at once, some way ahead, by loads whose values are dropped.
 * @module
 */

import { bytesPerElement, type StorageType } from "../../../kernels/dtype.js";
import { loadIn } from "../../../kernels/expressions.js";
import type { Affine, LoopKernel } from "../../../kernels/kernel.js";
import { sizeOf, stridesOf } from "../../../kernels/layout.js";
import { type Code, control, i32, type Local } from "../assembler.js";
import type { Traversal } from "./traversal.js";

/** Lines asked for at once. */
const LINES = 8;
const LINE_BYTES = 64;
const BYTES = LINES * LINE_BYTES;
/** Bytes between the elements that a loop is at and those it asks for, unless a chain sets more. */
const DISTANCE = 4096;
/** A smaller buffer is in the cache. */
const LEAST_BYTES = 256 * 1024;

/** What a kernel in a chain asks for: the elements of the next band, which the chain's first kernel is about to read. */
export interface Ahead {
  /** Elements of a band. */
  readonly distance: number;
  /** Buffers of the kernel that the chain writes. They are in the cache. */
  readonly near: readonly number[];
}

/** A load whose elements a loop reads in the order in which they lie in memory. */
export interface LoadAhead {
  readonly buffer: number;
  readonly index: Affine;
  readonly storage: StorageType;
  /** Bytes between an element and what is asked for where it is loaded. */
  readonly distance: number;
  /** Bytes from the buffer's start to the last lines that can be asked for. */
  readonly last: number;
}

/** The loads of a kernel that are made ahead, if the time for each of its vectors allows for it. */
export function loadsAhead(
  { axes, expressions }: LoopKernel,
  { vector, wide }: Traversal,
  ahead: Ahead | null,
): readonly LoadAhead[] {
  if (!wide || vector !== axes.length - 1) return [];
  const strides = stridesOf(axes);
  return expressions.flatMap((e) => {
    const load = loadIn(e);
    if (!load || load.conditions.length > 0 || ahead?.near.includes(load.buffer)) return [];
    const { buffer, index, dtype, storage = dtype } = load;
    const inOrder = index.strides.every((stride, d) =>
      d < axes.length ? axes[d] === 1 || stride === strides[d] : stride === 0,
    );
    const bytes = sizeOf(axes) * bytesPerElement(storage);
    if (!inOrder || bytes < LEAST_BYTES) return [];
    const distance = ahead ? ahead.distance * bytesPerElement(storage) : DISTANCE;
    const last = index.offset * bytesPerElement(storage) + bytes - BYTES;
    return [{ buffer, index, storage, distance, last }];
  });
}

/**
 * Asks for lines once in as many as are asked for at once.
 * @param address Of the first element that an iteration loads.
 * @param step Bytes between the iterations' first elements.
 * @param last Address of the last lines that can be asked for.
 * @param asked A local for the address of the lines.
 */
export function askAhead(
  address: Code,
  step: number,
  distance: number,
  last: Code,
  asked: Local,
): Code {
  const lines = Array.from({ length: LINES }, (_, line) =>
    control.drop(i32.load(asked.get, line * LINE_BYTES)),
  );
  return control.if(i32.ltU(i32.and(address, i32.const(BYTES - 1)), i32.const(step)), [
    asked.set(i32.add(address, i32.const(distance))),
    asked.set(control.select(asked.get, last, i32.ltU(asked.get, last))),
    lines,
  ]);
}
