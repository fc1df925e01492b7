/**
 * Each kind of kernel in plain loops.
 * @module
 */

import { allocate, elementOf, type TypedArray } from "../../kernels/dtype.js";
import type {
  Affine,
  Condition,
  Expression,
  Kernel,
  Lookup,
  LoopKernel,
  MatmulKernel,
  ScatterKernel,
  SortKernel,
} from "../../kernels/kernel.js";
import { argsortRows } from "../argsort.js";
import { scalarFunction } from "./scalars.js";

/** Runs a kernel. Buffer 0 is the output. */
export function runKernel(
  kernel: Kernel,
  buffers: readonly TypedArray[],
  constants: readonly number[],
): void {
  if (kernel.kind === "loop") runLoop(kernel, buffers, constants);
  else if (kernel.kind === "matmul") runMatmul(kernel, buffers, constants);
  else if (kernel.kind === "scatter") runScatter(kernel, buffers, constants);
  else runSort(kernel, buffers);
}

/** Calls back with every index of a shape, in row-major order. The array is reused. */
function forEachIndex(
  sizes: readonly number[],
  visit: (index: number[], position: number) => void,
): void {
  const index: number[] = sizes.map(() => 0);
  const count = sizes.reduce((product, size) => product * size, 1);
  for (let position = 0; position < count; position++) {
    visit(index, position);
    for (let d = sizes.length - 1; d >= 0; d--) {
      if (++index[d]! < sizes[d]!) break;
      index[d] = 0;
    }
  }
}

/** A kernel's expressions at the point that was set last. */
interface Program {
  /** Moves to an index, with the accumulator an epilogue sees. */
  moveTo(index: readonly number[], accumulator?: number): void;
  value(expression: number): number;
  /** The value of an affine index; lookups are clamped. */
  at(affine: Affine): number;
  inRange(lookup: number): boolean;
}

function program(
  kernel: {
    expressions: readonly Expression[];
    lookups: readonly Lookup[];
    axes: readonly number[];
  },
  buffers: readonly TypedArray[],
  constants: readonly number[],
): Program {
  const { expressions, lookups, axes } = kernel;
  const functions = expressions.map((e) =>
    e.kind === "map" ? scalarFunction(e.operation, e.dtype) : null,
  );
  let index: readonly number[] = [];
  let accumulator = 0;
  // Values at this point, so that a shared expression is computed once.
  const known: (number | undefined)[] = [];
  const raw = (lookup: number): number => value(lookups[lookup]!.index);
  const at = ({ offset, strides }: Affine): number => {
    let position = offset;
    for (let d = 0; d < axes.length; d++) if (strides[d]) position += strides[d]! * (index[d] ?? 0);
    lookups.forEach(({ size }, i) => {
      const stride = strides[axes.length + i];
      if (stride) position += stride * Math.min(Math.max(raw(i), 0), size - 1);
    });
    return position;
  };
  const inRange = (lookup: number): boolean => {
    const found = raw(lookup);
    return found >= 0 && found < lookups[lookup]!.size;
  };
  const holds = (conditions: readonly Condition[]): boolean =>
    conditions.every((condition) => {
      const found = at(condition.index);
      return found >= 0 && found < condition.size;
    });
  const compute = (e: Expression, number: number): number => {
    switch (e.kind) {
      case "constant":
        return elementOf(e.dtype, constants[e.slot]!);
      case "index":
        return at(e.index);
      case "load":
        return holds(e.conditions) ? buffers[e.buffer]![at(e.index)]! : 0;
      case "accumulator":
        return accumulator;
      case "guard":
        if (holds(e.conditions) && e.lookups.every(inRange)) return value(e.inside);
        return e.otherwise === "nan" ? Number.NaN : 0;
      case "map":
        return functions[number]!(e.inputs.map(value));
    }
  };
  const value = (number: number): number => {
    known[number] ??= compute(expressions[number]!, number);
    return known[number]!;
  };
  const moveTo = (point: readonly number[], reduced = 0): void => {
    index = point;
    accumulator = reduced;
    known.length = 0;
  };
  return { moveTo, value, at, inRange };
}

function runLoop(
  kernel: LoopKernel,
  buffers: readonly TypedArray[],
  constants: readonly number[],
  product: TypedArray | null = null,
): void {
  const { axes, outputRank, reduce, body, epilogue } = kernel;
  const { moveTo, value } = program(kernel, buffers, constants);
  const output = buffers[0]!;
  const reduced = axes.slice(outputRank);
  const { dtype } = kernel.expressions[body]!;
  forEachIndex(axes.slice(0, outputRank), (outer, position) => {
    let result = product === null ? 0 : product[position]!;
    if (reduce !== null) {
      result = { sum: 0, max: Number.NEGATIVE_INFINITY, min: Number.POSITIVE_INFINITY }[reduce];
      forEachIndex(reduced, (inner) => {
        moveTo([...outer, ...inner]);
        const x = value(body);
        if (reduce === "sum") result = dtype === "int32" ? (result + x) | 0 : result + x;
        else result = reduce === "max" ? Math.max(result, x) : Math.min(result, x);
      });
      result = elementOf(dtype, result);
    }
    moveTo(outer, result);
    output[position] = epilogue !== null ? value(epilogue) : reduce !== null ? result : value(body);
  });
}

function runMatmul(
  kernel: MatmulKernel,
  buffers: readonly TypedArray[],
  constants: readonly number[],
): void {
  const { batch, m, n, k, left, right } = kernel;
  const along = (strides: readonly number[], index: readonly number[]): number =>
    index.reduce((sum, i, d) => sum + i * strides[d]!, 0);
  const output = kernel.epilogue ? allocate(kernel.dtype, buffers[0]!.length) : buffers[0]!;
  const [a, b] = [buffers[left.buffer]!, buffers[right.buffer]!];
  let position = 0;
  forEachIndex(batch, (at) => {
    const leftBatch = left.offset + along(left.batch, at);
    const rightBatch = right.offset + along(right.batch, at);
    forEachIndex(m, (row) => {
      const leftRow = leftBatch + along(left.outer, row);
      forEachIndex(n, (column) => {
        const rightColumn = rightBatch + along(right.outer, column);
        let sum = 0;
        forEachIndex(k, (inner) => {
          sum +=
            a[leftRow + along(left.inner, inner)]! * b[rightColumn + along(right.inner, inner)]!;
        });
        output[position++] = sum;
      });
    });
  });
  if (kernel.epilogue) runLoop(kernel.epilogue, buffers, constants, output);
}

function runScatter(
  kernel: ScatterKernel,
  buffers: readonly TypedArray[],
  constants: readonly number[],
): void {
  const { moveTo, value, at, inRange } = program(kernel, buffers, constants);
  const [output, base] = buffers as [TypedArray, TypedArray];
  if (!kernel.replaces) output.fill(0);
  else if (output !== base) output.set(base);
  forEachIndex(kernel.axes, (index) => {
    moveTo(index);
    if (!kernel.required.every(inRange)) return;
    const place = at(kernel.target);
    output[place] = (kernel.replaces ? 0 : output[place]!) + value(kernel.body);
  });
}

function runSort({ rows, length }: SortKernel, buffers: readonly TypedArray[]): void {
  const [output, values] = buffers as [TypedArray, TypedArray];
  argsortRows(values, output, rows, length);
}
