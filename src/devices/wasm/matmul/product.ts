/**
 * WebAssembly for one matrix product, specialised to its shape and strides. The product is blocked
 * as in Goto & van de Geijn (2008): columns by `nc`, the sum by `kc`, rows by `mc`; a panel of the
 * right operand stays in L1 while register tiles sweep down a block of the left. An operand that a
 * tile can read in place is not copied; the others are packed panel by panel, transposed in
 * registers where their unit stride is along the other axis. Every element is summed in an order
 * that the shape alone fixes, so the result does not depend on how the work is split.
 * @module
 */

import type { MatmulKernel } from "../../../kernels/kernel.js";
import { type Code, control, FunctionBuilder, i32, type Local } from "../assembler.js";
import { atMost, forUpTo, increment, offsetOf, scaled } from "./code.js";
import { packLeftFunction, packRightFunction } from "./pack.js";
import { panelFunction } from "./panel.js";
import {
  DEFAULT_TILE,
  itemsPerBatch,
  type Operand,
  packedRightBytes,
  roundUp,
  scheduleOf,
  type Tile,
  uniformStride,
} from "./schedule.js";
import { dotFunction, rowFunction } from "./vector.js";

/** Functions of a module that compute one product. */
interface MatmulCode {
  readonly functions: readonly FunctionBuilder[];
  /** Index of the function `(buffers, constants, begin, end, workspace)` that runs work items `begin..end`. */
  readonly entry: number;
}

/**
 * Generates the functions of a matrix product for a module.
 *
 * @param kernel The product. It has at least one work item.
 * @param options.functionBase Index that the first of the functions gets, imports counted.
 * @param options.epilogue Index of a function `(buffers, constants, begin, end)` that applies the
 *   kernel's epilogue in place to rows `begin..end` of the output seen as [batch · m, n]; it is
 *   called once for every row, when the row is complete.
 * @param options.tile Register tile, the same as for {@link matmulWorkItems}.
 */
