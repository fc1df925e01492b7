/**
 * Every operation on every device gives what the interpreter gives in float64. What threads share has the bits of one
 * thread (`sharing.test.ts`): several are checked here, too, if all is asked for.
 */

import { describe, expect, it } from "vitest";
import { CASES, exactCases } from "./cases.js";
import { checkExact, checkOperation, type Float } from "./check.js";
import { DEVICES, isFull } from "./devices.js";

for (const device of DEVICES.filter(({ options }) => isFull() || options?.threads !== 2)) {
  // The interpreter in float64 is what others are held to.
  const floats = (device.floats as readonly Float[]).filter(
    (dtype) => device.name !== "interpreter" || dtype !== "float64",
  );
  for (const dtype of floats) {
    describe(`${dtype} on ${device.title}`, () => {
      for (const one of CASES) {
        it(one.name, async () => {
          expect(await checkOperation(device, dtype, one)).toBeNull();
        });
      }
    });
  }

  describe(`integers and booleans on ${device.title}`, () => {
    for (const one of exactCases(device.integerBits ?? 32)) {
      it(one.name, async () => {
        expect(await checkExact(device, one)).toBeNull();
      });
    }
  });
}
