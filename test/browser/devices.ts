/**
 * The devices that are checked in a browser. Another one adds a line here and nothing elsewhere.
 * @module
 */

import { GPU_SIZES, part, type TestedDevice } from "../conformance/devices.js";

/** A device, the page it is used on, and what it must have come to. */
export interface BrowserDevice extends TestedDevice {
  /** Headers of the page and of all it loads. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Where the library is used. Default: on the page's main thread. */
  readonly where?: "page" | "worker";
  /** What really computed, as `witness.ts` says it: a silent fallback is a failure. */
  readonly expect: string;
  /** What the browser may complain about on its console. Default: nothing. */
  readonly mayComplain?: RegExp;
}

/** Gives the page shared memory. */
export const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
} as const;

const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";

const wasm = { name: "wasm", floats: ["float32", "float64"] } as const;

/** Where only loading and starting workers may differ from a page that computes everything. */
const wasmInPart = {
  ...wasm,
  ...part({ floats: ["float32"], comparisons: 1, every: 6, gptSteps: 1, gptLosses: 1 }),
};

const gpu = { name: "gpu", floats: ["float32"], integerBits: 24 } as const;

/** By itself, for it takes longest: it compiles and computes on one thread. */
export const WEBGL2: BrowserDevice = {
  ...gpu,
  // The models of several families and the playground train here, too.
  ...part({ comparisons: 1, every: 3, sizes: GPU_SIZES, gptLosses: 0 }),
  title: "WebGL2",
  options: { backend: "webgl2" },
  expect: "webgl2",
  // Reading a result waits for it.
  mayComplain: /GPU stall due to ReadPixels/,
};

/** All but WebGL2. */
export const BROWSER_DEVICES: readonly BrowserDevice[] = [
  { ...wasm, title: "wasm", expect: "wasm, 1 thread" },
  {
    ...wasm,
    title: "wasm, cross-origin isolated",
    options: { threads: 3 },
    headers: ISOLATED,
    expect: "wasm, 3 threads",
  },
  { ...wasmInPart, title: "wasm in a worker", where: "worker", expect: "wasm, 1 thread" },
  {
    ...wasmInPart,
    title: "wasm in a worker, cross-origin isolated",
    where: "worker",
    options: { threads: 2 },
    headers: ISOLATED,
    expect: "wasm, 2 threads",
  },
  {
    ...wasmInPart,
    title: "wasm under a policy that allows workers",
    options: { threads: 2 },
    headers: { ...ISOLATED, "Content-Security-Policy": `${POLICY}; worker-src blob:` },
    expect: "wasm, 2 threads",
  },
  {
    ...wasmInPart,
    title: "wasm under a policy that forbids workers",
    options: { threads: 8 },
    headers: { ...ISOLATED, "Content-Security-Policy": POLICY },
    expect: "wasm, 1 thread",
    mayComplain: /^error: Creating a worker from 'blob:.* violates .*Content Security Policy/,
  },
  {
    ...gpu,
    // All results are checked in Node, where shaders are compiled by the same compilers.
    ...part({ comparisons: 1, every: 6, sizes: GPU_SIZES, gptSteps: 1, gptLosses: 1 }),
    title: "WebGPU",
    options: { backend: "webgpu" },
    expect: "webgpu",
  },
];
