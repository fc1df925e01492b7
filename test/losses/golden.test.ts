/**
 * Preference losses against numbers computed elsewhere.
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { setDevice } from "../../src/tensor/evaluate.js";
import { call, evaluateGolden, rows } from "./golden.js";

/** Relative to the value; a value that is 0 has rounding errors of numbers near 1. */
function expectClose(found: number, expected: number, tolerance: number): void {
  const scale = expected === 0 ? 1 : Math.abs(expected);
  expect(Math.abs(found - expected), `${found}, not ${expected}`).toBeLessThanOrEqual(
    tolerance * scale,
  );
}

describe.each([
  { device: "interpreter", dtype: "float64", tolerance: 1e-9 },
  { device: "wasm", dtype: "float64", tolerance: 1e-9 },
  { device: "wasm", dtype: "float32", tolerance: 1e-5 },
] as const)("losses in $dtype on $device", ({ device, dtype, tolerance }) => {
  beforeAll(() => setDevice(device));
  afterAll(() => setDevice("wasm"));

  it.each(rows)("%s has the golden values and gradients", async (_, row) => {
    const found = await evaluateGolden(call(row), dtype);
    // The golden α-divergence numbers carry float32 noise.
    const within = row.options.fDivergence === "alpha_divergence" ? 1e-6 : tolerance;
    const bound = Math.max(within, tolerance);
    expectClose(found.loss, row.loss, bound);
    for (const part of ["perPair", "gradChosen", "gradRejected"] as const) {
      expect(found[part]).toHaveLength(row[part].length);
      found[part].forEach((value, i) => {
        expectClose(value, row[part][i]!, bound);
      });
    }
  });
});
