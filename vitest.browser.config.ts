import { defineConfig } from "vitest/config";

/** Suites that need a browser: `npm run test:browser`. */
export default defineConfig({
  test: {
    include: ["test/browser/**/*.test.ts"],
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
    // The longest file is the smallest, which vitest starts last: all but one are under way by then.
    maxWorkers: 3,
  },
});
