/**
 * Elementwise primitives: arithmetic, scalar functions, comparison, selection, conversion.
 *
 * Inputs broadcast as in NumPy. Mixed dtypes promote: bool → int32 → float32 → float64. A plain
 * number takes the tensor's dtype, except that a number no int32 holds makes an integer tensor float32.
 * Arithmetic on bool computes in int32; `div`, `pow` and the transcendental functions turn integers
 * into float32.
 * @module
 */

import { type DType, isFloating, promote } from "../kernels/dtype.js";
import type { BinaryOperation, UnaryOperation } from "../kernels/kernel.js";
import { asTensor, checkDType, constant } from "../tensor/create.js";
import {
  CONSTANT,
  NO_ATTRIBUTES,
  type Primitive,
  primitive,
  type VectorJacobianProduct,
} from "../tensor/primitive.js";
import { broadcastShapes } from "../tensor/shape.js";
import { checkTensorLike, createNode, Tensor, type TensorLike } from "../tensor/tensor.js";
import { broadcastTo } from "./broadcast.js";

function map(
  operation: Primitive,
  inputs: readonly Tensor[],
  dtype: DType = inputs[0]!.dtype,
): Tensor {
  const { shape } = inputs[0]!;
  return createNode({ primitive: operation, inputs, attributes: NO_ATTRIBUTES, shape, dtype });
}

function unary(name: UnaryOperation, vjp: VectorJacobianProduct | null): Primitive {
  return primitive(name, { kind: "map", operation: name }, vjp);
}

function binary(name: BinaryOperation, vjp: VectorJacobianProduct | null): Primitive {
  return primitive(name, { kind: "map", operation: name }, vjp);
}

/** The tensor as a floating-point one: integers and booleans become float32. */
function toFloat(x: TensorLike): Tensor {
  const t = asTensor(x);
  return isFloating(t.dtype) ? t : cast(t, "float32");
}

/** The tensor as numbers: booleans become int32. */
function toNumber(x: TensorLike): Tensor {
  const t = asTensor(x);
  return t.dtype === "bool" ? cast(t, "int32") : t;
}

/** Both operands at their common dtype and shape. */
function align(name: string, a: TensorLike, b: TensorLike, least: DType): [Tensor, Tensor] {
  let dtype: DType;
  if (a instanceof Tensor && b instanceof Tensor) {
    if (a.dtype === b.dtype && a.shape === b.shape && promote(a.dtype, least) === a.dtype) {
      return [a, b];
    }
    dtype = promote(a.dtype, b.dtype);
  } else if (a instanceof Tensor || b instanceof Tensor) {
    const [known, plain] = a instanceof Tensor ? [a, b] : [b as Tensor, a];
    const fraction = typeof plain === "number" && plain !== (plain | 0);
    dtype = promote(
      known.dtype,
      fraction ? "float32" : typeof plain === "number" ? "int32" : "bool",
    );
  } else dtype = typeof a === "boolean" && typeof b === "boolean" ? "bool" : "float32";
  dtype = promote(dtype, least);
  checkTensorLike(a, name);
  checkTensorLike(b, name);
  const shape = broadcastShapes(
    name,
    a instanceof Tensor ? a.shape : [],
    b instanceof Tensor ? b.shape : [],
  );
  const prepare = (x: TensorLike): Tensor =>
    x instanceof Tensor ? broadcastTo(cast(x, dtype), shape) : constant(shape, Number(x), dtype);
  return [prepare(a), prepare(b)];
}

/** Whether every element is known to be `value`. */
function isConstant(x: Tensor, value: number): boolean {
  return x.primitive === CONSTANT && x._element === value;
}

// d(a + b) = da + db
const ADD = /* @__PURE__ */ binary("add", (g) => [g, g]);
/** `a + b`. */
export function add(a: TensorLike, b: TensorLike): Tensor {
  return map(ADD, align("add", a, b, "int32"));
}

// d(a − b) = da − db
const SUB = /* @__PURE__ */ binary("sub", (g) => [g, neg(g)]);
/** `a − b`. */
export function sub(a: TensorLike, b: TensorLike): Tensor {
  return map(SUB, align("sub", a, b, "int32"));
}

// d(a·b) = b·da + a·db
const MUL = /* @__PURE__ */ binary("mul", (g, { inputs: [a, b] }) => [mul(g, b!), mul(g, a!)]);
/** `a · b`, elementwise. */
export function mul(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = align("mul", a, b, "int32");
  if (isConstant(y, 1)) return x;
  if (isConstant(x, 1)) return y;
  if (x.primitive === CONSTANT && y.primitive === CONSTANT) {
    const product =
      x.dtype === "int32" ? Math.imul(x._element, y._element) : x._element * y._element;
    return constant(x.shape, product, x.dtype);
  }
  return map(MUL, [x, y]);
}

