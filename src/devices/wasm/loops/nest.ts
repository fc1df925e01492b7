/**
 * The loops of a function that is being generated: which are open, what the indices of their axes are, and
 * what was computed in each.
 * @module
 */

import type { Affine } from "../../../kernels/kernel.js";
import { type Code, control, type FunctionBuilder, i32, type Local } from "../assembler.js";
import { ACCUMULATED, type Traversal } from "./traversal.js";

/** A loop being generated: code that runs at the start of each iteration, and what it computed. */
interface Scope {
  /** Bits of the axes whose indices are set when the scope's code runs. */
  readonly axes: number;
  readonly code: Code[];
  readonly known: Map<string, Local>;
}

/** Loops within loops. Code goes into the innermost one, or into one further out that knows all it needs. */
export class Nest {
  private readonly scopes: Scope[] = [];
  /** Index of each axis; of the vector axis, that of the first of the vectors that are computed together. */
  private readonly indices: readonly Local[];
  /** The vector axis' index for each of the vectors that are computed together. */
  private vectorIndices: readonly Local[] = [];
  /** Which of these vectors is being generated. */
  private unrolled = 0;
  /** Elements at a time along the vector axis. */
  width = 1;
  /** Whether values are computed a second time. They belong to the block that computes them. */
  isAgain = false;

  constructor(
    private readonly f: FunctionBuilder,
    private readonly axes: readonly number[],
    private readonly traversal: Traversal,
    private readonly lanes: number,
  ) {
    this.indices = axes.map(() => f.local("i32"));
  }

  /** Begins a loop whose axes, as bits, have indices. */
  open(axes: number): void {
    const outer = this.scopes[this.scopes.length - 1];
    this.scopes.push({ axes: (outer?.axes ?? 0) | axes, code: [], known: new Map() });
  }

  /** Ends the innermost loop, and gives the code of one iteration. */
  close(): Code {
    return this.scopes.pop()!.code;
  }

  /** Code generated in a scope of its own. */
  block(generate: () => void): Code {
    this.open(0);
    generate();
    return this.close();
  }

  /** Adds code to the innermost loop. */
  append(...code: Code[]): void {
    this.scope.code.push(...code);
  }

  private get scope(): Scope {
    return this.scopes[this.scopes.length - 1]!;
  }

  /**
   * Runs through the flattened row axes from `begin` to `end`.
   * @param perItem Rows for each step from begin to end.
   */
  rowLoop(begin: Local, end: Local, perItem: number, body: () => void): void {
    const { f, axes } = this;
    const { rows } = this.traversal;
    const item = f.local("i32");
    const last = f.local("i32");
    const rest = f.local("i32");
    const scaled = (range: Local): Code =>
      perItem === 1 ? range.get : i32.mul(range.get, i32.const(perItem));
    this.append(item.set(scaled(begin)), last.set(scaled(end)), rest.set(item.get));
    for (const axis of [...rows].reverse()) {
      const size = i32.const(axes[axis]!);
      if (axis === rows[0]) this.append(this.indices[axis]!.set(rest.get));
      else {
        this.append(
          this.indices[axis]!.set(i32.remU(rest.get, size)),
          rest.set(i32.divU(rest.get, size)),
        );
      }
    }
    this.open(rows.reduce((bits, axis) => bits | (1 << axis), 0));
    body();
    // Advance the indices like an odometer.
    let advance: Code = [];
    for (const axis of rows) {
      const index = this.indices[axis]!;
      const next = index.set(i32.add(index.get, i32.const(1)));
      advance =
        axis === rows[0]
          ? next
          : [
              next,
              control.if(i32.eq(index.get, i32.const(axes[axis]!)), [
                index.set(i32.const(0)),
                advance,
              ]),
            ];
    }
    const code = this.close();
    const step = item.tee(i32.add(item.get, i32.const(1)));
    this.append(
      control.if(
        i32.ltU(item.get, last.get),
        control.loop([code, advance, control.branchIf(0, i32.ltU(step, last.get))]),
      ),
    );
  }

  /** A loop over a whole axis with its own scope. */
  axisLoop(axis: number, body: () => void): void {
    const size = this.axes[axis]!;
    const index = this.indices[axis]!;
    this.append(index.set(i32.const(0)));
    this.open(1 << axis);
    body();
    const code = this.close();
    const step = index.tee(i32.add(index.get, i32.const(1)));
    this.append(control.loop([code, control.branchIf(0, i32.ltU(step, i32.const(size)))]));
  }

