import { configDefaults, defineConfig } from "vitest/config";

/** Asks an engine for relaxed SIMD that does not offer it by itself: Node 20's. */
const RELAXED_SIMD = "--experimental-wasm-relaxed-simd";
const execArgv = ["--expose-gc"];

export default defineConfig({
  test: {
    // For what hangs: a busy machine takes several times as long as an idle one.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A process per file: WebAssembly memories are returned to the system when the file is done.
    pool: "forks",
    setupFiles: ["test/seed.ts"],
    projects: [
      {
        extends: true,
        test: {
          name: "library",
          include: ["test/**/*.test.ts"],
          // What needs a browser or a GPU: vitest.browser.config.ts, vitest.gpu.config.ts.
          exclude: [...configDefaults.exclude, "test/browser/**", "test/gpu/**"],
          execArgv,
        },
      },
      {
        extends: true,
        test: {
          name: "relaxed SIMD",
          include: process.version.startsWith("v20.")
            ? ["test/devices/wasm/{matmul,relaxed}.test.ts", "test/conformance/sharing.test.ts"]
            : [],
          execArgv: [...execArgv, RELAXED_SIMD],
          env: { EXPECT_RELAXED_SIMD: "1" },
        },
      },
    ],
  },
});
