/**
 * Random fused graphs give the same values on every device.
 */

import { describe, expect, it } from "vitest";
import { programs } from "../compiler/randomGraph.js";
import { forAll } from "../ops/reference.js";
import { checkGraph, type Float } from "./check.js";
import { DEVICES } from "./devices.js";

for (const device of DEVICES) {
  for (const dtype of device.floats as readonly Float[]) {
    describe(`${dtype} on ${device.title}`, () => {
      it("random graphs have the interpreter's values", () =>
        forAll(
          [programs(14)],
          async (program) => {
            expect(await checkGraph(device, dtype, program)).toBeNull();
          },
          device.name === "interpreter" ? 30 : 120,
        ));
    });
  }
}
