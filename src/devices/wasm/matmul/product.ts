/**
 * WebAssembly for one matrix product, specialised to its shape and strides. The product is blocked
 * as in Goto & van de Geijn (2008): columns by `nc`, the sum by `kc`, rows by `mc`; a panel of the
 * right operand stays in L1 while register tiles sweep down a block of the left. An operand that a
 * tile can read in place is not copied; the others are packed panel by panel, transposed in
 * registers where their unit stride is along the other axis. Every element is summed in an order
 * that the shape alone fixes, so the result does not depend on how the work is split.
 * @module
 */

import { type Code, control, FunctionBuilder, i32, type Local } from "../assembler.js";
import { type Blocking, isContiguous, itemsPerBatch, type Operand, partBytes } from "./blocking.js";
import { atMost, forUpTo, increment, offsetOf, type ProductFrame, scaled } from "./code.js";
import { productOfTiles } from "./tiles.js";
import { dotFunction, rowFunction, sumFunction } from "./vector.js";

/** Functions of a module that compute one product. */
interface MatmulCode {
  readonly functions: readonly FunctionBuilder[];
  /** Index of the function `(buffers, constants, begin, end, workspace)` that runs work items `begin..end`. */
  readonly entry: number;
  /**
   * Index of the function `(buffers, constants, workspace)` that completes the product when all items are done, if there is
   * one. All of them have one workspace then.
   */
  readonly finish: number | null;
}

/**
 * Generates the functions of a matrix product for a module.
 *
 * @param blocking How the product is computed. It has at least one work item.
 * @param options.functionBase Index that the first of the functions gets, imports counted.
 * @param options.epilogue Index of a function `(buffers, constants, begin, end)` that applies the
 *   kernel's epilogue in place to rows `begin..end` of the output seen as [batch · m, n], or to its elements
 *   if the blocking says so; it is called once for each, when it is complete.
 */
export function buildMatmul(
  blocking: Blocking,
  options: {
    readonly functionBase: number;
    readonly epilogue: number | null;
  },
): MatmulCode {
  const { scalar, m, n, left, right, split, item } = blocking;
  const functions: FunctionBuilder[] = [];
  const define = (builder: FunctionBuilder): number =>
    options.functionBase + functions.push(builder) - 1;

  const entry = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32"]);
  const [buffers, constants, begin, end, workspace] = entry.parameters;
  const local = (): Local => entry.local("i32");
  const [batch, first, last] = [local(), local(), local()];
  const [a, b, c] = [local(), local(), local()];
  const bufferOf = (slot: number): Code => i32.load(buffers.get, 4 * slot);
  const addressOf = ({ slot, offset, batch: axes }: Operand): Code =>
    i32.add(i32.add(bufferOf(slot), i32.const(offset)), offsetOf(axes, batch));
  const finishRows = (row: Code, count: Code): Code =>
    options.epilogue === null
      ? []
      : control.call(options.epilogue, buffers.get, constants.get, row, i32.add(row, count));

  const perBatch = itemsPerBatch(blocking);
  const extent = blocking[split];
  const body = bodyOf({
    blocking,
    hasEpilogue: options.epilogue !== null,
    define,
    local,
    a,
    b,
    c,
    batch,
    first,
    last,
    workspace,
    finishRows,
  });
  entry.body = control.block(
    control.loop([
      control.branchIf(1, i32.geU(begin.get, end.get)),
      batch.set(i32.divU(begin.get, i32.const(perBatch))),
      first.set(i32.sub(begin.get, scaled(batch.get, perBatch))),
      last.set(atMost(perBatch, i32.add(end.get, first.get), begin.get)),
      // From items to positions: the last item of a batch may be short.
      increment(begin, i32.sub(last.get, first.get)),
      first.set(scaled(first.get, item)),
      last.set(scaled(last.get, item)),
      last.set(control.select(last.get, i32.const(extent), i32.ltU(last.get, i32.const(extent)))),
      a.set(addressOf(left)),
      b.set(addressOf(right)),
      c.set(i32.add(bufferOf(0), scaled(batch.get, m * n * scalar.size))),
      body,
      control.branch(0),
    ]),
  );
  const finish = split === "k" ? define(sumFunction(blocking, options.epilogue)) : null;
  return { entry: define(entry), finish, functions };
}