// d(a/b) = da/b − (a/b)/b · db
const DIV = /* @__PURE__ */ binary("div", (g, node) => {
  const b = node.inputs[1]!;
  return [div(g, b), neg(mul(g, div(node, b)))];
});
/** `a / b`. Integers divide as floats. */
export function div(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = align("div", a, b, "float32");
  return isConstant(y, 1) ? x : map(DIV, [x, y]);
}

// d(aᵇ) = b·aᵇ⁻¹ da + aᵇ·log a db
const POW = /* @__PURE__ */ binary("pow", (g, node) => {
  const [a, b] = node.inputs as [Tensor, Tensor];
  const base = where(equal(b, 0), 0, mul(b, pow(a, sub(b, 1))));
  const exponent = where(greater(a, 0), mul(node, log(where(greater(a, 0), a, 1))), 0);
  return [mul(g, base), mul(g, exponent)];
});
/**
 * `aᵇ`. A plain exponent of 0, ±1, 2, 3 or ½ becomes products, quotients and roots. A negative base with a
 * fractional exponent gives NaN; the gradient for the exponent is 0 where the base is not positive.
 */
export function pow(a: TensorLike, b: TensorLike): Tensor {
  if (a instanceof Tensor && typeof b === "number") {
    const x = toFloat(a);
    if (b === 0) return constant(x.shape, 1, x.dtype);
    if (b === 1) return x;
    if (b === 2) return mul(x, x);
    if (b === 3) return mul(mul(x, x), x);
    if (b === 0.5) return sqrt(x);
    if (b === -1) return div(1, x);
  }
  return map(POW, align("pow", a, b, "float32"));
}

// At a tie each side takes half.
function selected(g: Tensor, a: Tensor, b: Tensor): [Tensor, Tensor] {
  const share = where(equal(a, b), 0.5, 1);
  return [where(lessEqual(b, a), mul(g, share), 0), where(lessEqual(a, b), mul(g, share), 0)];
}
const MAXIMUM = /* @__PURE__ */ binary("maximum", (g, { inputs: [a, b] }) => selected(g, a!, b!));
/** The larger of a and b; NaN if either is. At a tie the gradient is shared equally. */
export function maximum(a: TensorLike, b: TensorLike): Tensor {
  return map(MAXIMUM, align("maximum", a, b, "int32"));
}

// min(a, b) = −max(−a, −b)
const MINIMUM = /* @__PURE__ */ binary("minimum", (g, { inputs: [a, b] }) => selected(g, b!, a!));
/** The smaller of a and b; NaN if either is. At a tie the gradient is shared equally. */
export function minimum(a: TensorLike, b: TensorLike): Tensor {
  return map(MINIMUM, align("minimum", a, b, "int32"));
}

/**
 * x within bounds: `low` where x is below it, then `high` where that is above it. Either may be left out, and NaN bounds
 * nothing. The gradient goes to x where it is within the bounds or at one of them, else to the bound.
 * @throws if there is no bound.
 */
export function clamp(x: TensorLike, low?: TensorLike | null, high?: TensorLike | null): Tensor {
  if (low == null && high == null) throw new TypeError("clamp: needs a bound");
  const raised = low == null ? x : where(less(x, low), low, x);
  return high == null ? asTensor(raised) : where(less(high, raised), high, raised);
}

// d(−x) = −dx
const NEG = /* @__PURE__ */ unary("neg", (g) => [neg(g)]);
/** `−x`. */
export function neg(x: TensorLike): Tensor {
  const number = toNumber(x);
  if (number.primitive === CONSTANT) return constant(number.shape, -number._element, number.dtype);
  return map(NEG, [number]);
}

// d eˣ = eˣ dx
const EXP = /* @__PURE__ */ unary("exp", (g, y) => [mul(g, y)]);
/** `eˣ`. */
export function exp(x: TensorLike): Tensor {
  return map(EXP, [toFloat(x)]);
}

// d ln x = dx/x
const LOG = /* @__PURE__ */ unary("log", (g, { inputs: [x] }) => [div(g, x!)]);
/** Natural logarithm; −∞ at 0, NaN below. */
export function log(x: TensorLike): Tensor {
  return map(LOG, [toFloat(x)]);
}

