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
        "products.test.ts",
        "elementwise.test.ts",
        "device.test.ts",
        "views.test.ts",
      ]),
    },
    execArgv: ["--expose-gc"],
  },
});
