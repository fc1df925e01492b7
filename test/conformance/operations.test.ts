/**
 * Every operation on every device gives what the interpreter gives in float64.
 */

import { describe, expect, it } from "vitest";
import { CASES, exactCases } from "./cases.js";
import { checkExact, checkOperation, type Float } from "./check.js";
import { DEVICES } from "./devices.js";

for (const device of DEVICES) {
  for (const dtype of device.floats as readonly Float[]) {
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