/** Computes the positions `first … last` of one matrix. */
function bodyOf(frame: ProductFrame): Code {
  const { k, method } = frame.blocking;
  if (k === 0) return emptySums(frame);
  if (method === "dot") return matrixTimesVector(frame);
  return method === "row" ? vectorTimesMatrix(frame) : productOfTiles(frame);
}

/** Applies the epilogue to all rows between `first` and `last`, or to the elements between them. */
function finishAll({ blocking, batch, first, last, finishRows }: ProductFrame): Code {
  const { method, transposed, m, n, finishesElements } = blocking;
  if (finishesElements) return finishRows(first.get, i32.sub(last.get, first.get));
  // A transposed product of one column is a row of the output, which is finished as a whole.
  if (method === "dot" && transposed) return finishRows(batch.get, i32.const(1));
  const row = i32.add(scaled(batch.get, transposed ? n : m), first.get);
  return finishRows(row, i32.sub(last.get, first.get));
}

function emptySums(frame: ProductFrame): Code {
  const { blocking, c, first, last } = frame;
  const rowBytes = blocking.n * blocking.scalar.size;
  return [
    control.memoryFill(
      i32.add(c.get, scaled(first.get, rowBytes)),
      i32.const(0),
      scaled(i32.sub(last.get, first.get), rowBytes),
    ),
    finishAll(frame),
  ];
}

function matrixTimesVector(frame: ProductFrame): Code {
  const { blocking, define, local, a, b, c, first, last, workspace } = frame;
  const { scalar, right, k } = blocking;
  const { size } = scalar;
  const call = define(dotFunction(blocking));
  const contiguous = isContiguous(right, scalar);
  const index = local();
  const copyVector: Code = [
    index.set(i32.const(0)),
    forUpTo(
      index,
      i32.const(k),
      1,
      scalar.store(
        i32.add(workspace.get, scaled(index.get, size)),
        right.elements.load(i32.add(b.get, offsetOf(right.inner, index))),
      ),
    ),
  ];
  return [
    contiguous ? [] : copyVector,
    control.call(call, a.get, contiguous ? b.get : workspace.get, c.get, first.get, last.get),
    finishAll(frame),
  ];
}

/** Parts of the sum, each an item, into the workspace. */
function partsOfSum({ blocking, define, a, b, first, last, workspace }: ProductFrame): Code {
  const { left, right, n, k, item } = blocking;
  const part = (terms: number): Code =>
    control.call(
      define(rowFunction(blocking, terms)),
      i32.add(a.get, offsetOf(left.inner, first)),
      i32.add(b.get, offsetOf(right.inner, first)),
      i32.add(workspace.get, scaled(i32.divU(first.get, i32.const(item)), partBytes(blocking))),
      i32.const(n),
    );
  const isWhole = i32.leU(first.get, i32.const(k - item));
  const rest = k % item;
  return forUpTo(
    first,
    last.get,
    item,
    rest === 0 ? part(item) : control.if(isWhole, part(item), part(rest)),
  );
}

function vectorTimesMatrix(frame: ProductFrame): Code {
  const { blocking, define, a, b, c, first, last } = frame;
  const { scalar, right, n, k, split } = blocking;
  if (split === "k") return partsOfSum(frame);
  const call = define(rowFunction(blocking, k));
  const from = (bytes: number): Code => (split === "n" ? scaled(first.get, bytes) : i32.const(0));
  const count = split === "n" ? i32.sub(last.get, first.get) : i32.const(n);
  return [
    control.call(
      call,
      a.get,
      i32.add(b.get, from(right.elements.bytes)),
      i32.add(c.get, from(scalar.size)),
      count,
    ),
    finishAll(frame),
  ];
}
