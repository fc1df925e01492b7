import { defineConfig } from "vitest/config";

const test = { testTimeout: 1_800_000, hookTimeout: 120_000 };

/** Suites that need a browser: `npm run test:browser`. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...test,
          name: "pages",
          include: ["test/browser/{bundlers,playground}.test.ts"],
          // A page is to answer while it computes.
          maxWorkers: 1,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...test,
          name: "devices",
          include: ["test/browser/{devices,webgl2}.test.ts"],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
