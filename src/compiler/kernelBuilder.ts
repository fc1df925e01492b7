/**
 * The expressions of one kernel, while its axes may still be split, and the kernels made of them.
 * @module
 */

import type { DType } from "../kernels/dtype.js";
import { loadIn, mapIndices, operandsOf, reachable, renumber } from "../kernels/expressions.js";
import {
  type Axis,
  along,
  alwaysWithin,
  axis,
  delinearize,
  type Index,
  leavesOf,
  linearize,
  resolve,
  toAffine,
} from "../kernels/indexing.js";
import type {
  Affine,
  ConditionOver,
  Expression,
  ExpressionOver,
  Kernel,
  Lookup,
  LoopKernel,
  Reduction,
  ScatterKernel,
} from "../kernels/kernel.js";
import type { IndexScope, Lowering } from "../tensor/primitive.js";
import { sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { mergeAxes } from "./mergeAxes.js";
import { isGiven, type Part } from "./partition.js";

/** A kernel with the nodes its buffers and constants stand for. */
export interface LoweredKernel {
  readonly kernel: Kernel;
  /** Nodes of buffers 1, 2, …; buffer 0 is the root's. */
  readonly reads: readonly Tensor[];
  readonly constants: readonly Tensor[];
  readonly operations: readonly string[];
}

/** Conditions and expressions before axes are final. */
type OpenCondition = ConditionOver<Index>;
type OpenExpression = ExpressionOver<Index>;

/** A loop kernel whose axes are not final. `body` and `epilogue` are numbers of expressions. */
export interface OpenLoop {
  readonly dtype: DType;
  /** Groups of axes; neighbours are merged within a group only. */
  readonly output: readonly (readonly Axis[])[];
  readonly reduced: readonly Axis[];
  readonly reduce: Reduction | null;
  readonly body: number;
  readonly epilogue: number | null;
}

/** A scatter kernel whose axes are not final. `required` lists the lookups that must be in range. */
export interface OpenScatter {
  readonly axes: readonly Axis[];
  readonly target: Index;
  readonly required: readonly number[];
  readonly body: number;
  readonly replaces: boolean;
}

/** An operand of a product whose axes are not final. */
export interface OpenOperand {
  readonly buffer: number;
  readonly index: Index;
  readonly storage?: "bfloat16";
}

/** How a stored node is held, if not as its dtype says. */
function storageIn({ storage }: Tensor): { storage?: "bfloat16" } {
  return storage === "bfloat16" ? { storage } : {};
}

/** The epilogue cannot run over the given axes. It becomes a kernel of its own. */
export const MISFIT = "misfit";

/** Builds the expressions of one kernel. */
export class KernelBuilder {
  readonly operations: string[] = [];
  private readonly reads: Tensor[] = [];
  private readonly constants: Tensor[] = [];
  private readonly expressions: OpenExpression[] = [];
  private readonly lookups: { axis: Axis; index: number; size: number }[] = [];
  private readonly known = new Map<string, number>();
  private readonly axisNumbers = new Map<Axis, number>();

  constructor(
    private readonly root: Tensor,
    /** The reduction, product or scatter that the kernel computes; null for an elementwise kernel. */
    private readonly heavy: Tensor | null,
    private readonly parts: readonly Part[],
  ) {}

  /** The expression for an element of a node: a load if it is stored, else computed here. */
  value(node: Tensor, at: readonly Index[], conditions: readonly OpenCondition[]): number {
    if (node === this.heavy) return this.emit({ kind: "accumulator", dtype: node.dtype });
    if (this.isStored(node)) {
      return this.load(node, linearize(at, node.shape), conditions);
    }
    return this.compute(node, at, conditions);
  }

  private load(node: Tensor, position: Index, conditions: readonly OpenCondition[]): number {
    const buffer = this.bufferOf(node);
    return this.emit({
      kind: "load",
      dtype: node.dtype,
      ...storageIn(node),
      buffer,
      index: resolve(position),
      conditions,
    });
  }

  /**
   * Gives a node a buffer after all, since no affine function of this kernel's indices reads it. Its own
   * kernel is lowered after this one ({@link Part.stored}).
   */
  private demand(node: Tensor): void {
    this.parts[node._position]!.stored = true;
  }

  private bufferOf(node: Tensor): number {
    const known = this.reads.indexOf(node);
    return known >= 0 ? known + 1 : this.reads.push(node);
  }

  /** The expression for an element of a node, from its inputs. */
  compute(node: Tensor, at: readonly Index[], conditions: readonly OpenCondition[] = []): number {
    if (this.parts[node._position]!.uses < 2) return this.apply(node, at, conditions);
    const key = `${node._position}@${at.map((index) => this.indexKey(index)).join()}|${this.conditionsKey(conditions)}`;
    const known = this.known.get(key);
    if (known !== undefined) return known;
    const result = this.apply(node, at, conditions);
    this.known.set(key, result);
    return result;
  }

  private apply(node: Tensor, at: readonly Index[], conditions: readonly OpenCondition[]): number {
    const { lowering, name } = node.primitive;
    switch (lowering.kind) {
      case "constant": {
        const known = this.constants.indexOf(node);
        const slot = known >= 0 ? known : this.constants.push(node) - 1;
        return this.emit({ kind: "constant", dtype: node.dtype, slot });
      }
      case "iota":
        return this.emit({ kind: "index", dtype: "int32", index: linearize(at, node.shape) });
      case "map": {
        const inputs = node.inputs.map((input) => this.value(input, at, conditions));
        this.operations.push(name);
        return this.emit({ kind: "map", operation: lowering.operation, dtype: node.dtype, inputs });
      }
      case "reshape": {
        const x = node.inputs[0]!;
        const position = linearize(at, node.shape);
        const inside = this.isStored(x) ? null : delinearize(position, x.shape);
        if (inside !== null) return this.value(x, inside, conditions);
        this.demand(x);
        return this.load(x, position, conditions);
      }
      case "read":
        return this.read(node, lowering, at, conditions);
      case "reduce":
      case "matmul":
      case "scatter":
      case "sort":
      case "leaf":
        // A reduction or product that is read in another way than as the accumulator of its epilogue.
        this.demand(node);
        return this.load(node, linearize(at, node.shape), conditions);
    }
  }

  private read(
    node: Tensor,
    lowering: Extract<Lowering, { kind: "read" }>,
    at: readonly Index[],
    conditions: readonly OpenCondition[],
  ): number {
    const own: OpenCondition[] = [];
    const lookups: number[] = [];
    let fill: 0 | "nan" = 0;
    const scope: IndexScope = {
      require: (index, size, otherwise) => {
        if (alwaysWithin(index, size)) return;
        own.push({ index: resolve(index), size });
        fill = otherwise;
      },
      lookup: (indices, where, size, otherwise) => {
        const [found, number] = this.lookup(indices, where, size, conditions);
        lookups.push(number);
        fill = otherwise;
        return found;
      },
    };
    const source = lowering.source(at, node, scope);
    const inside = this.value(node.inputs[0]!, source, [...conditions, ...own]);
    if (!lowering.isSilent) this.operations.push(node.primitive.name);
    if (own.length === 0 && lookups.length === 0) return inside;
    return this.emit({
      kind: "guard",
      dtype: node.dtype,
      conditions: own,
      lookups,
      inside,
      otherwise: fill,
    });
  }

  /** The value of an int32 node as an index, and the number of the lookup. */
  lookup(
    indices: Tensor,
    at: readonly Index[],
    size: number,
    conditions: readonly OpenCondition[],
  ): [Index, number] {
    const index = this.value(indices, at, conditions);
    const known = this.lookups.findIndex((l) => l.index === index && l.size === size);
    if (known >= 0) return [along(this.lookups[known]!.axis), known];
    const found = axis(size, true);
    this.lookups.push({ axis: found, index, size });
    return [along(found), this.lookups.length - 1];
  }

  /** Makes a node buffer 1, for a kernel that replaces some of its elements. Another shape has them in the same order. */
  base(node: Tensor): void {
    let base = node;
    while (base.primitive.lowering.kind === "reshape" && !this.isStored(base)) {
      const inner = base.inputs[0]!;
      // What replaces elements has those of its dtype before it.
      if (inner.storage !== inner.dtype) break;
      base = inner;
    }
    this.demand(base);
    this.bufferOf(base);
  }

  private isStored(node: Tensor): boolean {
    return isGiven(node) || this.parts[node._position]!.stored;
  }

  /** The strided access of a matrix product to an operand: a load without conditions. */
  operand(node: Tensor, at: readonly Index[]): OpenOperand {
    const number = this.value(node, at, []);
    const load = loadIn(this.expressions[number]!);
    if (load?.conditions.length === 0) return load;
    this.demand(node);
    return {
      buffer: this.bufferOf(node),
      index: linearize(at, node.shape),
      ...storageIn(node),
    };
  }

  /**
   * The number of the expression in which the epilogue ends, over the axes of what it follows. null: the
   * epilogue computes nothing. {@link MISFIT}: its shape would split these axes otherwise.
   */
  epilogue(end: Tensor, heavy: Tensor, axes: readonly Axis[]): number | null | typeof MISFIT {
    const at = delinearize(linearize(axes.map(along), heavy.shape), end.shape);
    if (at === null) return MISFIT;
    const result = this.compute(end, at);
    return this.expressions[result]!.kind === "accumulator" ? null : result;
  }

  private emit(expression: OpenExpression): number {
    const key = this.expressionKey(expression);
    const known = this.known.get(key);
    if (known !== undefined) return known;
    const number = this.expressions.push(expression) - 1;
    this.known.set(key, number);
    return number;
  }

  private expressionKey(e: OpenExpression): string {
    switch (e.kind) {
      case "constant":
        return `c${e.slot}`;
      case "index":
        return `i${this.indexKey(e.index)}`;
      case "load":
        return `l${e.buffer}@${this.indexKey(e.index)}|${this.conditionsKey(e.conditions)}`;
      case "accumulator":
        return "a";
      case "map":
        return `m${e.operation}:${e.dtype}(${e.inputs})`;
      case "guard":
        return `g${this.conditionsKey(e.conditions)}|${e.lookups}|${e.inside}|${e.otherwise}`;
    }
  }

  private indexKey(index: Index): string {
    const { offset, terms } = resolve(index);
    return `${offset}${terms
      .map(([a, stride]) => `+${stride}x${this.axisNumber(a)}`)
      .sort()
      .join("")}`;
  }

  private conditionsKey(conditions: readonly OpenCondition[]): string {
    return conditions.map(({ index, size }) => `${this.indexKey(index)}<${size}`).join("&");
  }

  private axisNumber(a: Axis): number {
    const known = this.axisNumbers.get(a);
    if (known !== undefined) return known;
    this.axisNumbers.set(a, this.axisNumbers.size);
    return this.axisNumbers.size - 1;
  }

  /** A loop kernel over what the axes were split into. */
  loop({ dtype, output, reduced, reduce, body, epilogue }: OpenLoop): LoopKernel {
    const groups = output.map((group) => group.flatMap(leavesOf));
    const borders = groups.map((_, g) => groups.slice(0, g + 1).flat().length);
    const outputRank = borders.at(-1) ?? 0;
    const axes = [...groups.flat(), ...reduced.flatMap(leavesOf)];
    const roots = epilogue === null ? [body] : [body, epilogue];
    const { expressions, lookups, affines, places } = this.finishExpressions(axes, roots);
    const sizes = axes.map(({ size }) => size);
    const merged = mergeAxes(sizes, affines, borders);
    return {
      kind: "loop",
      dtype,
      axes: merged.sizes,
      outputRank: merged.countBefore(outputRank),
      lookups,
      expressions: expressions.map((e) => mapIndices(e, merged.rewrite)),
      reduce,
      body: places.get(body)!,
      epilogue: epilogue === null ? null : places.get(epilogue)!,
    };
  }

  /** A scatter kernel over what the axes were split into. */
  scatter({ axes: loops, target, required, body, replaces }: OpenScatter): ScatterKernel {
    const axes = loops.flatMap(leavesOf);
    const { expressions, lookups, affines, places, all } = this.finishExpressions(axes, [body]);
    const final = toAffine(target, all);
    const sizes = axes.map(({ size }) => size);
    const merged = mergeAxes(sizes, [...affines, final], []);
    return {
      kind: "scatter",
      dtype: this.root.dtype,
      size: sizeOf(this.root.shape),
      replaces,
      axes: merged.sizes,
      lookups,
      expressions: expressions.map((e) => mapIndices(e, merged.rewrite)),
      target: merged.rewrite(final),
      required,
      body: places.get(body)!,
    };
  }

  /**
   * The expressions that the roots need, over final axes. No axis is split from here on. In every index,
   * lookups come after the loops.
   */
  private finishExpressions(
    axes: readonly Axis[],
    roots: readonly number[],
  ): {
    expressions: Expression[];
    lookups: Lookup[];
    affines: Affine[];
    /** The new number of each expression that is needed, by its old one. */
    places: ReadonlyMap<number, number>;
    all: Axis[];
  } {
    const all = [...axes, ...this.lookups.map((l) => l.axis)];
    const affines: Affine[] = [];
    const places = new Map<number, number>();
    const needed = reachable([...roots, ...this.lookups.map(({ index }) => index)], (number) =>
      operandsOf(this.expressions[number]!),
    );
    for (const number of needed) places.set(number, places.size);
    const final = (index: Index): Affine => {
      const result = toAffine(index, all);
      affines.push(result);
      return result;
    };
    const expressions = needed.map((number): Expression => {
      const moved = renumber(this.expressions[number]!, { expression: (of) => places.get(of)! });
      return mapIndices(moved, final);
    });
    const lookups = this.lookups.map(({ index, size }) => ({ index: places.get(index)!, size }));
    return { expressions, lookups, affines, places, all };
  }

  /** A kernel with what it reads and what was fused into it. */
  finish(kernel: Kernel): LoweredKernel {
    const { root, reads, constants, operations } = this;
    if (operations.length === 0) operations.push(root.primitive.name);
    return { kernel, reads, constants, operations };
  }
}
