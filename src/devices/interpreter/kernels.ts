/**
 * Each kind of kernel in plain loops.
 * @module
 */

import type { TypedArray } from "../../kernels/dtype.js";
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

/** The value of an expression at an index, given the accumulator. */
type Evaluate = (expression: number, index: readonly number[], accumulator: number) => number;

interface Program {
  readonly evaluate: Evaluate;
  /** The value of an affine index; lookups are clamped. */
  at(affine: Affine, index: readonly number[]): number;
  inRange(lookup: number, index: readonly number[]): boolean;
}

function program(
  kernel: { expressions: readonly Expression[]; lookups: readonly Lookup[]; axes: readonly number[] },
  buffers: readonly TypedArray[],
  constants: readonly number[],
): Program {
  const { expressions, lookups, axes } = kernel;
  const raw = (lookup: number, index: readonly number[]): number =>
    evaluate(lookups[lookup]!.index, index, 0);
  const at = ({ offset, strides }: Affine, index: readonly number[]): number => {
    let position = offset;
    for (let d = 0; d < axes.length; d++) if (strides[d]) position += strides[d]! * (index[d] ?? 0);
    lookups.forEach(({ size }, i) => {
      const stride = strides[axes.length + i];
      if (stride) position += stride * Math.min(Math.max(raw(i, index), 0), size - 1);
    });
    return position;
  };
  const inRange = (lookup: number, index: readonly number[]): boolean => {
    const value = raw(lookup, index);
    return value >= 0 && value < lookups[lookup]!.size;
  };
  const holds = (conditions: readonly Condition[], index: readonly number[]): boolean =>
    conditions.every(({ index: affine, size }) => {
      const value = at(affine, index);
      return value >= 0 && value < size;
    });
  const evaluate: Evaluate = (number, index, accumulator) => {
    const e = expressions[number]!;
    switch (e.kind) {
      case "constant":
        return constants[e.slot]!;
      case "index":
        return at(e.index, index);
      case "load":
        return holds(e.conditions, index) ? buffers[e.buffer]![at(e.index, index)]! : 0;
      case "accumulator":
        return accumulator;
      case "guard":
        return holds(e.conditions, index) && e.lookups.every((lookup) => inRange(lookup, index))
          ? evaluate(e.inside, index, accumulator)
          : e.otherwise === "nan"
            ? Number.NaN
            : 0;
      case "map": {
        const values = e.inputs.map((input) => evaluate(input, index, accumulator));
        return scalarFunction(e.operation, e.dtype)(values);
      }
    }
  };
  return { evaluate, at, inRange };
}

function runLoop(
  kernel: LoopKernel,
  buffers: readonly TypedArray[],
  constants: readonly number[],
): void {
  const { axes, outputRank, reduce, body, epilogue } = kernel;
  const { evaluate } = program(kernel, buffers, constants);
  const output = buffers[0]!;
  const reduced = axes.slice(outputRank);
  forEachIndex(axes.slice(0, outputRank), (outer, position) => {
    let value: number;
    if (reduce === null) {
      value = evaluate(body, outer, output[position]!);
    } else {
      const isInteger = kernel.expressions[body]!.dtype === "int32";
      value = { sum: 0, max: Number.NEGATIVE_INFINITY, min: Number.POSITIVE_INFINITY }[reduce];
      forEachIndex(reduced, (inner) => {
        const x = evaluate(body, [...outer, ...inner], 0);
        if (reduce === "sum") value = isInteger ? (value + x) | 0 : value + x;
        else value = reduce === "max" ? Math.max(value, x) : Math.min(value, x);
      });
    }
    output[position] = epilogue === null ? value : evaluate(epilogue, outer, value);
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
  const output = buffers[0]!;
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
  if (kernel.epilogue) runLoop(kernel.epilogue, buffers, constants);
}

function runScatter(
  kernel: ScatterKernel,
  buffers: readonly TypedArray[],
  constants: readonly number[],
): void {
  const { evaluate, at, inRange } = program(kernel, buffers, constants);
  const output = buffers[0]!.fill(0);
  forEachIndex(kernel.axes, (index) => {
    if (kernel.required.every((lookup) => inRange(lookup, index))) {
      output[at(kernel.target, index)]! += evaluate(kernel.body, index, 0);
    }
  });
}

function runSort({ rows, length }: SortKernel, buffers: readonly TypedArray[]): void {
  const [output, values] = buffers as [TypedArray, TypedArray];
  argsortRows(values, output, rows, length);
}
