import { defineConfig } from "vitest/config";

/** Suites that need a GPU, or a software one: `npm run test:gpu`. */
export default defineConfig({
  test: {
    include: ["test/gpu/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    execArgv: ["--expose-gc"],
  },
});
