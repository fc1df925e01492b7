/**
 * All operations.
 * @module
 */

export {
  type GeluOptions,
  gelu,
  log1mexp,
  logSigmoid,
  logSoftmax,
  logSumExp,
  relu,
  sigmoid,
  silu,
  softmax,
  softplus,
} from "./activations.js";
export { broadcastTo, sumTo } from "./broadcast.js";
export {
  abs,
  add,
  cast,
  div,
  equal,
  erf,
  exp,
  expm1,
  floor,
  greater,
  greaterEqual,
  isfinite,
  isnan,
  less,
  lessEqual,
  log,
  log1p,
  logicalAnd,
  logicalNot,
  logicalOr,
  maximum,
  minimum,
  mul,
  neg,
  notEqual,
  pow,
  sign,
  sqrt,
  square,
  sub,
  tanh,
  where,
} from "./elementwise.js";
export { gather, type OneHotOptions, oneHot, scatterAdd, takeAlongAxis } from "./indexing.js";
export { dot, matmul } from "./matmul.js";
export {
  concat,
  expandDims,
  flip,
  pad,
  reshape,
  type SliceRange,
  slice,
  squeeze,
  stack,
  swapAxes,
  transpose,
} from "./movement.js";
export { argmax, argsort, cumsum, sort } from "./order.js";
export { type Axes, max, mean, min, type ReduceOptions, sum, variance } from "./reduce.js";
