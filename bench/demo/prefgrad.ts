export * from "../../src/index.js";
export { gpt, type Gpt, type GptParameters } from "../../src/nn/gpt.js";
export { generate } from "../../src/nn/generate.js";
export { adamw, type AdamWState } from "../../src/optim/adamw.js";
export * from "../../src/losses/index.js";
