/**
 * Steps that are computed together, a band of rows at a time: what one of them wrote is still in the cache when the next
 * reads it. The maximum, the exponentials, their sum and the quotient of a softmax go over memory once, not four times.
 * @module
 */

import { bytesPerElement } from "../../kernels/dtype.js";
import { loadIn } from "../../kernels/expressions.js";
import type { Affine, Kernel, LoopKernel, Plan, PlanBuffer, Step } from "../../kernels/kernel.js";
import { sizeOf } from "../../kernels/layout.js";
import { control, FunctionBuilder, i32 } from "./assembler.js";
import type { Ahead } from "./loops/ahead.js";
import { loopItems, type Traversal, traversalOf, VECTOR_GRAIN } from "./loops/traversal.js";
import { atMost, scaled } from "./matmul/code.js";

/** What makes steps a chain. */
export interface BandLimits {
  /**
   * Bytes of all buffers that a band touches. They stay in a core's own cache, and so does what its kernels load of the next
   * band.
   */
  readonly bytes: number;
  /** A step that touches less is no member of chains. */
  readonly leastStepBytes: number;
  /** Chains that touch less stay in the cache anyway. */
  readonly leastBytes: number;
  /** What a row takes at most, in all buffers: a larger one is not in the cache when the next step comes to it. */
  readonly mostRowBytes: number;
  /** Rows that a chain has at least, so that threads can divide it. */
  readonly leastRows: number;
}

export const BANDS: BandLimits = {
  bytes: 64 * 1024,
  leastStepBytes: 256 * 1024,
  leastBytes: 1024 * 1024,
  mostRowBytes: 1024 * 1024,
  leastRows: 16,
};
/** Steps of a chain at most: each is a stream for the memory to follow. */
const LONGEST_CHAIN = 16;

/** Steps of a plan that are one call. */
export interface Call {
  /** The number of the first of them. */
  readonly first: number;
  /** Equal calls have equal keys. */
  readonly key: string;
  readonly kernel: Kernel | Chain;
}

/** Steps computed a band of rows at a time. */
export interface Chain {
  readonly kind: "chain";
  /** Rows, into which the items of each step are divided evenly. */
  readonly rows: number;
  /** Rows of a band. */
  readonly band: number;
  /** Shares of the rows start at multiples of it. */
  readonly grain: number;
  readonly parts: readonly Part[];
}

/** A step of a chain. */
export interface Part {
  readonly kernel: LoopKernel;
  readonly traversal: Traversal;
  /** Items of a row. */
  readonly items: number;
  /** Where its addresses, and its constants, begin: bytes after the first step's. */
  readonly bufferOffset: number;
  readonly constantOffset: number;
  readonly ahead: Ahead;
}

/** A buffer that a step reads, and whether each item reads its own share of it alone. */
interface Read {
  readonly number: number;
  readonly inOrder: boolean;
}

/** A step that may be part of a chain. Every item of it writes its own share of the output. */
interface Member {
  readonly step: Step;
  readonly kernel: LoopKernel;
  readonly traversal: Traversal;
  readonly items: number;
  readonly output: number;
  readonly reads: readonly Read[];
}

/** The steps of a plan as calls, in their order. */
export function callsOf({ steps, buffers }: Plan, limits: BandLimits): readonly Call[] {
  const calls: Call[] = [];
  let chain: Member[] = [];
  const close = (end: number): void => {
    const first = end - chain.length;
    const found = chain.length > 1 ? chainOf(chain, buffers, limits) : null;
    if (found) {
      const keys = steps.slice(first, end).map(({ key }) => key);
      const near = found.parts.map(({ ahead }) => ahead.near);
      const key = [JSON.stringify([found.band, near]), ...keys].join("\n");
      calls.push({ first, key, kernel: found });
    } else for (let i = first; i < end; i++) calls.push({ first: i, ...steps[i]! });
    chain = [];
  };
  for (const [i, step] of steps.entries()) {
    const member = memberOf(step, buffers, limits);
    if (member && chain.length > 0 && !follows(chain, member, buffers)) close(i);
    if (member) chain.push(member);
    else {
      close(i);
      calls.push({ first: i, ...step });
    }
  }
  close(steps.length);
  return calls;
}

const bytesOf = ({ size, dtype }: PlanBuffer): number => size * bytesPerElement(dtype);

/** A step as a member of chains; null if it cannot be one, or is too small to gain by it. */
function memberOf(
  step: Step,
  buffers: readonly PlanBuffer[],
  { leastStepBytes, leastRows }: BandLimits,
): Member | null {
  const { kernel, buffers: own } = step;
  if (kernel.kind !== "loop") return null;
  if (own.reduce((sum, number) => sum + bytesOf(buffers[number]!), 0) < leastStepBytes) return null;
  const traversal = traversalOf(kernel);
  const items = loopItems(kernel, traversal);
  if (items < leastRows) return null;
  const reads = kernel.expressions.flatMap((e) => {
    const load = loadIn(e);
    if (!load) return [];
    const number = own[load.buffer]!;
    const share = buffers[number]!.size / items;
    return [{ number, inOrder: isInOrder(load.index, kernel, traversal, share) }];
  });
  return { step, kernel, traversal, items, output: own[0]!, reads };
}

