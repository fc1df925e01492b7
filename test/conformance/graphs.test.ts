/**
 * Random fused graphs give the same values on every device.
 */

import { describe, expect, it } from "vitest";
import { build, programs } from "../compiler/randomGraph.js";
import { forAll } from "../ops/reference.js";
import { DEVICES, difference, evaluateOn } from "./devices.js";

/** Errors grow along a graph, by its condition number. */
const TOLERANCE = { float32: 1e-3, float64: 1e-10 } as const;

for (const device of DEVICES) {
  for (const dtype of device.floats as readonly ("float32" | "float64")[]) {
    describe(`${dtype} on ${device.title}`, () => {
      it("random graphs have the interpreter's values", () =>
        forAll(
          [programs(14)],
          async (program) => {
            const make = (type: "float32" | "float64") => () =>
              build(program, { dtype: type, continuous: true });
            const expected = await evaluateOn({ name: "interpreter" }, make("float64"));
            const found = await evaluateOn(device, make(dtype));
            expect(found.length).toBe(expected.length);
            for (const [i, result] of found.entries()) {
              const wrong = difference(result, expected[i]!, TOLERANCE[dtype]);
              if (wrong !== null) expect.fail(`result ${i}: ${wrong}`);
            }
          },
          device.name === "interpreter" ? 30 : 120,
        ));
    });
  }
}
