/**
 * The one language between the compiler and the devices: plain data, no behaviour.
 *
 * A kernel computes one buffer. Its loops run over `axes`; every load reads a buffer at an affine
 * function of the loop indices. A device is whatever can allocate, upload, download and run these.
 *
 * Kernels name buffers and constants by their own small numbers (buffer 0 is the output); a plan's
 * steps say which real ones they stand for. Equal kernels are therefore equal as JSON, and a device
 * can share their compiled form.
 * @module
 */

import type { DType, FloatDType, StorageType } from "./dtype.js";

/** Scalar functions of one argument. `round` takes the even one of two nearest integers. */
export type UnaryOperation =
  | "neg"
  | "exp"
  | "log"
  | "log1p"
  | "expm1"
  | "sqrt"
  | "tanh"
  | "erf"
  | "abs"
  | "sign"
  | "sin"
  | "cos"
  | "floor"
  | "ceil"
  | "round"
  | "not";

/** Scalar functions of two arguments of one dtype. Comparisons yield bool. */
export type BinaryOperation =
  | "add"
  | "sub"
  | "mul"
  | "div"
  | "pow"
  | "maximum"
  | "minimum"
  | "equal"
  | "less"
  | "lessEqual"
  | "and"
  | "or";

/** How the elements of a reduced axis are combined. */
export type Reduction = "sum" | "max" | "min";

/** Everything a kernel can apply to scalars. `cast` converts its argument to the result's dtype. */
export type ScalarOperation = UnaryOperation | BinaryOperation | "where" | "cast";

/**
 * `offset + Σ strides[i] · index[i]`, where the indices are those of the kernel's axes followed by
 * the values of its lookups.
 */
export interface Affine {
  readonly offset: number;
  readonly strides: readonly number[];
}

/** Holds where `0 ≤ index < size`. */
export interface ConditionOver<Index> {
  readonly index: Index;
  readonly size: number;
}

/** A condition of a kernel. */
export type Condition = ConditionOver<Affine>;

/**
 * A scalar value at one point of the index space. A kernel lists its expressions; they refer to
 * earlier ones by position, so a shared subexpression is one entry. `Index` is how an index is
 * written: the compiler's symbolic ones become {@link Affine} when the kernel's axes are final.
 */
export type ExpressionOver<Index> =
  /** A scalar known when the plan runs. */
  | { readonly kind: "constant"; readonly dtype: DType; readonly slot: number }
  /** The value of an affine index. */
  | { readonly kind: "index"; readonly dtype: "int32"; readonly index: Index }
  /** An element of a buffer. Where the conditions fail it is not read and the value is of no interest. */
  | {
      readonly kind: "load";
      readonly dtype: DType;
      /** How the buffer holds it, if not as the dtype does. */
      readonly storage?: "bfloat16";
      readonly buffer: number;
      readonly index: Index;
      readonly conditions: readonly ConditionOver<Index>[];
    }
  /** The reduced value, or the matrix product's element, in an epilogue. */
  | { readonly kind: "accumulator"; readonly dtype: DType }
  | {
      readonly kind: "map";
      readonly operation: ScalarOperation;
      readonly dtype: DType;
      readonly inputs: readonly number[];
    }
  /** `inside` where all conditions hold and all lookups are in range, else `otherwise`. */
  | {
      readonly kind: "guard";
      readonly dtype: DType;
      readonly conditions: readonly ConditionOver<Index>[];
      readonly lookups: readonly number[];
      readonly inside: number;
      readonly otherwise: 0 | "nan";
    };

/** An expression of a kernel. Walks over all kinds of them are in `expressions.ts`. */
export type Expression = ExpressionOver<Affine>;

/** A data-dependent index: an int32 expression, clamped to `[0, size)` when used in an address. */
export interface Lookup {
  readonly index: number;
  readonly size: number;
}

/**
 * `output[i] = epilogue(reduce over j of body(i, j))`: elementwise when nothing is reduced.
 * The first `outputRank` axes index the output, row-major and contiguous; the rest are reduced.
 */
