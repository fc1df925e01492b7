/**
 * Products of matrices: blocks of the operands, packed where a tile cannot read them in place, and tiles
 * over the blocks.
 * @module
 */

import { type Code, control, i32, type Local } from "../assembler.js";
import { packedRightBytes, roundUp, uniformStride } from "./blocking.js";
import { atMost, forUpTo, increment, offsetOf, type ProductFrame, scaled } from "./code.js";
import { packLeftFunction } from "./packLeft.js";
import { packRightFunction } from "./packRight.js";
import { panelFunction } from "./panel.js";

/** Functions for panels of all columns and for the narrower last panel, by their indices; null where there is no such panel. */
interface PanelFunctions {
  readonly whole: number | null;
  readonly narrow: number | null;
}

/** The locals of the loops over blocks. */
interface BlockLocals {
  /** First column of the block. */
  readonly jc: Local;
  /** First term of the part of the sum. */
  readonly pc: Local;
  /** First row of the block. */
  readonly ic: Local;
  /** First column of the panel. */
  readonly jr: Local;
  /** End of the block's columns. */
  readonly nEnd: Local;
  /** Terms in the part of the sum. */
  readonly depth: Local;
  /** Rows of the block. */
  readonly height: Local;
  /** Address of the panel. */
  readonly panel: Local;
  /** Address of the block of the left operand. */
  readonly block: Local;
}

/** The product of one matrix by blocks: of columns, of the sum, of rows, in this order from the outside. */
export function productOfTiles(frame: ProductFrame): Code {
  const { blocking, define, local, first, last, batch, finishRows } = frame;
  const { m, n, k, transposed, columns, mc, nc, kc, split, packLeft, packRight } = blocking;
  const panels = (make: (width: number) => number): PanelFunctions => ({
    whole: n >= columns ? make(columns) : null,
    narrow: n % columns > 0 ? make(n % columns) : null,
  });
  const multiply = panels((width) => define(panelFunction(blocking, width)));
  const pack = packRight ? panels((width) => define(packRightFunction(blocking, width))) : null;
  const packRows = packLeft ? define(packLeftFunction(blocking)) : null;
  const [jc, pc, ic, jr] = [local(), local(), local(), local()];
  const [nEnd, depth, height, panel, block] = [local(), local(), local(), local(), local()];
  const at: BlockLocals = { jc, pc, ic, jr, nEnd, depth, height, panel, block };

  const columnsEnd = split === "n" ? last.get : i32.const(n);
  const rowsEnd = split === "m" ? last.get : i32.const(m);
  // A transposed product is one row of the output. Its epilogue runs once, when the whole row is complete.
  const transposedRow = i32.add(scaled(batch.get, n), first.get);
  return [
    jc.set(split === "n" ? first.get : i32.const(0)),
    forUpTo(jc, columnsEnd, nc, [
      nEnd.set(i32.add(jc.get, atMost(nc, columnsEnd, jc.get))),
      pc.set(i32.const(0)),
      forUpTo(pc, i32.const(k), kc, [
        depth.set(atMost(kc, i32.const(k), pc.get)),
        pack === null ? [] : packColumns(frame, at, pack),
        ic.set(split === "m" ? first.get : i32.const(0)),
        forUpTo(ic, rowsEnd, mc, [
          height.set(atMost(mc, rowsEnd, ic.get)),
          chooseBlock(frame, at, packRows),
          multiplyPanels(frame, at, multiply),
          finishBlock(frame, at),
        ]),
      ]),
    ]),
    transposed ? finishRows(transposedRow, i32.sub(last.get, first.get)) : [],
  ];
}

/** Calls the function for the panel at column `jr`, which may be the narrower last one. */
function perPanel(
  { blocking: { n, columns } }: ProductFrame,
  { jr }: BlockLocals,
  { whole, narrow }: PanelFunctions,
  ...operands: Code[]
): Code {
  if (whole === null || narrow === null)
    return control.call((whole ?? narrow) as number, ...operands);
  return control.if(
    i32.leU(jr.get, i32.const(n - columns)),
    control.call(whole, ...operands),
    control.call(narrow, ...operands),
  );
}

/** Bytes of a packed panel. */
function panelBytes({ blocking: { columns, scalar } }: ProductFrame, { depth }: BlockLocals): Code {
  return scaled(depth.get, columns * scalar.size);
}

/** Packs the panels of a block of the right operand, one after the other. */
function packColumns(frame: ProductFrame, at: BlockLocals, pack: PanelFunctions): Code {
  const { blocking, b, workspace } = frame;
  const { jc, pc, jr, nEnd, depth, panel } = at;
  return [
    jr.set(jc.get),
    panel.set(workspace.get),
    forUpTo(jr, nEnd.get, blocking.columns, [
      perPanel(frame, at, pack, b.get, jr.get, pc.get, depth.get, panel.get),
      increment(panel, panelBytes(frame, at)),
    ]),
  ];
}

/** Sets the address of a block of the left operand, after packing it if need be. */
function chooseBlock(
  { blocking, a, workspace }: ProductFrame,
  { pc, ic, depth, height, block }: BlockLocals,
  packRows: number | null,
): Code {
  const { left, leftStep } = blocking;
  if (packRows === null) {
    const rows = left.outer.length > 1 ? i32.const(0) : offsetOf(left.outer, ic);
    return block.set(i32.add(i32.add(a.get, scaled(pc.get, leftStep)), rows));
  }
  return [
    block.set(i32.add(workspace.get, i32.const(roundUp(packedRightBytes(blocking), 16)))),
    control.call(packRows, a.get, ic.get, height.get, pc.get, depth.get, block.get),
  ];
}

/** Multiplies a block of the left operand with each panel of the right. */
function multiplyPanels(frame: ProductFrame, at: BlockLocals, multiply: PanelFunctions): Code {
  const { blocking, b, c, workspace } = frame;
  const { jc, pc, ic, jr, nEnd, depth, height, panel, block } = at;
  const { n, columns, packRight, right } = blocking;
  const { size } = blocking.scalar;
  const inPlace = i32.add(
    i32.add(b.get, scaled(pc.get, uniformStride(right.inner) ?? 0)),
    scaled(jc.get, size),
  );
  return [
    jr.set(jc.get),
    panel.set(packRight ? workspace.get : inPlace),
    forUpTo(jr, nEnd.get, columns, [
      perPanel(
        frame,
        at,
        multiply,
        block.get,
        ic.get,
        panel.get,
        i32.add(c.get, i32.add(scaled(ic.get, n * size), scaled(jr.get, size))),
        height.get,
        depth.get,
        pc.get,
      ),
      increment(panel, packRight ? panelBytes(frame, at) : columns * size),
    ]),
  ];
}

/** Applies the epilogue to the rows of a block after the last part of their sums and their last columns. */
function finishBlock(
  { blocking, hasEpilogue, batch, finishRows }: ProductFrame,
  { pc, ic, nEnd, height }: BlockLocals,
): Code {
  const { m, n, k, kc, transposed } = blocking;
  if (!hasEpilogue || transposed) return [];
  return control.if(
    i32.and(i32.geU(i32.add(pc.get, i32.const(kc)), i32.const(k)), i32.geU(nEnd.get, i32.const(n))),
    finishRows(i32.add(scaled(batch.get, m), ic.get), height.get),
  );
}
