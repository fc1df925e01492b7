/**
 * prefgrad: differentiable preference optimization.
 * @module
 */

export * from "./bilevel/index.js";
export * from "./core.js";
export * from "./data/index.js";
export * from "./dynamics/index.js";
export * from "./files/index.js";
export * from "./interop/index.js";
export * from "./losses/index.js";
export * from "./methods/index.js";
export * from "./models/index.js";
export * from "./nn/index.js";
export * from "./optim/index.js";
export * from "./training/index.js";
