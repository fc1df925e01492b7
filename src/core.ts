/**
 * Tensors and gradients of any order.
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
export { jacobian } from "./autograd/jacobian.js";
export { jvp } from "./autograd/jvp.js";
export {
  grad,
  hessianVectorProduct,
  type ScalarFunction,
  type ScalarFunctionWithAux,
  treeDot,
  type ValueAndGradOptions,
  valueAndGrad,
} from "./autograd/transforms.js";
// Tensors
export type { DType, FloatDType, StorageType, TypedArray } from "./kernels/dtype.js";

// Operations
export * from "./ops/index.js";
export {
  type ArangeOptions,
  arange,
  type CreateOptions,
  eye,
  full,
  linspace,
  type NestedData,
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
  explainInto,
  realize,
  realizeInto,
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
export { storeAs } from "./tensor/storage.js";
export { type NestedArray, Tensor, type TensorLike } from "./tensor/tensor.js";
export {
  type Tree,
  type TreeNumbers,
  treeFromNamed,
  treeLeaves,
  treeMap,
  treeNamed,
  treeNumbers,
} from "./tensor/tree.js";
