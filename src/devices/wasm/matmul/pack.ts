/**
 * Operands copied to where and how a tile reads them best.
 * @module
 */

import { type Code, FunctionBuilder, i32, type Local, v128 } from "../assembler.js";
import { forUpTo, increment, offsetOf, range, scaled } from "./code.js";
import { contiguousIn, evenIn, roundUp, type Schedule, uniformStride } from "./schedule.js";

/** `(source, column, k, depth, to)`: copies `depth × width` elements of the right operand into a panel. */
export function packRightFunction(
  { scalar, right, columns, k }: Schedule,
  width: number,
): FunctionBuilder {
  const { size, lanes } = scalar;
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32"]);
  const [source, column, begin, depth, to] = builder.parameters as [
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const [p, q, index, end, position] = [
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
  ];
  const stride = right.outer.at(-1)?.stride ?? 0;
  const even = evenIn(right.outer, columns) && stride >= 0;
  const byVector = contiguousIn(right.outer, scalar);
  const bySquare = !byVector && contiguousIn(right.inner, scalar);
  const rowBytes = roundUp(width, lanes) * size;

  // Runs of columns that are loaded together, each with its address.
  const chunks = (from: number, upTo: number): { column: number; count: number }[] => {
    const list: { column: number; count: number }[] = [];
    for (let j = from; j < upTo; ) {
      const count = byVector && j + lanes <= upTo ? lanes : 1;
      list.push({ column: j, count });
      j += count;
    }
    return list;
  };
  const offsets = new Map<number, Local>();
  const at = (j: number): [address: Code, offset: number] => {
    if (even) return [p.get, j * stride];
    const offset = offsets.get(j) ?? builder.local("i32");
    offsets.set(j, offset);
    return [i32.add(p.get, offset.get), 0];
  };
  const innerStride = uniformStride(right.inner);
  // p follows the position along k.
  const start: Code =
    innerStride === undefined ? [] : p.set(i32.add(source.get, offsetOf(right.inner, index)));
  const follow: Code =
    innerStride === undefined ? p.set(i32.add(source.get, offsetOf(right.inner, index))) : [];
  const advance = (steps: number): Code => [
    innerStride === undefined ? [] : increment(p, steps * innerStride),
    increment(q, steps * rowBytes),
  ];
  const copy = (from: number, upTo: number): Code => [
    start,
    forUpTo(index, end.get, 1, [
      follow,
      chunks(from, upTo).map(({ column: j, count }) => {
        const [address, offset] = at(j);
        return count === 1
          ? scalar.store(q.get, scalar.load(address, offset), j * size)
          : v128.store(q.get, v128.load(address, offset), j * size);
      }),
      advance(1),
    ]),
  ];

  let body: Code;
  if (bySquare) {
    const square = range(lanes).map(() => builder.local("v128"));
    const temporary = range(lanes / 2).map(() => builder.local("v128"));
    const whole = width - (width % lanes);
    const aligned = i32.and(depth.get, i32.const(-lanes));
    const restart = (from: Code): Code => [
      index.set(i32.add(begin.get, from)),
      q.set(i32.add(to.get, scaled(from, rowBytes))),
    ];
    body = [
      end.set(i32.add(begin.get, aligned)),
      range(whole / lanes).map((group) => [
        restart(i32.const(0)),
        start,
        forUpTo(index, end.get, lanes, [
          follow,
          square.map((vector, j) => vector.set(v128.load(...at(group * lanes + j)))),
          scalar.transpose(square, temporary),
          square.map((vector, i) => v128.store(q.get, vector.get, group * 16 + i * rowBytes)),
          advance(lanes),
        ]),
      ]),
      end.set(i32.add(begin.get, depth.get)),
      k % lanes > 0 && whole > 0 ? [restart(aligned), copy(0, whole)] : [],
      width > whole ? [restart(i32.const(0)), copy(whole, width)] : [],
    ];
  } else {
    body = [
      index.set(begin.get),
      q.set(to.get),
      end.set(i32.add(begin.get, depth.get)),
      copy(0, width),
    ];
  }
  builder.body = [
    even
      ? source.set(i32.add(source.get, offsetOf(right.outer, column)))
      : [...offsets].map(([j, offset]) => [
          position.set(i32.add(column.get, i32.const(j))),
          offset.set(offsetOf(right.outer, position)),
        ]),
    body,
  ];
  return builder;
}

/** `(source, row, rows, k, depth, to)`: copies `rows × depth` elements of the left operand, a row at a time. */
export function packLeftFunction({ scalar, left, leftRow, k }: Schedule): FunctionBuilder {
  const { size, lanes } = scalar;
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32", "i32"]);
  const [source, rowBegin, rows, begin, depth, to] = builder.parameters as [
    Local,
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const [row, rowEnd, index, end, p, q] = [
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
    builder.local("i32"),
  ];
  const byVector = contiguousIn(left.inner, scalar);
  const bySquare = !byVector && contiguousIn(left.outer, scalar);
  const toRow = (): Code => scaled(i32.sub(row.get, rowBegin.get), leftRow);
  const toIndex = (): Code => scaled(i32.sub(index.get, begin.get), size);
  const innerStride = uniformStride(left.inner);
  const outerStride = uniformStride(left.outer);
  const wholeEnd = (from: Local, count: Local): Code =>
    i32.add(from.get, i32.and(count.get, i32.const(-lanes)));

  // Along each row, `count` elements at a time, from the current index to the current end.
  const alongRow = (count: number): Code => [
    p.set(i32.add(source.get, offsetOf(left.outer, row))),
    innerStride === undefined ? [] : increment(p, offsetOf(left.inner, index)),
    q.set(i32.add(to.get, i32.add(toRow(), toIndex()))),
    forUpTo(index, end.get, count, [
      ((): Code => {
        const address =
          innerStride === undefined ? i32.add(p.get, offsetOf(left.inner, index)) : p.get;
        return count === 1
          ? scalar.store(q.get, scalar.load(address))
          : v128.store(q.get, v128.load(address));
      })(),
      innerStride === undefined ? [] : increment(p, count * innerStride),
      increment(q, count * size),
    ]),
  ];
  const scalarRows = (from: Code): Code =>
    forUpTo(row, rowEnd.get, 1, [
      index.set(from),
      end.set(i32.add(begin.get, depth.get)),
      alongRow(1),
    ]);

  if (byVector) {
    builder.body = [
      row.set(rowBegin.get),
      rowEnd.set(i32.add(rowBegin.get, rows.get)),
      forUpTo(row, rowEnd.get, 1, [
        index.set(begin.get),
        end.set(wholeEnd(begin, depth)),
        alongRow(lanes),
        k % lanes > 0 ? [end.set(i32.add(begin.get, depth.get)), alongRow(1)] : [],
      ]),
    ];
  } else if (bySquare) {
    const square = range(lanes).map(() => builder.local("v128"));
    const temporary = range(lanes / 2).map(() => builder.local("v128"));
    const columns = range(lanes).map(() => builder.local("i32"));
    const position = builder.local("i32");
    const shift = builder.local("i32");
    // Whole squares, along the rows first: a cache line of the source is used up before the next.
    const squares: Code = [
      index.set(begin.get),
      end.set(wholeEnd(begin, depth)),
      forUpTo(index, end.get, lanes, [
        columns.map((column, i) => [
          position.set(i32.add(index.get, i32.const(i))),
          column.set(i32.add(source.get, offsetOf(left.inner, position))),
          outerStride === undefined ? [] : increment(column, offsetOf(left.outer, rowBegin)),
        ]),
        q.set(i32.add(to.get, toIndex())),
        row.set(rowBegin.get),
        rowEnd.set(wholeEnd(rowBegin, rows)),
        forUpTo(row, rowEnd.get, lanes, [
          outerStride === undefined ? shift.set(offsetOf(left.outer, row)) : [],
          square.map((vector, i) => {
            const column = (columns[i] as Local).get;
            return vector.set(
              v128.load(outerStride === undefined ? i32.add(column, shift.get) : column),
            );
          }),
          scalar.transpose(square, temporary),
          square.map((vector, i) => v128.store(q.get, vector.get, i * leftRow)),
          outerStride === undefined ? [] : columns.map((column) => increment(column, 16)),
          increment(q, lanes * leftRow),
        ]),
      ]),
    ];
    builder.body = [
      squares,
      k % lanes > 0
        ? [
            row.set(rowBegin.get),
            rowEnd.set(wholeEnd(rowBegin, rows)),
            scalarRows(wholeEnd(begin, depth)),
          ]
        : [],
      row.set(wholeEnd(rowBegin, rows)),
      rowEnd.set(i32.add(rowBegin.get, rows.get)),
      scalarRows(begin.get),
    ];
  } else {
    builder.body = [
      row.set(rowBegin.get),
      rowEnd.set(i32.add(rowBegin.get, rows.get)),
      scalarRows(begin.get),
    ];
  }
  return builder;
}