export interface LoopKernel {
  readonly kind: "loop";
  /** Of the output. */
  readonly dtype: DType;
  readonly axes: readonly number[];
  readonly outputRank: number;
  readonly lookups: readonly Lookup[];
  readonly expressions: readonly Expression[];
  readonly reduce: Reduction | null;
  readonly body: number;
  /** Over the output axes only; null where the reduced value (or body) is the output. */
  readonly epilogue: number | null;
}

/**
 * Zeroes the output (`size` elements), then for every point in order
 * `output[target] += body` where the lookups are in range.
 *
 * A kernel that `replaces` begins with the elements of buffer 1 instead, and `output[target] = body`. No two
 * points have one target, and together they are a run of the output in row-major order: the strides of the axes
 * are those of their sizes, and one lookup says where the run begins. If a step has one buffer in the place of
 * the output and of buffer 1, nothing but the run is written. `body` reads buffer 1 only if they are two.
 */
export interface ScatterKernel {
  readonly kind: "scatter";
  readonly dtype: DType;
  readonly size: number;
  readonly replaces: boolean;
  readonly axes: readonly number[];
  readonly lookups: readonly Lookup[];
  readonly expressions: readonly Expression[];
  readonly target: Affine;
  /** Lookups that must be in range for the point to count. */
  readonly required: readonly number[];
  readonly body: number;
}

/** A strided operand of a matrix product. Each list of strides belongs to the equally named list of axes. */
export interface MatmulOperand {
  readonly buffer: number;
  /** How the buffer holds its elements, if not as the kernel's dtype does. */
  readonly storage?: "bfloat16";
  readonly offset: number;
  readonly batch: readonly number[];
  /** Strides of the axes the product keeps (m for the left operand, n for the right). */
  readonly outer: readonly number[];
  /** Strides of the axes the product sums over. */
  readonly inner: readonly number[];
}

/**
 * `output[b, m, n] = epilogue(Σ_k left[b, m, k] · right[b, k, n])`, float32 or float64, the output
 * contiguous. Each of batch, m, n, k is a list of axes, so that a merged axis (heads × width, say)
 * is read in place.
 */
export interface MatmulKernel {
  readonly kind: "matmul";
  readonly dtype: FloatDType;
  readonly batch: readonly number[];
  readonly m: readonly number[];
  readonly n: readonly number[];
  readonly k: readonly number[];
  readonly left: MatmulOperand;
  readonly right: MatmulOperand;
  /**
   * An elementwise kernel over [rows = batch·m, n] or a refinement of these axes, whose
   * `accumulator` is the product's element; it writes the output in place. null: the product is the
   * output.
   */
  readonly epilogue: LoopKernel | null;
}

/** `output[r] = ` the stable ascending order (int32 positions) of row r of buffer 1; NaN last. */
export interface SortKernel {
  readonly kind: "sort";
  readonly dtype: DType;
  readonly rows: number;
  readonly length: number;
}

/** Whatever a device runs. */
export type Kernel = LoopKernel | ScatterKernel | MatmulKernel | SortKernel;

/** One kernel with the buffers and constants it is applied to. */
export interface Step {
  readonly kernel: Kernel;
  /** The kernel's JSON: equal kernels have equal keys. */
  readonly key: string;
  /**
   * Plan buffer of each kernel buffer; the first is the output. It may be one of the others, if the kernel
   * reads that only at the place it writes, or replaces some of its elements ({@link WriteKernel}).
   */
  readonly buffers: readonly number[];
  /** Plan constant of each kernel constant. */
  readonly constants: readonly number[];
  /** Names of the operations fused into the kernel, inputs first. */
  readonly operations: readonly string[];
}

/** A buffer of a plan. */
export interface PlanBuffer {
  readonly dtype: StorageType;
  readonly size: number;
  /**
   * Inputs are given, outputs are handed over, temporaries live inside the plan. An input that steps write to
   * was given up, and may also be an output. Steps may write temporary values to an output before the result.
   */
  readonly role: "input" | "temporary" | "output";
  /** Temporaries: byte offset inside the plan's scratch memory. */
  readonly offset: number;
  /** What errors call it. */
  readonly name?: string;
}

/** A graph compiled to kernels. */
export interface Plan {
  readonly buffers: readonly PlanBuffer[];
  readonly steps: readonly Step[];
  /** Buffer number of each input and of each output, in the caller's order. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Bytes of scratch memory that the temporaries share. */
  readonly scratchBytes: number;
}
