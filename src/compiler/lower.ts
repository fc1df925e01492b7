/**
 * One stored value of a graph as a kernel: movement becomes index arithmetic, elementwise
 * operations become expressions, and loops are merged where every access allows it.
 * @module
 */

import type { DType } from "../kernels/dtype.js";
import {
  type Axis,
  along,
  axis,
  delinearize,
  type Index,
  linearize,
  resolve,
} from "../kernels/indexing.js";
import type {
  Affine,
  Condition,
  Expression,
  Kernel,
  Lookup,
  LoopKernel,
  MatmulOperand,
  Reduction,
} from "../kernels/kernel.js";
import type { IndexScope } from "../tensor/primitive.js";
import { sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { isGiven, type Part } from "./partition.js";

/** A kernel with the nodes its buffers and constants stand for. */
export interface LoweredKernel {
  readonly kernel: Kernel;
  /** Nodes of buffers 1, 2, …; buffer 0 is the root's. */
  readonly reads: readonly Tensor[];
  readonly constants: readonly Tensor[];
  readonly operations: readonly string[];
}

/** A condition before axes are final. */
interface OpenCondition {
  readonly index: Index;
  readonly size: number;
}

/** An expression before axes are final. */
type OpenExpression =
  | { readonly kind: "constant"; readonly dtype: DType; readonly slot: number }
  | { readonly kind: "index"; readonly dtype: "int32"; readonly index: Index }
  | {
      readonly kind: "load";
      readonly dtype: DType;
      readonly buffer: number;
      readonly index: Index;
      readonly conditions: readonly OpenCondition[];
    }
  | { readonly kind: "accumulator"; readonly dtype: DType }
  | Extract<Expression, { kind: "map" }>
  | {
      readonly kind: "guard";
      readonly dtype: DType;
      readonly conditions: readonly OpenCondition[];
      readonly lookups: readonly number[];
      readonly inside: number;
      readonly otherwise: 0 | "nan";
    };

/** The kernel that computes a stored node. A view that cannot be expressed marks its input as stored. */
export function lower(part: Part, parts: readonly Part[]): LoweredKernel {
  const root = part.node;
  const heavy = part.source ?? root;
  const lowering = heavy.primitive.lowering;
  switch (lowering.kind) {
    case "matmul":
      return lowerMatmul(part, heavy, parts);
    case "reduce":
      return lowerReduction(part, heavy, lowering.operation, parts);
    case "scatter":
      return lowerScatter(root, parts);
    case "sort":
      return lowerSort(root);
    default:
      return lowerElementwise(root, parts);
  }
}

/** Reads that an explanation need not mention. */
const SILENT: ReadonlySet<string> = new Set([
  "alias",
  "broadcastTo",
  "customGradient",
  "stopGradient",
]);

/** Answer of {@link KernelBuilder.epilogue}. */
const MISFIT = "misfit";

function axesOf(shape: readonly number[]): Axis[] {
  return shape.map((extent) => axis(extent));
}

function lowerElementwise(root: Tensor, parts: readonly Part[]): LoweredKernel {
  const builder = new KernelBuilder(root, null, parts);
  const axes = axesOf(root.shape);
  const body = builder.compute(root, axes.map(along));
  return builder.loop(root.dtype, axes, [], null, body, null);
}

function lowerReduction(
  part: Part,
  heavy: Tensor,
  operation: Reduction,
  parts: readonly Part[],
): LoweredKernel {
  const x = heavy.inputs[0]!;
  const builder = new KernelBuilder(part.node, heavy, parts);
  const axes = axesOf(x.shape);
  const isReduced = (_: Axis, d: number): boolean => heavy.attributes.includes(d);
  const output = axes.filter((a, d) => !isReduced(a, d));
  const reduced = axes.filter(isReduced);
  const body = builder.value(x, axes.map(along), []);
  builder.operations.push(heavy.primitive.name);
  const epilogue = part.source ? builder.epilogue(part.node, heavy, output) : null;
  if (epilogue === MISFIT) return lowerApart(part, parts);
  return builder.loop(part.node.dtype, output, reduced, operation, body, epilogue);
}

function lowerMatmul(part: Part, heavy: Tensor, parts: readonly Part[]): LoweredKernel {
  const [left, right] = heavy.inputs as [Tensor, Tensor];
  const builder = new KernelBuilder(part.node, heavy, parts);
  const [batch, m, k] = axesOf(left.shape) as [Axis, Axis, Axis];
  const n = axis(right.shape[2]!);
  const a = builder.operand(left, [batch, m, k].map(along));
  const b = builder.operand(right, [batch, k, n].map(along));
  builder.operations.push(heavy.primitive.name);
  const epilogue = part.source ? builder.epilogue(part.node, heavy, [batch, m, n]) : null;
  if (epilogue === MISFIT) return lowerApart(part, parts);
  const [batches, rows, columns, inner] = [batch, m, n, k].map(leaves) as [
    Axis[],
    Axis[],
    Axis[],
    Axis[],
  ];
  const strides = (index: Index, axes: readonly Axis[]): number[] =>
    toAffine(index, axes).strides as number[];
  const operand = (
    { buffer, index }: { buffer: number; index: Index },
    outer: readonly Axis[],
  ): MatmulOperand => ({
    buffer,
    offset: index.offset,
    batch: strides(index, batches),
    outer: strides(index, outer),
    inner: strides(index, inner),
  });
  const sizes = (axes: readonly Axis[]): number[] => axes.map((one) => one.size);
  const kernel: Kernel = {
    kind: "matmul",
    dtype: heavy.dtype,
    batch: sizes(batches),
    m: sizes(rows),
    n: sizes(columns),
    k: sizes(inner),
    left: operand(a, rows),
    right: operand(b, columns),
    epilogue:
      epilogue === null
        ? null
        : builder.finishLoop(
            part.node.dtype,
            [...batches, ...rows],
            columns,
            [],
            null,
            epilogue,
            null,
          ),
  };
  return builder.finish(kernel);
}

/** What follows a reduction or product as a kernel of its own. */
function lowerApart(part: Part, parts: readonly Part[]): LoweredKernel {
  part.source = null;
  return lowerElementwise(part.node, parts);
}

function lowerScatter(root: Tensor, parts: readonly Part[]): LoweredKernel {
  const { lowering } = root.primitive;
  if (lowering.kind !== "scatter") throw new Error("lowerScatter: not a scatter");
  const updates = root.inputs[1]!;
  const builder = new KernelBuilder(root, root, parts);
  const axes = axesOf(updates.shape);
  const at = axes.map(along);
  const required: number[] = [];
  const target = linearize(
    lowering.target(at, root, {
      require: () => {
        throw new Error(`${root.primitive.name}: a scatter target takes no conditions`);
      },
      lookup: (indices, where, size) => {
        const [found, number] = builder.lookup(indices, where, size, []);
        required.push(number);
        return found;
      },
    }),
    root.shape,
  );
  const body = builder.value(updates, at, []);
  builder.operations.push(root.primitive.name);
  return builder.scatter(root, axes, target, required, body);
}

function lowerSort(root: Tensor): LoweredKernel {
  const x = root.inputs[0]!;
  const length = x.shape[x.shape.length - 1] ?? 1;
  return {
    kernel: {
      kind: "sort",
      dtype: x.dtype,
      rows: length === 0 ? 0 : sizeOf(x.shape) / length,
      length,
    },
    reads: [x],
    constants: [],
    operations: [root.primitive.name],
  };
}

/** Builds the expressions of one kernel. */
class KernelBuilder {
  readonly operations: string[] = [];
  private readonly reads: Tensor[] = [];
  private readonly constants: Tensor[] = [];
  private readonly expressions: OpenExpression[] = [];
  private readonly lookups: { axis: Axis; index: number; size: number }[] = [];
  private readonly known = new Map<string, number>();
  private readonly axisNumbers = new Map<Axis, number>();

  constructor(
    private readonly root: Tensor,
    private readonly heavy: Tensor | null,
    private readonly parts: readonly Part[],
  ) {}

  /** The expression for an element of a node: a load if it is stored, else computed here. */
  value(node: Tensor, at: readonly Index[], conditions: readonly OpenCondition[]): number {
    if (node === this.heavy) return this.emit({ kind: "accumulator", dtype: node.dtype });
    if (isGiven(node) || this.parts[node.position]!.stored) {
      return this.load(node, linearize(at, node.shape), conditions);
    }
    return this.compute(node, at, conditions);
  }

  private load(node: Tensor, position: Index, conditions: readonly OpenCondition[]): number {
    const buffer = this.bufferOf(node);
    return this.emit({
      kind: "load",
      dtype: node.dtype,
      buffer,
      index: resolve(position),
      conditions,
    });
  }

  private bufferOf(node: Tensor): number {
    const known = this.reads.indexOf(node);
    return known >= 0 ? known + 1 : this.reads.push(node);
  }

  /** The expression for an element of a node, from its inputs. */
  compute(node: Tensor, at: readonly Index[], conditions: readonly OpenCondition[] = []): number {
    if (this.parts[node.position]!.uses < 2) return this.apply(node, at, conditions);
    const key = `${node.position}@${at.map((index) => this.indexKey(index)).join()}|${this.conditionsKey(conditions)}`;
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
        const inside =
          isGiven(x) || this.parts[x.position]!.stored ? null : delinearize(position, x.shape);
        if (inside !== null) return this.value(x, inside, conditions);
        // Not expressible as an affine read of the operation's own index: read its stored elements.
        this.parts[x.position]!.stored = true;
        return this.load(x, position, conditions);
      }
      case "read":
        return this.read(node, at, conditions);
      default:
        // A reduction or product that is read in another way than as its epilogue.
        this.parts[node.position]!.stored = true;
        return this.load(node, linearize(at, node.shape), conditions);
    }
  }

  private read(node: Tensor, at: readonly Index[], conditions: readonly OpenCondition[]): number {
    const { lowering, name } = node.primitive;
    if (lowering.kind !== "read") throw new Error(`${name}: not a read`);
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
    if (!SILENT.has(name)) this.operations.push(name);
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

  /** The strided access of a matrix product to an operand. */
  operand(node: Tensor, at: readonly Index[]): { buffer: number; index: Index } {
    const number = this.value(node, at, []);
    const expression = this.expressions[number]!;
    if (expression.kind === "load" && expression.conditions.length === 0) return expression;
    this.parts[node.position]!.stored = true;
    return { buffer: this.bufferOf(node), index: linearize(at, node.shape) };
  }

  /**
   * The epilogue that ends in `end`, over the axes of the reduction or product it follows; null where
   * it has nothing to compute, {@link MISFIT} where these axes are split otherwise than its shape is.
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

  /** The finished loop kernel. */
  loop(
    dtype: DType,
    output: readonly Axis[],
    reduced: readonly Axis[],
    reduce: Reduction | null,
    body: number,
    epilogue: number | null,
  ): LoweredKernel {
    const out = output.flatMap(leaves);
    const over = reduced.flatMap(leaves);
    return this.finish(this.finishLoop(dtype, [], out, over, reduce, body, epilogue));
  }

  /** A loop kernel over final axes: rows stay apart from columns, other neighbours are merged. */
  finishLoop(
    dtype: DType,
    rows: readonly Axis[],
    columns: readonly Axis[],
    reduced: readonly Axis[],
    reduce: Reduction | null,
    body: number,
    epilogue: number | null,
  ): LoopKernel {
    const outputRank = rows.length + columns.length;
    const axes = [...rows, ...columns, ...reduced];
    const roots = epilogue === null ? [body] : [body, epilogue];
    const { expressions, lookups, affines, places } = this.finishExpressions(axes, roots);
    const merged = mergeAxes(
      axes.map(({ size }) => size),
      affines,
      [rows.length, outputRank],
    );
    return {
      kind: "loop",
      dtype,
      axes: merged.sizes,
      outputRank: merged.groups[0]! + merged.groups[1]!,
      lookups,
      expressions: merged.rewrite(expressions),
      reduce,
      body: places.get(body)!,
      epilogue: epilogue === null ? null : places.get(epilogue)!,
    };
  }

  scatter(
    root: Tensor,
    loops: readonly Axis[],
    target: Index,
    required: readonly number[],
    body: number,
  ): LoweredKernel {
    const axes = loops.flatMap(leaves);
    const { expressions, lookups, affines, places, all } = this.finishExpressions(axes, [body]);
    const final = toAffine(target, all);
    const merged = mergeAxes(
      axes.map(({ size }) => size),
      [...affines, final],
      [0, axes.length],
    );
    return this.finish({
      kind: "scatter",
      dtype: root.dtype,
      size: sizeOf(root.shape),
      axes: merged.sizes,
      lookups,
      expressions: merged.rewrite(expressions),
      target: merged.affine(final),
      required,
      body: places.get(body)!,
    });
  }

  /** What the roots need, over final axes. Lookups come after the loops in every index. */
  private finishExpressions(
    axes: readonly Axis[],
    roots: readonly number[],
  ): {
    expressions: Expression[];
    lookups: Lookup[];
    affines: Affine[];
    /** Where each expression that is needed went. */
    places: ReadonlyMap<number, number>;
    all: Axis[];
  } {
    const all = [...axes, ...this.lookups.map((l) => l.axis)];
    const affines: Affine[] = [];
    const places = new Map<number, number>();
    for (const number of this.reachable(roots)) places.set(number, places.size);
    const final = (index: Index): Affine => {
      const result = toAffine(index, all);
      affines.push(result);
      return result;
    };
    const conditions = (open: readonly OpenCondition[]): Condition[] =>
      open.map(({ index, size }) => ({ index: final(index), size }));
    const expressions = [...places.keys()].map((number): Expression => {
      const e = this.expressions[number]!;
      switch (e.kind) {
        case "index":
          return { ...e, index: final(e.index) };
        case "load":
          return { ...e, index: final(e.index), conditions: conditions(e.conditions) };
        case "guard":
          return { ...e, conditions: conditions(e.conditions), inside: places.get(e.inside)! };
        case "map":
          return { ...e, inputs: e.inputs.map((input) => places.get(input)!) };
        default:
          return e;
      }
    });
    const lookups = this.lookups.map(({ index, size }) => ({ index: places.get(index)!, size }));
    return { expressions, lookups, affines, places, all };
  }

  /** The expressions that roots and lookups are made of, in order. */
  private reachable(roots: readonly number[]): number[] {
    const needed = new Set<number>();
    const open = [...roots, ...this.lookups.map(({ index }) => index)];
    for (let number = open.pop(); number !== undefined; number = open.pop()) {
      if (needed.has(number)) continue;
      needed.add(number);
      const e = this.expressions[number]!;
      if (e.kind === "map") open.push(...e.inputs);
      else if (e.kind === "guard") open.push(e.inside);
    }
    return [...needed].sort((a, b) => a - b);
  }

  finish(kernel: Kernel): LoweredKernel {
    const { root, reads, constants, operations } = this;
    if (operations.length === 0) operations.push(root.primitive.name);
    return { kernel, reads, constants, operations };
  }
}

