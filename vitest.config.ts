import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // A process per file: WebAssembly memories are returned to the system when the file is done.
    pool: "forks",
    execArgv: ["--expose-gc"],
  },
});
