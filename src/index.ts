/**
 * prefgrad: differentiable preference optimization.
 * @module
 */

// Gradients
export { type CheckGradientsOptions, checkGradients } from "./autograd/checkGradients.js";
export {
  checkpoint,
  customGradient,
  stopGradient,
  type ValueWithGradient,
} from "./autograd/control.js";
export { gradients } from "./autograd/gradients.js";
export {
  grad,
  hessianVectorProduct,
  type ScalarFunction,
  treeDot,
  valueAndGrad,
} from "./autograd/transforms.js";
// Bilevel optimization
export * from "./bilevel/index.js";
// Dynamics of preference optimization
export * from "./dynamics/index.js";
// Losses for other frameworks
export * from "./interop/index.js";
// Tensors
export type { DType, TypedArray } from "./kernels/dtype.js";
// Preference losses
export * from "./losses/index.js";

// Layers and models
export * from "./nn/index.js";
// Operations
export * from "./ops/index.js";
// Optimizers
export * from "./optim/index.js";
export {
  type ArangeOptions,
  arange,
  type CreateOptions,
  eye,
  full,
  ones,
  onesLike,
  type TensorData,
  type TensorOptions,
  tensor,
  zeros,
  zerosLike,
} from "./tensor/create.js";

// Evaluation
export {
  currentDevice,
  deviceStatistics,
  explain,
  realize,
  setDebug,
  setDevice,
} from "./tensor/evaluate.js";
export {
  type RandomGenerator,
  type RandomNormalOptions,
  type RandomUniformOptions,
  randomGenerator,
  randomNormal,
  randomUniform,
} from "./tensor/random.js";
export type {
  DebugOptions,
  DeviceName,
  DeviceOptions,
  DeviceStatistics,
  ExplainedKernel,
  Explanation,
  GpuBackend,
} from "./tensor/runtime.js";
export type { Shape } from "./tensor/shape.js";
export { type NestedArray, Tensor, type TensorLike } from "./tensor/tensor.js";
export { type Tree, type TreeNumbers, treeLeaves, treeMap, treeNumbers } from "./tensor/tree.js";
