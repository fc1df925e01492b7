import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { longestFirst } from "./test/longestFirst.js";

/** Suites that need a GPU, or a software one: `npm run test:gpu`. */
export default defineConfig({
  test: {
    include: ["test/gpu/**/*.test.ts"],
    testTimeout: 1_800_000,
    hookTimeout: 600_000,
    pool: "forks",
    setupFiles: ["test/seed.ts"],
    // The shaders of a process compile one after the other.
    maxWorkers: availableParallelism(),
    sequence: {
      sequencer: longestFirst([
        "training.test.ts",
        "bfloat16.test.ts",
        "families.test.ts",
        "reductions.test.ts",
        "graphs.test.ts",
        "views.test.ts",
        "matmul.test.ts",
        "device.test.ts",
      ]),
    },
    execArgv: ["--expose-gc"],
  },
});
