import { defineConfig } from "vitest/config";
import { longestFirst } from "./test/longestFirst.js";

/** Suites that need a browser: `npm run test:browser`. */
export default defineConfig({
  test: {
    include: ["test/browser/**/*.test.ts"],
    testTimeout: 1_800_000,
    hookTimeout: 600_000,
    // Chromium is a machine of its own, and a busy computer delays its parts by seconds: what fails is tried
    // again, and listed as such.
    retry: 2,
    // More than there are cores may be: a test waits while a process of the browser computes.
    maxWorkers: 3,
    sequence: { sequencer: longestFirst(["webgl2.test.ts", "devices.test.ts"]) },
  },
});
