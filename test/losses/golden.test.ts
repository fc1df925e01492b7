/**
 * Preference losses against numbers computed elsewhere.
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LOSSES, type LossName } from "../../src/losses/names/lossNames.js";
import { setDevice } from "../../src/tensor/evaluate.js";
import { evaluateGolden, rows } from "./golden.js";

/** Names of losses without a row of their own, and where their numbers are. */
const ELSEWHERE: Partial<Record<LossName, string>> = {
  dpo: "the rows of sigmoid",
  rso: "the rows of rso_hinge_norm and rso_sigmoid_norm",
  spo: "the rows of spo(dpo)",
  sft: "test/losses/spo.test.ts",
  betadpo: "test/losses/states.test.ts",
  wpo: "test/losses/tokenLosses.test.ts",
  aspo: "test/losses/tokenLosses.test.ts",
};

/** Relative to the value; a value that is 0 has rounding errors of numbers near 1. */
function expectClose(
  found: number,
  expected: number,
  tolerance: number,
  scale = expected === 0 ? 1 : Math.abs(expected),
): void {
  expect(Math.abs(found - expected), `${found}, not ${expected}`).toBeLessThanOrEqual(
    tolerance * scale,
  );
}

describe.each([
  { device: "interpreter", dtype: "float64", tolerance: 1e-9 },
  { device: "wasm", dtype: "float64", tolerance: 1e-9 },
  { device: "wasm", dtype: "float32", tolerance: 1e-5 },
] as const)("losses in $dtype on $device", ({ device, dtype, tolerance }) => {
  let found: Awaited<ReturnType<typeof evaluateGolden>>;
  beforeAll(async () => {
    await setDevice(device);
    found = await evaluateGolden(dtype);
  });
  afterAll(() => setDevice("wasm"));

  it.each(rows.map(([title, row], i) => [title, row, i] as const))(
    "%s has the golden values and gradients",
    (_, row, i) => {
      // The golden α-divergence numbers carry float32 noise.
      const isNoisy = row.options.f_divergence_type === "alpha_divergence";
      const bound = isNoisy ? Math.max(1e-6, tolerance) : tolerance;
      // APO-down's gradient in the chosen log-probability is β(σ′(βr_w) − σ′(z)), both near ¼: the float32
      // rounding of ¼ is more than 1e-5 of a small difference, so it is held to the row's largest.
      const isDifference = (part: string) =>
        dtype === "float32" && row.name === "apo_down" && part === "gradChosen";
      expectClose(found[i]!.loss, row.loss, bound);
      for (const part of ["perPair", "gradChosen", "gradRejected"] as const) {
        expect(found[i]![part]).toHaveLength(row[part].length);
        const scale = isDifference(part) ? Math.max(...row[part].map(Math.abs)) : undefined;
        found[i]![part].forEach((value, j) => {
          expectClose(value, row[part][j]!, bound, scale);
        });
      }
    },
  );

  it("covers every golden number there is", () => {
    expect(rows.filter(([, row]) => row.trl)).toHaveLength(31);
    expect(rows.filter(([, row]) => !row.trl)).toHaveLength(75);
  });
});

it("every name of a loss has golden numbers, or numbers elsewhere", () => {
  const names = rows.map(([, { name }]) => name);
  const lacking = Object.keys(LOSSES).filter((name) => !names.includes(name));
  expect(lacking.sort()).toEqual(Object.keys(ELSEWHERE).sort());
});