// d ln(1+x) = dx/(1+x)
const LOG1P = /* @__PURE__ */ unary("log1p", (g, { inputs: [x] }) => [div(g, add(x!, 1))]);
/** `ln(1 + x)`, accurate near 0. */
export function log1p(x: TensorLike): Tensor {
  return map(LOG1P, [toFloat(x)]);
}

// d(eˣ − 1) = eˣ dx
const EXPM1 = /* @__PURE__ */ unary("expm1", (g, { inputs: [x] }) => [mul(g, exp(x!))]);
/** `eˣ − 1`, accurate near 0. */
export function expm1(x: TensorLike): Tensor {
  return map(EXPM1, [toFloat(x)]);
}

// d√x = dx/(2√x)
const SQRT = /* @__PURE__ */ unary("sqrt", (g, y) => [div(mul(g, 0.5), y)]);
/** Square root; NaN below 0. Its derivative is infinite at 0. */
export function sqrt(x: TensorLike): Tensor {
  return map(SQRT, [toFloat(x)]);
}

// d tanh x = (1 − tanh² x) dx
const TANH = /* @__PURE__ */ unary("tanh", (g, y) => [mul(g, sub(1, mul(y, y)))]);
/** Hyperbolic tangent. */
export function tanh(x: TensorLike): Tensor {
  return map(TANH, [toFloat(x)]);
}

// d sin x = cos x dx
const SIN = /* @__PURE__ */ unary("sin", (g, { inputs: [x] }) => [mul(g, cos(x!))]);
/**
 * Sine of an angle in radians; NaN at ±∞. Within 2 units in the last place in float32 for |x| ≤ 10⁴.
 * NaN where |x| is too large for the device to tell the angle: 2·10⁵ on GPUs, 2³¹ on `wasm`.
 */
export function sin(x: TensorLike): Tensor {
  return map(SIN, [toFloat(x)]);
}

// d cos x = −sin x dx
const COS = /* @__PURE__ */ unary("cos", (g, { inputs: [x] }) => [neg(mul(g, sin(x!)))]);
/** Cosine of an angle in radians, as accurate as {@link sin}. */
export function cos(x: TensorLike): Tensor {
  return map(COS, [toFloat(x)]);
}

// d erf x = 2/√π · e^(−x²) dx
const ERF = /* @__PURE__ */ unary("erf", (g, { inputs: [x] }) => [
  mul(g, mul(exp(neg(mul(x!, x!))), 2 / Math.sqrt(Math.PI))),
]);
/** The error function `2/√π ∫₀ˣ e^(−t²) dt`. */
export function erf(x: TensorLike): Tensor {
  return map(ERF, [toFloat(x)]);
}

/** `1/x`. */
export function reciprocal(x: TensorLike): Tensor {
  return div(1, x);
}

/** `1/√x`; ∞ at 0, NaN below. */
export function rsqrt(x: TensorLike): Tensor {
  return div(1, sqrt(x));
}

// d|x| = sign x dx
const ABS = /* @__PURE__ */ unary("abs", (g, { inputs: [x] }) => [mul(g, sign(x!))]);
/** `|x|`; the gradient at 0 is 0. */
export function abs(x: TensorLike): Tensor {
  return map(ABS, [toNumber(x)]);
}

const SIGN = /* @__PURE__ */ unary("sign", null);
/** −1, 0 or 1; NaN for NaN. Its gradient is 0. */
export function sign(x: TensorLike): Tensor {
  return map(SIGN, [toNumber(x)]);
}

function toInteger(operation: Primitive, x: TensorLike): Tensor {
  const t = toNumber(x);
  return isFloating(t.dtype) ? map(operation, [t]) : t;
}

const FLOOR = /* @__PURE__ */ unary("floor", null);
/** The largest integer ≤ x, in x's dtype. Its gradient is 0. */
export function floor(x: TensorLike): Tensor {
  return toInteger(FLOOR, x);
}

const CEIL = /* @__PURE__ */ unary("ceil", null);
/** The smallest integer ≥ x, in x's dtype. Its gradient is 0. */
export function ceil(x: TensorLike): Tensor {
  return toInteger(CEIL, x);
}

const ROUND = /* @__PURE__ */ unary("round", null);
/** The nearest integer, in x's dtype; of two the even one, so `round(2.5)` is 2. Its gradient is 0. */
export function round(x: TensorLike): Tensor {
  return toInteger(ROUND, x);
}

/** `x²`. */
export function square(x: TensorLike): Tensor {
  const t = asTensor(x);
  return mul(t, t);
}