/** Whether item i reads elements `i·share … (i + 1)·share − 1` only. */
function isInOrder(
  { offset, strides }: Affine,
  { axes }: LoopKernel,
  { rows, vector }: Traversal,
  share: number,
): boolean {
  const items = rows.length > 0 ? rows : [vector];
  let expected = share;
  for (const axis of [...items].reverse()) {
    if (axes[axis]! > 1 && strides[axis] !== expected) return false;
    expected *= axes[axis]!;
  }
  // The other axes must stay within the item's share.
  let [least, most] = [offset, offset];
  for (const [axis, stride] of strides.entries()) {
    if (items.includes(axis) || stride === 0) continue;
    // Nobody knows where a lookup leads.
    if (axis >= axes.length) return false;
    const last = stride * (axes[axis]! - 1);
    if (last < 0) least += last;
    else most += last;
  }
  return least >= 0 && most < share;
}

/**
 * Whether a step can join the steps before it: with bands, too, every element is read after it was written and before it is
 * overwritten.
 */
function follows(chain: readonly Member[], next: Member, buffers: readonly PlanBuffer[]): boolean {
  if (chain.length === LONGEST_CHAIN) return false;
  const rows = fewestItems([...chain, next]);
  if ([...chain, next].some(({ items }) => items % rows !== 0)) return false;
  const meet = (a: number, b: number): Meeting => meeting(a, b, buffers);
  const readsSafely = ({ reads }: Member, output: number): boolean =>
    reads.every(({ number, inOrder }) => {
      const found = meet(number, output);
      return found === "apart" || (found === "same" && inOrder);
    });
  const keepsOrder = (one: Member): boolean =>
    readsSafely(next, one.output) &&
    meet(next.output, one.output) !== "across" &&
    readsSafely(one, next.output);
  const inOrderBuffers = ({ output, reads }: Member): number[] => [
    output,
    ...reads.flatMap(({ number, inOrder }) => (inOrder ? [number] : [])),
  ];
  const before = new Set(chain.flatMap(inOrderBuffers));
  return inOrderBuffers(next).some((number) => before.has(number)) && chain.every(keepsOrder);
}

/** How two buffers lie in memory: only temporaries, which share the scratch memory, can overlap. */
type Meeting = "apart" | "same" | "across";

function meeting(a: number, b: number, buffers: readonly PlanBuffer[]): Meeting {
  if (a === b) return "same";
  const [one, other] = [buffers[a]!, buffers[b]!];
  if (one.role !== "temporary" || other.role !== "temporary") return "apart";
  const [from, to] = [Math.max(one.offset, other.offset), Math.min(endOf(one), endOf(other))];
  if (from >= to) return "apart";
  return one.offset === other.offset && bytesOf(one) === bytesOf(other) ? "same" : "across";
}

const endOf = (buffer: PlanBuffer): number => buffer.offset + bytesOf(buffer);

/**
 * A function `(buffers, constants, begin, end, workspace)` that runs rows `begin … end`, a band after the other.
 * @param functions The index of each part's function.
 */
export function buildChain({ band, parts }: Chain, functions: readonly number[]): FunctionBuilder {
  const f = new FunctionBuilder(["i32", "i32", "i32", "i32", "i32"]);
  const [buffers, constants, begin, end] = f.parameters;
  const stop = f.local("i32");
  f.body = control.block(
    control.loop([
      control.branchIf(1, i32.geU(begin.get, end.get)),
      stop.set(i32.add(begin.get, atMost(band, end.get, begin.get))),
      parts.map((part, i) =>
        control.call(
          functions[i]!,
          i32.add(buffers.get, i32.const(part.bufferOffset)),
          i32.add(constants.get, i32.const(part.constantOffset)),
          scaled(begin.get, part.items),
          scaled(stop.get, part.items),
        ),
      ),
      begin.set(stop.get),
      control.branch(0),
    ]),
  );
  return f;
}

const fewestItems = (members: readonly Member[]): number =>
  members.reduce((least, { items }) => Math.min(least, items), Number.POSITIVE_INFINITY);

/** How members are computed together; null if they touch too little to gain by it. */
function chainOf(
  members: readonly Member[],
  buffers: readonly PlanBuffer[],
  limits: BandLimits,
): Chain | null {
  const rows = fewestItems(members);
  const touched = new Set(
    members.flatMap(({ output, reads }) => [output, ...reads.map(({ number }) => number)]),
  );
  const bytes = [...touched].reduce((sum, number) => sum + bytesOf(buffers[number]!), 0);
  if (bytes < limits.leastBytes) return null;
  if (bytes / rows > limits.mostRowBytes) return null;
  const fitting = Math.max(1, Math.floor((rows * limits.bytes) / bytes));
  const isAligned = members.every(
    ({ traversal, items }) => traversal.rows.length > 0 || (items / rows) % VECTOR_GRAIN === 0,
  );
  const grain = isAligned ? 1 : VECTOR_GRAIN;
  const band = grain * Math.ceil(fitting / grain);
  const written = new Set<number>();
  let [atBuffers, atConstants] = [0, 0];
  const parts = members.map(({ step, kernel, traversal, items, output }) => {
    const part = {
      kernel,
      traversal,
      items: items / rows,
      bufferOffset: atBuffers,
      constantOffset: atConstants,
      ahead: {
        distance: (sizeOf(kernel.axes) / rows) * band,
        near: step.buffers.flatMap((number, own) => (written.has(number) ? [own] : [])),
      },
    };
    written.add(output);
    atBuffers += 4 * step.buffers.length;
    atConstants += 8 * step.constants.length;
    return part;
  });
  return { kind: "chain", rows, band, grain, parts };
}
