/**
 * One stored value of a graph as a kernel: movement becomes index arithmetic, elementwise
 * operations become expressions, and loops are merged where every access allows it.
 * @module
 */

import type { FloatDType } from "../kernels/dtype.js";
import {
  type Axis,
  along,
  axis,
  type Index,
  leavesOf,
  linearize,
  toAffine,
} from "../kernels/indexing.js";
import type { MatmulOperand } from "../kernels/kernel.js";
import type { Lowering } from "../tensor/primitive.js";
import { sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { KernelBuilder, type LoweredKernel, MISFIT, type OpenOperand } from "./kernelBuilder.js";
import type { Part } from "./partition.js";

/**
 * The kernel that computes a stored node. It may demand that further nodes be stored, those it reads:
 * {@link Part.stored} says why that is safe.
 */
export function lower(part: Part, parts: readonly Part[]): LoweredKernel {
  const root = part.node;
  // What the kernel computes before its epilogue; without an epilogue, the node itself.
  const heavy = part.source ?? root;
  const lowering = heavy.primitive.lowering;
  switch (lowering.kind) {
    case "matmul":
      return lowerMatmul(part, heavy, parts);
    case "reduce":
      return lowerReduction(part, heavy, lowering, parts);
    case "scatter":
      return lowerScatter(root, lowering, parts);
    case "sort":
      return lowerSort(root);
    case "map":
    case "read":
    case "reshape":
    case "constant":
    case "iota":
    case "leaf":
      return lowerElementwise(root, parts);
  }
}

function axesOf(shape: readonly number[]): Axis[] {
  return shape.map((extent) => axis(extent));
}

function lowerElementwise(root: Tensor, parts: readonly Part[]): LoweredKernel {
  const builder = new KernelBuilder(root, null, parts);
  const axes = axesOf(root.shape);
  const body = builder.compute(root, axes.map(along));
  const loop = { output: [axes], reduced: [], reduce: null, body, epilogue: null };
  return builder.finish(builder.loop({ dtype: root.dtype, ...loop }));
}

function lowerReduction(
  part: Part,
  heavy: Tensor,
  lowering: Extract<Lowering, { kind: "reduce" }>,
  parts: readonly Part[],
): LoweredKernel {
  const x = heavy.inputs[0]!;
  const over = lowering.axes(heavy);
  const builder = new KernelBuilder(part.node, heavy, parts);
  const axes = axesOf(x.shape);
  const output = axes.filter((_, d) => !over.includes(d));
  const reduced = axes.filter((_, d) => over.includes(d));
  const body = builder.value(x, axes.map(along), []);
  builder.operations.push(heavy.primitive.name);
  const epilogue = part.source ? builder.epilogue(part.node, heavy, output) : null;
  if (epilogue === MISFIT) return lowerApart(part, parts);
  return builder.finish(
    builder.loop({
      dtype: part.node.dtype,
      output: [output],
      reduced,
      reduce: lowering.operation,
      body,
      epilogue,
    }),
  );
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
  const [batches, rows, columns, inner] = [batch, m, n, k].map(leavesOf) as [
    Axis[],
    Axis[],
    Axis[],
    Axis[],
  ];
  const strides = (index: Index, axes: readonly Axis[]): readonly number[] =>
    toAffine(index, axes).strides;
  const operand = (
    { buffer, index, storage }: OpenOperand,
    outer: readonly Axis[],
  ): MatmulOperand => ({
    buffer,
    ...(storage && { storage }),
    offset: index.offset,
    batch: strides(index, batches),
    outer: strides(index, outer),
    inner: strides(index, inner),
  });
  const sizes = (axes: readonly Axis[]): number[] => axes.map((one) => one.size);
  return builder.finish({
    kind: "matmul",
    // `matmul` refuses the others.
    dtype: heavy.dtype as FloatDType,
    batch: sizes(batches),
    m: sizes(rows),
    n: sizes(columns),
    k: sizes(inner),
    left: operand(a, rows),
    right: operand(b, columns),
    epilogue:
      epilogue === null
        ? null
        : builder.loop({
            dtype: part.node.dtype,
            // Each row of the product is a row of the epilogue.
            output: [[batch, m], [n]],
            reduced: [],
            reduce: null,
            body: epilogue,
            epilogue: null,
          }),
  });
}

/**
 * Lowers an epilogue as a kernel of its own, because its shape splits the axes otherwise than the reduction
 * or product before it. That one is then read, and so stored, like any other node.
 */
function lowerApart(part: Part, parts: readonly Part[]): LoweredKernel {
  part.source = null;
  return lowerElementwise(part.node, parts);
}

function lowerScatter(
  root: Tensor,
  lowering: Extract<Lowering, { kind: "scatter" }>,
  parts: readonly Part[],
): LoweredKernel {
  const updates = root.inputs[1]!;
  const builder = new KernelBuilder(root, root, parts);
  const replaces = lowering.base !== undefined;
  if (replaces) builder.base(root.inputs[lowering.base]!);
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
  return builder.finish(builder.scatter({ axes, target, required, body, replaces }));
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
