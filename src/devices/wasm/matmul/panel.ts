/**
 * The innermost part of a product: register tiles that sweep down a block of the left operand, along a
 * panel of the right.
 * @module
 */

import { range } from "../../../kernels/layout.js";
import { type Code, control, FunctionBuilder, i32, type Local, v128 } from "../assembler.js";
import { type Blocking, roundUp, uniformStride } from "./blocking.js";
import { increment, offsetOf } from "./code.js";
import { loadLanes, storeLanes } from "./lanes.js";

/**
 * `(left, row, right, output, rows, kc, accumulate)`: one panel of columns for `rows` rows.
 * `output[i, j] (+)= Σ_k left[i, k] · right[k, j]`, tile after tile.
 */
export function panelFunction(blocking: Blocking, width: number): FunctionBuilder {
  const { scalar, m, n, k, kc, rows, leftRow, leftStep, packLeft, packRight } = blocking;
  const builder = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32", "i32", "i32"]);
  const [left, row, right, output, count, depth, accumulate] = builder.parameters;
  const vectors = range(Math.ceil(width / scalar.lanes));
  const lanesOf = (j: number): number => Math.min(scalar.lanes, width - j * scalar.lanes);
  const rightStep = packRight
    ? roundUp(width, scalar.lanes) * scalar.size
    : (uniformStride(blocking.right.inner) ?? 0);
  const [p, q, step] = [builder.local("i32"), builder.local("i32"), builder.local("i32")];
  const a = builder.local("v128");
  const b = vectors.map(() => builder.local("v128"));
  const sums = range(rows).map(() => vectors.map(() => builder.local("v128")));
  const each = (height: number, body: (sum: Local, i: number, j: number) => Code): Code =>
    sums.slice(0, height).map((line, i) => line.map((sum, j) => body(sum, i, j)));

  const rowByRow = !packLeft && blocking.left.outer.length > 1;
  const tileOf = (height: number): Code => [
    each(height, (sum) => sum.set(scalar.zero)),
    p.set(rowByRow ? i32.add(left.get, offsetOf(blocking.left.outer, row)) : left.get),
    q.set(right.get),
    step.set(depth.get),
    control.loop([
      b.map((vector, j) =>
        packRight
          ? vector.set(v128.load(q.get, 16 * j))
          : loadLanes(scalar, vector, q.get, lanesOf(j), 16 * j),
      ),
      sums
        .slice(0, height)
        .map((line, i) => [
          a.set(scalar.splat(p.get, i * leftRow)),
          line.map((sum, j) => sum.set(scalar.multiplyAdd(a.get, (b[j] as Local).get, sum.get))),
        ]),
      increment(p, leftStep),
      increment(q, rightStep),
      control.branchIf(0, step.tee(i32.sub(step.get, i32.const(1)))),
    ]),
    k > kc
      ? control.if(
          accumulate.get,
          each(height, (sum, i, j) => [
            loadLanes(scalar, a, output.get, lanesOf(j), i * n * scalar.size + 16 * j),
            sum.set(scalar.add(a.get, sum.get)),
          ]),
        )
      : [],
    each(height, (sum, i, j) =>
      storeLanes(scalar, output.get, sum, lanesOf(j), i * n * scalar.size + 16 * j),
    ),
  ];
  const next: Code = [
    rowByRow ? increment(row, rows) : increment(left, rows * leftRow),
    increment(output, rows * n * scalar.size),
  ];
  const rest = m % rows;
  builder.body = [
    control.block(
      control.loop([
        control.branchIf(1, i32.ltU(count.get, i32.const(rows))),
        tileOf(rows),
        next,
        increment(count, -rows),
        control.branch(0),
      ]),
    ),
    rest > 0 ? control.if(count.get, tileOf(rest)) : [],
  ];
  return builder;
}
