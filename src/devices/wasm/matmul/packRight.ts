/**
 * Packing the right operand: copies of its elements, panel by panel, in the order in which a tile reads them.
 * @module
 */

import { range } from "../../../kernels/layout.js";
import { type Code, FunctionBuilder, i32, type Local, v128 } from "../assembler.js";
import { type Blocking, contiguousIn, evenIn, roundUp, uniformStride } from "./blocking.js";
import { forUpTo, increment, offsetOf, scaled } from "./code.js";

/** `(source, column, k, depth, to)`: copies `depth × width` elements of the right operand into a panel. */
export function packRightFunction(blocking: Blocking, width: number): FunctionBuilder {
  const frame = frameOf(blocking, width);
  const { builder, begin, depth, to, q, index, end } = frame;
  const { scalar, right } = blocking;
  const bySquare =
    !contiguousIn(right.outer, right, scalar) && contiguousIn(right.inner, right, scalar);
  const body = bySquare
    ? copySquares(frame)
    : [
        index.set(begin.get),
        q.set(to.get),
        end.set(i32.add(begin.get, depth.get)),
        copyColumns(frame, 0, width),
      ];
  // After the body, which asks for the columns.
  builder.body = [frame.columns.prepare(), body];
  return builder;
}

type Frame = ReturnType<typeof frameOf>;

/** The function while it is generated: what its parts share. */
function frameOf(blocking: Blocking, width: number) {
  const { scalar, right } = blocking;
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32"]);
  const [source, column, begin, depth, to] = builder.parameters;
  // Addresses in the source and in the panel, at the position `index` along k.
  const [p, q] = [builder.local("i32"), builder.local("i32")];
  const [index, end] = [builder.local("i32"), builder.local("i32")];
  const rowBytes = roundUp(width, scalar.lanes) * scalar.size;
  const stride = uniformStride(right.inner);
  const place = p.set(i32.add(source.get, offsetOf(right.inner, index)));
  return {
    blocking,
    width,
    builder,
    begin,
    depth,
    to,
    q,
    index,
    end,
    rowBytes,
    columns: columnsOf(builder, blocking, source, column, p),
    /** Runs from the current position to the end, some steps along k at a time. */
    alongK: (steps: number, body: Code): Code => [
      stride === undefined ? [] : place,
      forUpTo(index, end.get, steps, [
        stride === undefined ? place : [],
        body,
        stride === undefined ? [] : increment(p, steps * stride),
        increment(q, steps * rowBytes),
      ]),
    ],
  };
}

/** Where the elements of the panel's columns are: evenly spaced from `p`, or at offsets of their own. */
function columnsOf(
  builder: FunctionBuilder,
  { right, columns }: Blocking,
  source: Local,
  column: Local,
  p: Local,
) {
  const position = builder.local("i32");
  const stride = right.outer.at(-1)?.stride ?? 0;
  const isEven = evenIn(right.outer, columns) && stride >= 0;
  const offsets = new Map<number, Local>();
  return {
    at(j: number): [address: Code, offset: number] {
      if (isEven) return [p.get, j * stride];
      const offset = offsets.get(j) ?? builder.local("i32");
      offsets.set(j, offset);
      return [i32.add(p.get, offset.get), 0];
    },
    /** Code for before the first element, once all columns were asked for. */
    prepare(): Code {
      if (isEven) return source.set(i32.add(source.get, offsetOf(right.outer, column)));
      return [...offsets].map(([j, offset]) => [
        position.set(i32.add(column.get, i32.const(j))),
        offset.set(offsetOf(right.outer, position)),
      ]);
    },
  };
}

/** Copies columns `from … upTo − 1`, each row as vectors where its columns are neighbours. */
function copyColumns({ blocking, columns, q, alongK }: Frame, from: number, upTo: number): Code {
  const { scalar, right } = blocking;
  const { size, lanes } = scalar;
  const byVector = contiguousIn(right.outer, right, scalar);
  const { load, loadVector } = right.elements;
  const copies: Code[] = [];
  for (let j = from; j < upTo; ) {
    const [address, offset] = columns.at(j);
    const isVector = byVector && j + lanes <= upTo;
    copies.push(
      isVector
        ? v128.store(q.get, loadVector(address, offset), j * size)
        : scalar.store(q.get, load(address, offset), j * size),
    );
    j += isVector ? lanes : 1;
  }
  return alongK(1, copies);
}

/** Copies squares of lanes × lanes elements, transposed in registers, and what remains by elements. */
function copySquares(frame: Frame): Code {
  const { blocking, width, builder, begin, depth, to, q, index, end, rowBytes } = frame;
  const { scalar, right, k } = blocking;
  const { lanes } = scalar;
  const square = range(lanes).map(() => builder.local("v128"));
  const temporary = range(lanes / 2).map(() => builder.local("v128"));
  const whole = width - (width % lanes);
  const aligned = i32.and(depth.get, i32.const(-lanes));
  const restart = (from: Code): Code => [
    index.set(i32.add(begin.get, from)),
    q.set(i32.add(to.get, scaled(from, rowBytes))),
  ];
  return [
    end.set(i32.add(begin.get, aligned)),
    range(whole / lanes).map((group) => [
      restart(i32.const(0)),
      frame.alongK(lanes, [
        square.map((vector, j) =>
          vector.set(right.elements.loadVector(...frame.columns.at(group * lanes + j))),
        ),
        scalar.transpose(square, temporary),
        square.map((vector, i) => v128.store(q.get, vector.get, group * 16 + i * rowBytes)),
      ]),
    ]),
    end.set(i32.add(begin.get, depth.get)),
    k % lanes > 0 && whole > 0 ? [restart(aligned), copyColumns(frame, 0, whole)] : [],
    width > whole ? [restart(i32.const(0)), copyColumns(frame, whole, width)] : [],
  ];
}