/** The axes an axis was split into, outermost first; none for extent 1. */
function leaves(a: Axis): Axis[] {
  if (a.parts) return [...leaves(a.parts[0]), ...leaves(a.parts[1])];
  return a.size === 1 ? [] : [a];
}

function toAffine(index: Index, axes: readonly Axis[]): Affine {
  const { offset, terms } = resolve(index);
  const strides = axes.map((a) => terms.find(([of]) => of === a)?.[1] ?? 0);
  return { offset, strides };
}

function alwaysWithin(index: Index, size: number): boolean {
  let least = index.offset;
  let most = index.offset;
  for (const [a, stride] of resolve(index).terms) {
    if (stride < 0) least += stride * (a.size - 1);
    else most += stride * (a.size - 1);
  }
  return least >= 0 && most < size;
}

/** What {@link mergeAxes} found. */
interface MergedAxes {
  readonly sizes: number[];
  /** Axes left in each group. */
  readonly groups: number[];
  affine(index: Affine): Affine;
  rewrite(expressions: readonly Expression[]): Expression[];
}

/**
 * Merges neighbouring axes that every access walks through as one: where the stride of the outer
 * is the stride of the inner times its extent. Axes do not merge across the group `borders`.
 */
function mergeAxes(
  sizes: readonly number[],
  affines: readonly Affine[],
  borders: readonly number[],
): MergedAxes {
  const kept: number[] = [];
  const merged: number[] = [];
  sizes.forEach((size, d) => {
    const fits =
      d > 0 &&
      !borders.includes(d) &&
      affines.every(({ strides }) => strides[d - 1] === strides[d]! * size);
    if (fits) {
      merged[merged.length - 1]! *= size;
      kept[kept.length - 1] = d;
    } else {
      merged.push(size);
      kept.push(d);
    }
  });
  const lookupsFrom = sizes.length;
  const rewriteAffine = ({ offset, strides }: Affine): Affine => ({
    offset,
    strides: [...kept.map((d) => strides[d]!), ...strides.slice(lookupsFrom)],
  });
  const rewriteConditions = (conditions: readonly Condition[]): Condition[] =>
    conditions.map(({ index, size }) => ({ index: rewriteAffine(index), size }));
  const edges = [0, ...borders, sizes.length];
  return {
    sizes: merged,
    groups: edges.slice(1).map((end, g) => kept.filter((d) => d >= edges[g]! && d < end).length),
    affine: rewriteAffine,
    rewrite: (expressions) =>
      expressions.map((e): Expression => {
        switch (e.kind) {
          case "index":
            return { ...e, index: rewriteAffine(e.index) };
          case "load":
            return {
              ...e,
              index: rewriteAffine(e.index),
              conditions: rewriteConditions(e.conditions),
            };
          case "guard":
            return { ...e, conditions: rewriteConditions(e.conditions) };
          default:
            return e;
        }
      }),
  };
}
