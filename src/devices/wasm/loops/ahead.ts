/**
 * Elements that a loop asks the memory for before it comes to them.
 *
 * The memory answers more than ten requests of a core at a time. The processor makes them as far ahead as it looks: a few
 * hundred instructions. Where each vector takes an elementary function, these are four lines of the cache. Such a
 * loop therefore asks for several lines at once, some way ahead, by loads whose values are dropped.
 * @module
 */

import { bytesPerElement, type StorageType } from "../../../kernels/dtype.js";
import { loadIn } from "../../../kernels/expressions.js";
import type { Affine, LoopKernel } from "../../../kernels/kernel.js";
import { sizeOf, stridesOf } from "../../../kernels/layout.js";
import { type Code, control, i32, type Local } from "../assembler.js";
import { isElementary } from "../scalars.js";
import { ACCUMULATED, type Analysis, type Traversal } from "./traversal.js";

/** A loop asks ahead if it takes at least so many operations for each load. */
const OPERATIONS = 8;
/** Operations of an elementary function, roughly. */
const ELEMENTARY = 20;
const LINE_BYTES = 64;
/** Neighbouring lines asked for at once. */
const LINES = 8;
const BYTES = LINES * LINE_BYTES;
/** Rows of which a line each is asked for at once. */
const ROWS = 16;
/** Bytes between the elements that a loop is at and those it asks for, unless a chain sets more. */
const DISTANCE = 4096;
/** A smaller buffer is in the cache of most cores when it is read. */
const LEAST_BYTES = 256 * 1024;

/** What a kernel in a chain asks for: the elements of the next band, which the chain's first kernel is about to read. */
export interface Ahead {
  /** Elements of a band. */
  readonly distance: number;
  /** Buffers of the kernel that the kernels before it write. They are in the cache. */
  readonly near: readonly number[];
}

/** A load that asks ahead. */
interface Asking {
  readonly buffer: number;
  readonly index: Affine;
  readonly storage: StorageType;
}

/** A load whose elements a loop reads in the order in which they lie in memory. */
export interface LinesAhead extends Asking {
  /** Bytes between an element and what is asked for where it is loaded. */
  readonly distance: number;
  /** Bytes from the buffer's start to the last lines that can be asked for. */
  readonly last: number;
}

/** A load that goes from row to row, each in lines of its own, while vectors lie across the rows. */
export interface RowsAhead extends Asking {
  readonly rows: number;
  /** Bytes from row to row. */
  readonly stride: number;
}

/** A kernel's loads that ask for lines. */
export function linesAhead(
  kernel: LoopKernel,
  { vector, wide }: Traversal,
  analysis: Analysis,
  ahead: Ahead | undefined,
): readonly LinesAhead[] {
  const { axes } = kernel;
  if (!wide || vector !== axes.length - 1) return [];
  const strides = stridesOf(axes);
  const lines = loadsOf(kernel, ahead).flatMap((load): LinesAhead[] => {
    const { index, storage } = load;
    const isContiguous = strides.every((stride, d) => axes[d] === 1 || index.strides[d] === stride);
    const bytes = sizeOf(axes) * bytesPerElement(storage);
    if (!isContiguous || bytes < LEAST_BYTES) return [];
    const distance = ahead ? ahead.distance * bytesPerElement(storage) : DISTANCE;
    const last = index.offset * bytesPerElement(storage) + bytes - BYTES;
    return [{ ...load, distance, last }];
  });
  return whereSlow(lines, kernel, analysis, vector);
}

/** A kernel's loads that ask for rows: it reduces columns. */
export function rowsAhead(
  kernel: LoopKernel,
  { vector, wide }: Traversal,
  analysis: Analysis,
  ahead: Ahead | undefined,
): readonly RowsAhead[] {
  const { axes, outputRank } = kernel;
  const inner = axes.length - 1;
  const rows = axes[inner]!;
  if (!wide || vector >= outputRank || inner < outputRank || rows < 2 * ROWS) return [];
  const loads = loadsOf(kernel, ahead).flatMap((load): RowsAhead[] => {
    const stride = load.index.strides[inner]! * bytesPerElement(load.storage);
    const isFar = stride >= BYTES && rows * stride >= LEAST_BYTES;
    return load.index.strides[vector] === 1 && isFar ? [{ ...load, rows, stride }] : [];
  });
  return whereSlow(loads, kernel, analysis, inner);
}

/**
 * The loads of what is not in the cache whose elements exist for all indices of the axes, and lie where these alone
 * say.
 */
function loadsOf({ axes, expressions }: LoopKernel, ahead: Ahead | undefined): readonly Asking[] {
  return expressions.flatMap((e) => {
    const load = loadIn(e);
    if (!load || load.conditions.length > 0 || ahead?.near.includes(load.buffer)) return [];
    const { buffer, index, dtype, storage = dtype } = load;
    const looksUp = index.strides.slice(axes.length).some((stride) => stride !== 0);
    return looksUp ? [] : [{ buffer, index, storage }];
  });
}

/** The loads, if the loop over an axis takes long enough for each: the processor overlaps those of a fast one. */
function whereSlow<Load>(
  loads: readonly Load[],
  { expressions }: LoopKernel,
  { dependence }: Analysis,
  axis: number,
): readonly Load[] {
  const operations = expressions.reduce((sum, e, number) => {
    const isInLoop = (dependence[number]! & ((1 << axis) | ACCUMULATED)) === 1 << axis;
    return e.kind === "map" && isInLoop ? sum + (isElementary(e) ? ELEMENTARY : 1) : sum;
  }, 0);
  return operations >= OPERATIONS * loads.length ? loads : [];
}

/**
 * Asks for lines, once in as many as are asked for at once.
 * @param address Of the first element that an iteration loads.
 * @param step Bytes that an iteration loads.
 * @param start Where the buffer begins.
 * @param asked A local for the address of the lines.
 */
export function askForLines(
  address: Code,
  step: number,
  start: Code,
  { distance, last }: LinesAhead,
  asked: Local,
): Code {
  const isDue = i32.ltU(i32.and(address, i32.const(BYTES - 1)), i32.const(step));
  const end = i32.add(start, i32.const(last));
  return control.if(isDue, [
    asked.set(i32.add(address, i32.const(distance))),
    asked.set(control.select(asked.get, end, i32.ltU(asked.get, end))),
    touch(asked, LINES, LINE_BYTES),
  ]);
}

/**
 * Asks for rows, once in as many as are asked for at once.
 * @param address Of the first element that an iteration loads.
 * @param row The iteration's row.
 * @param asked A local for the address in the first of the rows.
 */
export function askForRows(
  address: Code,
  row: Code,
  { rows, stride }: RowsAhead,
  asked: Local,
): Code {
  const isDue = i32.eqz(i32.and(row, i32.const(ROWS - 1)));
  const areThere = i32.leU(row, i32.const(rows - 2 * ROWS));
  return control.if(i32.and(isDue, areThere), [
    asked.set(i32.add(address, i32.const(ROWS * stride))),
    touch(asked, ROWS, stride),
  ]);
}

const touch = (address: Local, count: number, stride: number): Code =>
  Array.from({ length: count }, (_, i) => control.drop(i32.load(address.get, i * stride)));
