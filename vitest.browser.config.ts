import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/browser/**/*.test.ts"],
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
    // A file has a browser and as many busy threads as the machine has processors.
    fileParallelism: false,
  },
});
