/**
 * Packing the left operand: copies of its elements, row by row, without gaps along k.
 * @module
 */

import { range } from "../../../kernels/layout.js";
import { type Code, FunctionBuilder, i32, type Local, v128 } from "../assembler.js";
import { type Blocking, contiguousIn, uniformStride } from "./blocking.js";
import { forUpTo, increment, offsetOf, scaled } from "./code.js";

/** `(source, row, rows, k, depth, to)`: copies `rows × depth` elements of the left operand, a row at a time. */
export function packLeftFunction(blocking: Blocking): FunctionBuilder {
  const frame = frameOf(blocking);
  const { scalar, left } = blocking;
  if (contiguousIn(left.inner, left, scalar)) frame.builder.body = byVectors(frame);
  else if (contiguousIn(left.outer, left, scalar)) frame.builder.body = bySquares(frame);
  else frame.builder.body = [allRows(frame), byElements(frame, frame.begin.get)];
  return frame.builder;
}

type Frame = ReturnType<typeof frameOf>;

/** The function while it is generated: what its parts share. */
function frameOf(blocking: Blocking) {
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32", "i32"]);
  const [source, rowBegin, rows, begin, depth, to] = builder.parameters;
  const [row, rowEnd] = [builder.local("i32"), builder.local("i32")];
  // The position along k, and its end.
  const [index, end] = [builder.local("i32"), builder.local("i32")];
  // Addresses in the source and in the copy.
  const [p, q] = [builder.local("i32"), builder.local("i32")];
  const locals = { source, rowBegin, rows, begin, depth, to, row, rowEnd, index, end, p, q };
  return { blocking, builder, ...locals };
}

/** The last position from `from` on up to which vectors are whole. */
const wholeEnd = ({ blocking }: Frame, from: Local, count: Local): Code =>
  i32.add(from.get, i32.and(count.get, i32.const(-blocking.scalar.lanes)));

/** Sets the rows to be run through to all of them. */
const allRows = ({ row, rowEnd, rowBegin, rows }: Frame): Code => [
  row.set(rowBegin.get),
  rowEnd.set(i32.add(rowBegin.get, rows.get)),
];

/** How far into its row of the copy an element is. */
const intoRow = ({ blocking, index, begin }: Frame): Code =>
  scaled(i32.sub(index.get, begin.get), blocking.scalar.size);

/** Along the current row, `count` elements at a time, from the current index to the current end. */
function alongRow(frame: Frame, count: number): Code {
  const { blocking, source, rowBegin, to, row, index, end, p, q } = frame;
  const { scalar, left, leftRow } = blocking;
  const stride = uniformStride(left.inner);
  const toRow = scaled(i32.sub(row.get, rowBegin.get), leftRow);
  const address = stride === undefined ? i32.add(p.get, offsetOf(left.inner, index)) : p.get;
  return [
    p.set(i32.add(source.get, offsetOf(left.outer, row))),
    stride === undefined ? [] : increment(p, offsetOf(left.inner, index)),
    q.set(i32.add(to.get, i32.add(toRow, intoRow(frame)))),
    forUpTo(index, end.get, count, [
      count === 1
        ? scalar.store(q.get, left.elements.load(address))
        : v128.store(q.get, left.elements.loadVector(address)),
      stride === undefined ? [] : increment(p, count * stride),
      increment(q, count * scalar.size),
    ]),
  ];
}

/** The rest of each row, from an index on, by single elements. */
function byElements(frame: Frame, from: Code): Code {
  const { row, rowEnd, begin, depth, index, end } = frame;
  return forUpTo(row, rowEnd.get, 1, [
    index.set(from),
    end.set(i32.add(begin.get, depth.get)),
    alongRow(frame, 1),
  ]);
}

/** Rows that are contiguous: vectors along each, then elements. */
function byVectors(frame: Frame): Code {
  const { blocking, row, rowEnd, begin, depth, index, end } = frame;
  const { lanes } = blocking.scalar;
  return [
    allRows(frame),
    forUpTo(row, rowEnd.get, 1, [
      index.set(begin.get),
      end.set(wholeEnd(frame, begin, depth)),
      alongRow(frame, lanes),
      blocking.k % lanes > 0 ? [end.set(i32.add(begin.get, depth.get)), alongRow(frame, 1)] : [],
    ]),
  ];
}

/** Columns that are contiguous: squares of lanes × lanes elements, then the rests of rows, then the other rows. */
function bySquares(frame: Frame): Code {
  const { blocking, row, rowEnd, rowBegin, rows, begin, depth } = frame;
  return [
    wholeSquares(frame),
    blocking.k % blocking.scalar.lanes > 0
      ? [
          row.set(rowBegin.get),
          rowEnd.set(wholeEnd(frame, rowBegin, rows)),
          byElements(frame, wholeEnd(frame, begin, depth)),
        ]
      : [],
    row.set(wholeEnd(frame, rowBegin, rows)),
    rowEnd.set(i32.add(rowBegin.get, rows.get)),
    byElements(frame, begin.get),
  ];
}

/** Squares, along the rows first, so that a cache line of the source is used up before the next. */
function wholeSquares(frame: Frame): Code {
  const { blocking, builder, source, rowBegin, rows, begin, depth, to } = frame;
  const { row, rowEnd, index, end, q } = frame;
  const { scalar, left, leftRow } = blocking;
  const { lanes } = scalar;
  const stride = uniformStride(left.outer);
  const square = range(lanes).map(() => builder.local("v128"));
  const temporary = range(lanes / 2).map(() => builder.local("v128"));
  const columns = range(lanes).map(() => builder.local("i32"));
  const position = builder.local("i32");
  const shift = builder.local("i32");
  const addressIn = (column: Local): Code =>
    stride === undefined ? i32.add(column.get, shift.get) : column.get;
  return [
    index.set(begin.get),
    end.set(wholeEnd(frame, begin, depth)),
    forUpTo(index, end.get, lanes, [
      columns.map((column, i) => [
        position.set(i32.add(index.get, i32.const(i))),
        column.set(i32.add(source.get, offsetOf(left.inner, position))),
        stride === undefined ? [] : increment(column, offsetOf(left.outer, rowBegin)),
      ]),
      q.set(i32.add(to.get, intoRow(frame))),
      row.set(rowBegin.get),
      rowEnd.set(wholeEnd(frame, rowBegin, rows)),
      forUpTo(row, rowEnd.get, lanes, [
        stride === undefined ? shift.set(offsetOf(left.outer, row)) : [],
        square.map((vector, i) => vector.set(left.elements.loadVector(addressIn(columns[i]!)))),
        scalar.transpose(square, temporary),
        square.map((vector, i) => v128.store(q.get, vector.get, i * leftRow)),
        stride === undefined
          ? []
          : columns.map((column) => increment(column, lanes * left.elements.bytes)),
        increment(q, lanes * leftRow),
      ]),
    ]),
  ];
}
