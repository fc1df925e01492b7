/**
 * Products of a vector and a matrix. They read the matrix once, in a few long streams of memory.
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
  type Local,
  v128,
} from "../assembler.js";
import { type Blocking, itemsPerBatch, partBytes, uniformStride } from "./blocking.js";
import { forUpTo, increment, offsetOf, scaled } from "./code.js";
import { loadLanes, storeLanes } from "./lanes.js";

/**
 * Parts of the matrix that are read side by side, each a stream of memory that goes on from row to row: what fetches
 * ahead follows a few long streams.
 */
const DOT_STREAMS = 4;
/** The same where streams are parts of k: a turn reads and writes the output once for all of them. */
const ROW_STREAMS = 8;
/** Vectors of each stream that are read in one turn of the innermost loop. */
const VECTORS = 2;

/**
 * `(matrix, vector, output, begin, end)`: `output[i] = Σ_k matrix[i, k] · vector[k]`, both contiguous along k. The
 * streams are parts of the rows.
 */
export function dotFunction({ scalar, left, k }: Blocking): FunctionBuilder {
  const { size, lanes } = scalar;
  const { elements } = left;
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32"]);
  const [matrix, vector, output, begin, end] = builder.parameters;
  const [row, position, part, step, q] = range(5).map(() => builder.local("i32")) as [
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const b = builder.local("v128");
  const type = size === 8 ? "f64" : "f32";
  const zero = size === 8 ? f64.const(0) : f32.const(0);
  const lines = range(DOT_STREAMS).map(() => ({
    p: builder.local("i32"),
    sums: builder.local("v128"),
    sum: builder.local(type),
  }));
  const inOrder = (count: number, active: typeof lines): Code => [
    range(count).map((v) => [
      b.set(v128.load(q.get, 16 * v)),
      active.map(({ p, sums }) => {
        const next = elements.loadVector(p.get, v * lanes * elements.bytes);
        return sums.set(scalar.multiplyAdd(next, b.get, sums.get));
      }),
    ]),
    active.map(({ p }) => increment(p, count * lanes * elements.bytes)),
    increment(q, count * 16),
  ];
  const vectors = Math.floor(k / lanes);
  const turns = Math.floor(vectors / VECTORS);
  const rest = k % lanes;
  /** The elements of the output at the current row, and at those that are one or more parts after it. */
  const rowsOf = (active: typeof lines): Code => [
    position.set(row.get),
    active.map(({ p, sums }) => [
      p.set(i32.add(matrix.get, offsetOf(left.outer, position))),
      sums.set(scalar.zero),
      increment(position, part.get),
    ]),
    q.set(vector.get),
    turns > 0
      ? [
          step.set(i32.const(turns)),
          control.loop([
            inOrder(VECTORS, active),
            control.branchIf(0, step.tee(i32.sub(step.get, i32.const(1)))),
          ]),
        ]
      : [],
    inOrder(vectors % VECTORS, active),
    position.set(row.get),
    active.map(({ p, sums, sum }) => [
      sum.set(
        range(lanes)
          .map((lane) => scalar.extract(lane, sums.get))
          .reduce((x, y) => scalar.scalarAdd(x, y), zero),
      ),
      range(rest).map((i) =>
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
      scalar.store(i32.add(output.get, scaled(position.get, size)), sum.get),
      increment(position, part.get),
    ]),
  ];
  builder.body = [
    row.set(begin.get),
    part.set(i32.divU(i32.sub(end.get, begin.get), i32.const(DOT_STREAMS))),
    position.set(i32.add(begin.get, part.get)),
    begin.set(position.get),
    forUpTo(row, begin.get, 1, rowsOf(lines)),
    // The rows that are no part: fewer than there are streams.
    row.set(i32.add(row.get, scaled(part.get, DOT_STREAMS - 1))),
    forUpTo(row, end.get, 1, rowsOf(lines.slice(0, 1))),
  ];
  return builder;
}

/**
 * `(vector, matrix, output, count)`: `output[j] = Σ_k vector[k] · matrix[k, j]` for `count` columns, each row
 * contiguous. The streams are parts of k: a row of each part at a time, with all its columns.
 * @param k How many terms the sum has.
 */
export function rowFunction({ scalar, left, right, n }: Blocking, k: number): FunctionBuilder {
  const { size, lanes } = scalar;
  const { elements } = right;
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32"]);
  const [vector, matrix, output, count] = builder.parameters;
  const [step, p, q, end] = range(4).map(() => builder.local("i32")) as [
    Local,
    Local,
    Local,
    Local,
  ];
  const factors = range(ROW_STREAMS).map(() => builder.local("v128"));
  const [sum, row] = [builder.local("v128"), builder.local("v128")];
  const leftStep = uniformStride(left.inner) ?? 0;
  const rightStep = uniformStride(right.inner) ?? 0;
  const rest = n % lanes;

  /** Adds the products with `height` rows to the output; the rows are so many steps along k apart. */
  const rows = (height: number, apart: number): Code => {
    const used = factors.slice(0, height);
    const elementsAt = (
      start: Local,
      i: number,
      stride: number,
    ): [address: Code, offset: number] =>
      // An offset is added without an instruction, but only if it is not negative.
      stride < 0
        ? [i32.add(start.get, i32.const(i * apart * stride)), 0]
        : [start.get, i * apart * stride];
    /** The sum of the rows' products: added to the output once, it brings fewer rounding errors than each by itself. */
    const products = (v: number): Code => {
      const [first, ...others] = used.map((factor, i) => {
        const [address, offset] = elementsAt(p, i, rightStep);
        return [factor.get, elements.loadVector(address, offset + v * lanes * elements.bytes)];
      }) as [Code, Code][];
      return others.reduce((sum, [a, b]) => scalar.multiplyAdd(a, b, sum), scalar.mul(...first!));
    };
    /** Along the columns up to `end`, some vectors at a time. */
    const along = (vectors: number): Code =>
      control.if(
        i32.ltU(q.get, end.get),
        control.loop([
          range(vectors).map((v) =>
            v128.store(q.get, scalar.add(v128.load(q.get, 16 * v), products(v)), 16 * v),
          ),
          increment(p, vectors * lanes * elements.bytes),
          increment(q, 16 * vectors),
          control.branchIf(0, i32.ltU(q.get, end.get)),
        ]),
      );
    const upTo = (columns: number): Code =>
      end.set(i32.add(output.get, scaled(i32.and(count.get, i32.const(-columns)), size)));
    return [
      used.map((factor, i) => factor.set(scalar.splat(...elementsAt(vector, i, leftStep)))),
      p.set(matrix.get),
      q.set(output.get),
      upTo(VECTORS * lanes),
      along(VECTORS),
      n % (VECTORS * lanes) >= lanes ? [upTo(lanes), along(1)] : [],
      rest > 0
        ? control.if(i32.and(count.get, i32.const(lanes - 1)), [
            loadLanes(scalar, sum, q.get, rest, 0),
            used.map((factor, i) => {
              const [address, offset] = elementsAt(p, i, rightStep);
              return [
                elements.loadLanes(row, i32.add(address, i32.const(offset)), rest),
                sum.set(scalar.multiplyAdd(factor.get, row.get, sum.get)),
              ];
            }),
            storeLanes(scalar, q.get, sum, rest, 0),
          ])
        : [],
    ];
  };
  const part = Math.floor(k / ROW_STREAMS);
  const advance = (steps: number): Code => [
    increment(vector, steps * leftStep),
    increment(matrix, steps * rightStep),
  ];
  builder.body = [
    control.memoryFill(output.get, i32.const(0), scaled(count.get, size)),
    part > 0
      ? [
          step.set(i32.const(part)),
          control.loop([
            rows(ROW_STREAMS, part),
            advance(1),
            control.branchIf(0, step.tee(i32.sub(step.get, i32.const(1)))),
          ]),
        ]
      : [],
    k % ROW_STREAMS > 0 ? [advance((ROW_STREAMS - 1) * part), rows(k % ROW_STREAMS, 1)] : [],
  ];
  return builder;
}

/**
 * `(buffers, constants, workspace)`: adds up the parts of a sum, which the workspace has, in their order, and applies the
 * epilogue.
 * @param epilogue The index of the epilogue's function.
 */
export function sumFunction(blocking: Blocking, epilogue: number | null): FunctionBuilder {
  const { scalar, n, transposed, finishesElements } = blocking;
  const builder = new FunctionBuilder(["i32", "i32", "i32"]);
  const [buffers, constants, part] = builder.parameters;
  const [output, end] = [builder.local("i32"), builder.local("i32")];
  const sum = builder.local("v128");
  const rest = n % scalar.lanes;
  const bytes = partBytes(blocking);
  const add = sum.set(
    range(itemsPerBatch(blocking))
      .map((i) => v128.load(part.get, i * bytes))
      .reduce((x, y) => scalar.add(x, y)),
  );
  const rows = transposed || finishesElements ? n : 1;
  builder.body = [
    output.set(i32.load(buffers.get)),
    end.set(i32.add(output.get, i32.const((n - rest) * scalar.size))),
    forUpTo(output, end.get, 16, [add, v128.store(output.get, sum.get), increment(part, 16)]),
    rest > 0 ? [add, storeLanes(scalar, output.get, sum, rest, 0)] : [],
    epilogue === null
      ? []
      : control.call(epilogue, buffers.get, constants.get, i32.const(0), i32.const(rows)),
  ];
  return builder;
}
