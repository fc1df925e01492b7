/**
 * Products of a vector and a matrix. They read the matrix once, in the order of its elements in memory.
 * @module
 */

import { range } from "../../../kernels/layout.js";
import {
  type Code,
  control,
  FunctionBuilder,
  f32,
  f64,
  i32,
  inPairs,
  type Local,
  v128,
} from "../assembler.js";
import { type Blocking, uniformStride } from "./blocking.js";
import { increment, offsetOf, scaled } from "./code.js";
import { loadLanes, storeLanes } from "./lanes.js";

/** Rows of the matrix that are read at a time, each as a stream of memory. */
const STREAMS = 8;

/** `(matrix, vector, output, begin, end)`: `output[i] = Σ_k matrix[i, k] · vector[k]`, both contiguous along k. */
export function dotFunction({ scalar, left, k }: Blocking): FunctionBuilder {
  const { size, lanes } = scalar;
  const { elements } = left;
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32"]);
  const [matrix, vector, output, row, end] = builder.parameters;
  const [position, step, q] = [builder.local("i32"), builder.local("i32"), builder.local("i32")];
  const b = builder.local("v128");
  const type = size === 8 ? "f64" : "f32";
  const zero = size === 8 ? f64.const(0) : f32.const(0);
  const lines = range(4).map(() => ({
    p: builder.local("i32"),
    sums: builder.local("v128"),
    sum: builder.local(type),
  }));
  const whole = k - (k % lanes);
  const rowsOf = (height: number): Code => {
    const active = lines.slice(0, height);
    return [
      active.map(({ p, sums }, i) => [
        position.set(i32.add(row.get, i32.const(i))),
        p.set(i32.add(matrix.get, offsetOf(left.outer, position))),
        sums.set(scalar.zero),
      ]),
      q.set(vector.get),
      whole > 0
        ? [
            step.set(i32.const(whole)),
            control.loop([
              b.set(v128.load(q.get)),
              active.map(({ p, sums }) => [
                sums.set(scalar.multiplyAdd(elements.loadVector(p.get), b.get, sums.get)),
                increment(p, lanes * elements.bytes),
              ]),
              increment(q, 16),
              control.branchIf(0, step.tee(i32.sub(step.get, i32.const(lanes)))),
            ]),
          ]
        : [],
      active.map(({ p, sums, sum }) => [
        sum.set(
          range(lanes)
            .map((lane) => scalar.extract(lane, sums.get))
            .reduce((x, y) => scalar.scalarAdd(x, y), zero),
        ),
        range(k - whole).map((i) =>
          sum.set(
            scalar.scalarAdd(
              sum.get,
              scalar.scalarMul(
                elements.load(p.get, i * elements.bytes),
                scalar.load(q.get, i * size),
              ),
            ),
          ),
        ),
      ]),
      active.map(({ sum }, i) =>
        scalar.store(i32.add(output.get, scaled(row.get, size)), sum.get, i * size),
      ),
      increment(row, height),
    ];
  };
  builder.body = [
    control.block(
      control.loop([
        control.branchIf(1, i32.ltU(i32.sub(end.get, row.get), i32.const(4))),
        rowsOf(4),
        control.branch(0),
      ]),
    ),
    control.block(
      control.loop([control.branchIf(1, i32.geU(row.get, end.get)), rowsOf(1), control.branch(0)]),
    ),
  ];
  return builder;
}

/**
 * `(vector, matrix, output, count)`: `output[j] = Σ_k vector[k] · matrix[k, j]` for `count` columns, each row
 * contiguous. Takes some rows at a time and all their columns before the next rows, so that memory is read in order.
 */
export function rowFunction({ scalar, left, right, n, k }: Blocking): FunctionBuilder {
  const { size, lanes } = scalar;
  const { elements } = right;
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32"]);
  const [vector, matrix, output, count] = builder.parameters;
  const [step, p, q, end] = [
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
  ];
  const factors = range(STREAMS).map(() => builder.local("v128"));
  const [sum, row] = [builder.local("v128"), builder.local("v128")];
  const leftStep = uniformStride(left.inner) ?? 0;
  const rightStep = uniformStride(right.inner) ?? 0;
  const rest = n % lanes;
  const at = (start: Local, i: number, stride: number): Code =>
    i32.add(start.get, i32.const(i * stride));

  /** Adds the products with the next `height` rows to the output. */
  const rows = (height: number): Code => {
    const used = factors.slice(0, height);
    const products = used.map((factor, i) =>
      scalar.mul(factor.get, elements.loadVector(at(p, i, rightStep))),
    );
    const more = i32.ltU(q.get, end.get);
    return [
      used.map((factor, i) => factor.set(scalar.splat(at(vector, i, leftStep)))),
      p.set(matrix.get),
      q.set(output.get),
      end.set(i32.add(q.get, scaled(i32.and(count.get, i32.const(-lanes)), size))),
      control.if(
        more,
        control.loop([
          v128.store(q.get, scalar.add(v128.load(q.get), inPairs(products, scalar.add))),
          increment(p, lanes * elements.bytes),
          increment(q, 16),
          control.branchIf(0, more),
        ]),
      ),
      rest > 0
        ? control.if(i32.and(count.get, i32.const(lanes - 1)), [
            loadLanes(scalar, sum, q.get, rest, 0),
            used.map((factor, i) => [
              elements.loadLanes(row, at(p, i, rightStep), rest),
              sum.set(scalar.multiplyAdd(factor.get, row.get, sum.get)),
            ]),
            storeLanes(scalar, q.get, sum, rest, 0),
          ])
        : [],
    ];
  };
  const whole = Math.floor(k / STREAMS);
  builder.body = [
    control.memoryFill(output.get, i32.const(0), scaled(count.get, size)),
    whole > 0
      ? [
          step.set(i32.const(whole)),
          control.loop([
            rows(STREAMS),
            increment(vector, STREAMS * leftStep),
            increment(matrix, STREAMS * rightStep),
            control.branchIf(0, step.tee(i32.sub(step.get, i32.const(1)))),
          ]),
        ]
      : [],
    k % STREAMS > 0 ? rows(k % STREAMS) : [],
  ];
  return builder;
}