function compare(operation: Primitive, a: TensorLike, b: TensorLike): Tensor {
  return map(operation, align(operation.name, a, b, "int32"), "bool");
}

const EQUAL = /* @__PURE__ */ binary("equal", null);
/** Where a = b, as bool. */
export function equal(a: TensorLike, b: TensorLike): Tensor {
  return compare(EQUAL, a, b);
}

/** Where a ≠ b, as bool. NaN differs from everything. */
export function notEqual(a: TensorLike, b: TensorLike): Tensor {
  return logicalNot(equal(a, b));
}

const LESS = /* @__PURE__ */ binary("less", null);
/** Where a < b, as bool. */
export function less(a: TensorLike, b: TensorLike): Tensor {
  return compare(LESS, a, b);
}

const LESS_EQUAL = /* @__PURE__ */ binary("lessEqual", null);
/** Where a ≤ b, as bool. */
export function lessEqual(a: TensorLike, b: TensorLike): Tensor {
  return compare(LESS_EQUAL, a, b);
}

/** Where a > b, as bool. */
export function greater(a: TensorLike, b: TensorLike): Tensor {
  return less(b, a);
}

/** Where a ≥ b, as bool. */
export function greaterEqual(a: TensorLike, b: TensorLike): Tensor {
  return lessEqual(b, a);
}

const AND = /* @__PURE__ */ binary("and", null);
/** Where both hold. Numbers count as true unless 0. */
export function logicalAnd(a: TensorLike, b: TensorLike): Tensor {
  return map(AND, align("logicalAnd", toBoolean(a), toBoolean(b), "bool"));
}

const OR = /* @__PURE__ */ binary("or", null);
/** Where either holds. Numbers count as true unless 0. */
export function logicalOr(a: TensorLike, b: TensorLike): Tensor {
  return map(OR, align("logicalOr", toBoolean(a), toBoolean(b), "bool"));
}

const NOT = /* @__PURE__ */ unary("not", null);
/** Where x does not hold. Numbers count as true unless 0. */
export function logicalNot(x: TensorLike): Tensor {
  return map(NOT, [toBoolean(x)]);
}

/** Where x is NaN, as bool. */
export function isnan(x: TensorLike): Tensor {
  const t = asTensor(x);
  return notEqual(t, t);
}

/** Where x is neither NaN nor ±∞, as bool. */
export function isfinite(x: TensorLike): Tensor {
  return less(abs(x), Number.POSITIVE_INFINITY);
}

function toBoolean(x: TensorLike): Tensor {
  const t = asTensor(x, typeof x === "boolean" ? "bool" : "float32");
  return t.dtype === "bool" ? t : cast(t, "bool");
}

// The gradient goes to the side that was taken.
const WHERE = /* @__PURE__ */ primitive(
  "where",
  { kind: "map", operation: "where" },
  (g, { inputs: [condition] }) => [null, where(condition!, g, 0), where(condition!, 0, g)],
);
/**
 * `a` where the condition holds, else `b`. What is not taken has gradient 0, also where it is not finite; but
 * that 0 times a derivative behind it that is infinite is NaN, as in PyTorch and JAX. There select the argument
 * as well: `where(c, f(where(c, x, 0)), b)`.
 */
export function where(condition: TensorLike, a: TensorLike, b: TensorLike): Tensor {
  const test = toBoolean(condition);
  const [x, y] = align("where", a, b, "bool");
  const shape = broadcastShapes("where", test.shape, x.shape);
  return map(
    WHERE,
    [broadcastTo(test, shape), broadcastTo(x, shape), broadcastTo(y, shape)],
    x.dtype,
  );
}

const CAST = /* @__PURE__ */ primitive(
  "cast",
  { kind: "map", operation: "cast" },
  (g, { inputs: [x] }) => [isFloating(x!.dtype) ? cast(g, x!.dtype) : null],
);
/**
 * The values at another dtype. Floats become integers by truncation (out of range: the nearest
 * int32; NaN: 0), anything but 0 becomes true.
 */
export function cast(x: TensorLike, dtype: DType): Tensor {
  const t = asTensor(x);
  if (t.dtype === dtype) return t;
  checkDType("cast", dtype);
  if (t.primitive === CONSTANT && dtype !== "int32") return constant(t.shape, t._element, dtype);
  return map(CAST, [t], dtype);
}

/** The tensor, or a copy that is held as its dtype says: for operations that take elements as they lie in memory. */
export function heldAsDType(t: Tensor): Tensor {
  return t.storage === t.dtype ? t : map(CAST, [t], t.dtype);
}
