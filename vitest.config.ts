import { configDefaults, defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // What needs a browser or a GPU: vitest.browser.config.ts, vitest.gpu.config.ts.
    exclude: [...configDefaults.exclude, "test/browser/**", "test/gpu/**"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // A process per file: WebAssembly memories are returned to the system when the file is done.
    pool: "forks",
    execArgv: ["--expose-gc"],
  },
});
