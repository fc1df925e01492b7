/**
 * Every operation on every device gives what the interpreter gives in float64.
 */

import { describe, expect, it } from "vitest";
import { CASES, EXACT } from "./cases.js";
import { DEVICES, difference, type Elements, evaluateOn, reference } from "./devices.js";

/** Arithmetic relative to max(1, |x|). */
const TOLERANCE = { float32: 1e-5, float64: 1e-12 } as const;

function expectSame(
  found: readonly Elements[],
  expected: readonly Elements[],
  tolerance: number,
): void {
  expect(found.length).toBe(expected.length);
  for (const [i, result] of found.entries()) {
    const isFloat = result.dtype === "float32" || result.dtype === "float64";
    const wrong = difference(result, expected[i]!, isFloat ? tolerance : 0);
    if (wrong !== null) expect.fail(`result ${i} (${result.dtype}[${result.shape}]): ${wrong}`);
  }
}

for (const device of DEVICES) {
  for (const dtype of device.floats as readonly ("float32" | "float64")[]) {
    describe(`${dtype} on ${device.title}`, () => {
      for (const { name, make, slack = 1 } of CASES) {
        it(name, async () => {
          const expected = await reference(name, () => make("float64"));
          const mixed =
            name.includes("precisions") || name.includes("float32") || name.includes("epilogues");
          const tolerance = mixed ? TOLERANCE.float32 : TOLERANCE[dtype];
          expectSame(await evaluateOn(device, () => make(dtype)), expected, slack * tolerance);
        });
      }
    });
  }

  describe(`integers and booleans on ${device.title}`, () => {
    for (const { name, make } of EXACT) {
      it(name, async () => {
        const expected = await reference(name, make);
        const found = await evaluateOn(device, make);
        expect(found.map(({ dtype }) => dtype)).toEqual(expected.map(({ dtype }) => dtype));
        expectSame(found, expected, 0);
      });
    }
  });
}
