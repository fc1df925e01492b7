import { defineConfig } from "vitest/config";
import { longestFirst } from "./test/longestFirst.js";

/** Suites that need a browser: `npm run test:browser`. */
export default defineConfig({
  test: {
    include: ["test/browser/**/*.test.ts"],
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
    // More than there are cores may be: a test waits while a process of the browser computes.
    maxWorkers: 3,
    sequence: { sequencer: longestFirst(["webgl2.test.ts", "devices.test.ts"]) },
  },
});