  /**
   * Runs along the vector axis: `unroll` vectors at a time, then one, then single elements. The body
   * is generated for each of these; its vectors are those of {@link each}.
   */
  vectorLoop(unroll: number, range: readonly [Local, Local] | null, body: () => void): void {
    const { f, axes, lanes } = this;
    const { vector, wide } = this.traversal;
    if (vector < 0) {
      this.open(0);
      this.width = 1;
      body();
      const code = this.close();
      this.append(code);
      return;
    }
    const size = axes[vector]!;
    if (size === 0) return;
    const start = this.indices[vector]!;
    const end = range ? range[1] : null;
    this.append(start.set(range ? range[0].get : i32.const(0)));
    const widths = wide ? (unroll > 1 ? [unroll * lanes, lanes, 1] : [lanes, 1]) : [1];
    let done = 0;
    for (const width of widths) {
      const possible = size - done;
      if (possible < width) continue;
      const whole = Math.floor(possible / width) * width;
      const limit = done + whole;
      if (!end) done = limit;
      const copies = Math.max(1, width / lanes);
      const bound: Code = end ? end.get : i32.const(limit);
      const fits: Code = end
        ? i32.leU(i32.add(start.get, i32.const(width)), bound)
        : i32.ltU(start.get, bound);
      this.vectorIndices = Array.from({ length: copies }, (_, u) =>
        u === 0 ? start : f.local("i32"),
      );
      this.open(1 << vector);
      this.width = width === 1 ? 1 : lanes;
      this.vectorIndices.forEach((index, u) => {
        if (u > 0) this.append(index.set(i32.add(start.get, i32.const(u * lanes))));
      });
      body();
      const code = this.close();
      const next = start.set(i32.add(start.get, i32.const(width)));
      this.append(control.if(fits, control.loop([code, next, control.branchIf(0, fits)])));
    }
    this.width = 1;
  }

  /** Generates something for each of the vectors that are computed together. */
  each<T>(generate: (copy: number) => T): T[] {
    const copies = this.traversal.vector >= 0 ? this.vectorIndices.length : 1;
    const generated: T[] = [];
    for (this.unrolled = 0; this.unrolled < copies; this.unrolled++)
      generated.push(generate(this.unrolled));
    this.unrolled = 0;
    return generated;
  }

  /** Elements of the vector axis in an iteration of its loop. */
  get step(): number {
    return this.width * this.vectorIndices.length;
  }

  // What is computed where

  /** The outermost scope in which everything with the given dependence is known. */
  private scopeFor(dependence: number): Scope {
    if (dependence & ACCUMULATED || this.isAgain) return this.scope;
    const needed = this.scopes.find(({ axes }) => (dependence & ~axes) === 0);
    return needed ?? this.scope;
  }

  /** How many loops there are around the outermost one in which everything with the given dependence is known. */
  depthOf(dependence: number): number {
    return this.scopes.indexOf(this.scopeFor(dependence));
  }

  /** Computes once per scope. Values along the vector axis are told apart by the unrolled vector. */
  once(key: string, type: "i32" | "v128", dependence: number, compute: () => Code): Local {
    const scope = this.scopeFor(dependence);
    const full = this.isOwn(dependence) ? `${key}/${this.unrolled}` : key;
    // A block within a scope has the same axes, so what the scope knows holds in the block.
    for (const outer of this.scopes) {
      const known = outer.known.get(full);
      if (known) return known;
      if (outer === scope) break;
    }
    const local = this.f.local(type);
    const code = compute();
    scope.code.push(local.set(code));
    scope.known.set(full, local);
    return local;
  }

  /** The index of an axis; of the vector axis, that of the current vector. */
  index(axis: number): Local {
    return axis === this.traversal.vector && this.vectorIndices.length > 0
      ? this.vectorIndices[this.unrolled]!
      : this.indices[axis]!;
  }

  /** Whether each unrolled vector has a value of its own. */
  isOwn(dependence: number): boolean {
    return this.varies(dependence) || (dependence & ACCUMULATED) !== 0;
  }

  /** Whether something differs along the vector axis. */
  varies(dependence: number): boolean {
    const { vector } = this.traversal;
    return vector >= 0 && (dependence & (1 << vector)) !== 0;
  }

  /** Whether something differs from lane to lane. */
  isWide(dependence: number): boolean {
    return this.width > 1 && this.varies(dependence);
  }

  /** The step from lane to lane of an index with these strides. */
  vectorStride({ strides }: Affine): number {
    const { vector } = this.traversal;
    return this.width > 1 && vector >= 0 ? strides[vector]! : 0;
  }
}
