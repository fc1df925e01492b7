import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

/** Suites that need a GPU, or a software one: `npm run test:gpu`. */
export default defineConfig({
  test: {
    include: ["test/gpu/**/*.test.ts"],
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
    pool: "forks",
    setupFiles: ["test/seed.ts"],
    // The shaders of a process compile one after the other.
    maxWorkers: availableParallelism(),
    execArgv: ["--expose-gc"],
  },
});