export function buildMatmul(
  kernel: MatmulKernel,
  options: {
    readonly functionBase: number;
    readonly epilogue: number | null;
    readonly tile?: Tile;
  },
): MatmulCode {
  const schedule = scheduleOf(kernel, options.tile ?? DEFAULT_TILE);
  const { scalar, m, n, k, left, right, method, transposed, columns, mc, nc, kc, split } = schedule;
  const { size } = scalar;
  const functions: FunctionBuilder[] = [];
  const define = (builder: FunctionBuilder): number =>
    options.functionBase + functions.push(builder) - 1;

  const entry = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32"]);
  const [buffers, constants, begin, end, workspace] = entry.parameters as [
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const i32Local = (): Local => entry.local("i32");
  const [batch, first, last] = [i32Local(), i32Local(), i32Local()];
  const [a, b, c] = [i32Local(), i32Local(), i32Local()];
  const perBatch = itemsPerBatch(schedule);
  const extent = split === "m" ? m : n;
  const bufferOf = (slot: number): Code => i32.load(buffers.get, 4 * slot);
  const addressOf = ({ slot, offset, batch: axes }: Operand): Code =>
    i32.add(i32.add(bufferOf(slot), i32.const(offset)), offsetOf(axes, batch));

  /** Finishes `count` rows from `from` on, counted in the output as the kernel describes it. */
  const finish = (from: Code, count: Code): Code => {
    if (options.epilogue === null) return [];
    const rowsPerBatch = transposed ? n : m;
    const row = i32.add(scaled(batch.get, rowsPerBatch), from);
    return control.call(options.epilogue, buffers.get, constants.get, row, i32.add(row, count));
  };
  // A transposed product with one column was a row: it is finished as a whole.
  const finishAll: Code =
    options.epilogue === null
      ? []
      : method === "dot" && transposed
        ? control.call(
            options.epilogue,
            buffers.get,
            constants.get,
            batch.get,
            i32.add(batch.get, i32.const(1)),
          )
        : finish(first.get, i32.sub(last.get, first.get));

  let body: Code;
  if (k === 0) {
    body = [
      control.memoryFill(
        i32.add(c.get, scaled(first.get, n * size)),
        i32.const(0),
        scaled(i32.sub(last.get, first.get), n * size),
      ),
      finishAll,
    ];
  } else if (method === "dot") {
    const call = define(dotFunction(schedule));
    const contiguous = uniformStride(right.inner) === size;
    const index = i32Local();
    body = [
      contiguous
        ? []
        : [
            index.set(i32.const(0)),
            forUpTo(
              index,
              i32.const(k),
              1,
              scalar.store(
                i32.add(workspace.get, scaled(index.get, size)),
                scalar.load(i32.add(b.get, offsetOf(right.inner, index))),
              ),
            ),
          ],
      control.call(call, a.get, contiguous ? b.get : workspace.get, c.get, first.get, last.get),
      finishAll,
    ];
  } else if (method === "row") {
    const call = define(rowFunction(schedule));
    const from = split === "n" ? scaled(first.get, size) : i32.const(0);
    const count = split === "n" ? i32.sub(last.get, first.get) : i32.const(n);
    body = [
      control.call(call, a.get, i32.add(b.get, from), i32.add(c.get, from), count),
      finishAll,
    ];
  } else {
    body = tiles();
  }

  function tiles(): Code {
    const edge = n % columns;
    const full = n >= columns ? define(panelFunction(schedule, columns)) : null;
    const partial = edge > 0 ? define(panelFunction(schedule, edge)) : null;
    const packFull =
      schedule.packRight && full !== null ? define(packRightFunction(schedule, columns)) : null;
    const packPartial =
      schedule.packRight && edge > 0 ? define(packRightFunction(schedule, edge)) : null;
    const packLeft = schedule.packLeft ? define(packLeftFunction(schedule)) : null;
    const [jc, pc, ic, jr] = [i32Local(), i32Local(), i32Local(), i32Local()];
    const [nEnd, depth, height, panel, block] = [
      i32Local(),
      i32Local(),
      i32Local(),
      i32Local(),
      i32Local(),
    ];
    const panelBytes = scaled(depth.get, columns * size);
    const packedLeft = i32.add(workspace.get, i32.const(roundUp(packedRightBytes(schedule), 16)));

    /** Calls the function for the panel at column `jr`, which may be the narrower last one. */
    const perPanel = (whole: number | null, narrow: number | null, ...operands: Code[]): Code => {
      if (whole === null || narrow === null)
        return control.call((whole ?? narrow) as number, ...operands);
      return control.if(
        i32.leU(jr.get, i32.const(n - columns)),
        control.call(whole, ...operands),
        control.call(narrow, ...operands),
      );
    };
    const blockRows: Code = [
      height.set(atMost(mc, split === "m" ? last.get : i32.const(m), ic.get)),
      packLeft === null
        ? block.set(
            i32.add(
              i32.add(a.get, scaled(pc.get, schedule.leftStep)),
              left.outer.length > 1 ? i32.const(0) : offsetOf(left.outer, ic),
            ),
          )
        : [
            block.set(packedLeft),
            control.call(packLeft, a.get, ic.get, height.get, pc.get, depth.get, block.get),
          ],
      jr.set(jc.get),
      schedule.packRight
        ? panel.set(workspace.get)
        : panel.set(
            i32.add(
              i32.add(b.get, scaled(pc.get, uniformStride(right.inner) ?? 0)),
              scaled(jc.get, size),
            ),
          ),
      forUpTo(jr, nEnd.get, columns, [
        perPanel(
          full,
          partial,
          block.get,
          ic.get,
          panel.get,
          i32.add(c.get, i32.add(scaled(ic.get, n * size), scaled(jr.get, size))),
          height.get,
          depth.get,
          pc.get,
        ),
        increment(panel, schedule.packRight ? panelBytes : columns * size),
      ]),
      options.epilogue !== null && !transposed
        ? control.if(
            i32.and(
              i32.geU(i32.add(pc.get, i32.const(kc)), i32.const(k)),
              i32.geU(nEnd.get, i32.const(n)),
            ),
            finish(ic.get, height.get),
          )
        : [],
    ];
    return [
      jc.set(split === "n" ? first.get : i32.const(0)),
      forUpTo(jc, split === "n" ? last.get : i32.const(n), nc, [
        nEnd.set(i32.add(jc.get, atMost(nc, split === "n" ? last.get : i32.const(n), jc.get))),
        pc.set(i32.const(0)),
        forUpTo(pc, i32.const(k), kc, [
          depth.set(atMost(kc, i32.const(k), pc.get)),
          packFull === null && packPartial === null
            ? []
            : [
                jr.set(jc.get),
                panel.set(workspace.get),
                forUpTo(jr, nEnd.get, columns, [
                  perPanel(packFull, packPartial, b.get, jr.get, pc.get, depth.get, panel.get),
                  increment(panel, panelBytes),
                ]),
              ],
          ic.set(split === "m" ? first.get : i32.const(0)),
          forUpTo(ic, split === "m" ? last.get : i32.const(m), mc, blockRows),
        ]),
      ]),
      transposed ? finishAll : [],
    ];
  }

  entry.body = control.block(
    control.loop([
      control.branchIf(1, i32.geU(begin.get, end.get)),
      batch.set(i32.divU(begin.get, i32.const(perBatch))),
      first.set(i32.sub(begin.get, scaled(batch.get, perBatch))),
      last.set(atMost(perBatch, i32.add(end.get, first.get), begin.get)),
      // From items to positions: the last item of a batch may be short.
      increment(begin, i32.sub(last.get, first.get)),
      first.set(scaled(first.get, schedule.item)),
      last.set(scaled(last.get, schedule.item)),
      last.set(control.select(last.get, i32.const(extent), i32.ltU(last.get, i32.const(extent)))),
      a.set(addressOf(left)),
      b.set(addressOf(right)),
      c.set(i32.add(bufferOf(0), scaled(batch.get, m * n * size))),
      body,
      control.branch(0),
    ]),
  );
  return { entry: define(entry), functions };
}
