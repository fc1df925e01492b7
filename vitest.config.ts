import { availableParallelism } from "node:os";
import { configDefaults, defineConfig } from "vitest/config";
import { longestFirst } from "./test/longestFirst.js";

/** Files that take longest, longest first. `npm run check` leaves them out. */
const LONG = [
  "test/cli/sample.test.ts",
  "test/cli/train.test.ts",
  "test/training/trl.test.ts",
  "test/training/objectives.test.ts",
  "test/conformance/operations.test.ts",
  "test/models/families.test.ts",
  "test/conformance/bands.test.ts",
  "test/training/align.test.ts",
  "test/losses/properties.test.ts",
  "test/models/gptWorkload.test.ts",
  "test/demo/commandLine.test.ts",
  "test/demo/diffusion.test.ts",
  "test/conformance/sharing.test.ts",
  "test/spreadArguments.test.ts",
  "test/losses/treeShaking.test.ts",
  "test/cli/trlConfig.test.ts",
  "test/models/lora.test.ts",
  "test/losses/extremes.test.ts",
  "test/nn/packing.test.ts",
  "test/methods/aspo.test.ts",
  "test/devices/wasm/matmul.test.ts",
  "test/devices/wasm/memory.test.ts",
  "test/bilevel/memory.test.ts",
  "test/bilevel/maml.test.ts",
  "test/conformance/computedTwice.test.ts",
  "test/docs/align.test.ts",
  "test/docs/codeBlocks.test.ts",
  "test/docs/drpo.test.ts",
  "test/training/crash.test.ts",
  "test/training/memory.test.ts",
];

/** Asks an engine for relaxed SIMD that does not offer it by itself: Node 20's. */
const RELAXED_SIMD = "--experimental-wasm-relaxed-simd";
const execArgv = ["--expose-gc"];

export default defineConfig({
  test: {
    // For what hangs: a busy machine takes several times as long as an idle one.
    testTimeout: 900_000,
    hookTimeout: 600_000,
    // A process per file: WebAssembly memories are returned to the system when the file is done.
    pool: "forks",
    setupFiles: ["test/seed.ts"],
    maxWorkers: availableParallelism(),
    sequence: { sequencer: longestFirst(LONG) },
    projects: [
      {
        extends: true,
        test: {
          name: "library",
          include: ["test/**/*.test.ts"],
          // What needs a browser or a GPU: vitest.browser.config.ts, vitest.gpu.config.ts.
          exclude: [...configDefaults.exclude, ...LONG, "test/browser/**", "test/gpu/**"],
          execArgv,
        },
      },
      { extends: true, test: { name: "library, at length", include: LONG, execArgv } },
      {
        extends: true,
        test: {
          name: "relaxed SIMD",
          include: process.version.startsWith("v20.")
            ? ["test/devices/wasm/{matmul,relaxed}.test.ts"]
            : [],
          execArgv: [...execArgv, RELAXED_SIMD],
          env: { EXPECT_RELAXED_SIMD: "1" },
        },
      },
    ],
  },
});
