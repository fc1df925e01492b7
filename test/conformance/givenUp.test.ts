/**
 * Results in the memory of given-up tensors, on every device.
 */

import { describe, expect, it } from "vitest";
import { setDevice } from "../../src/index.js";
import { DEVICES } from "./devices.js";
import { GIVEN_UP } from "./givenUp.js";

for (const { title, name, options } of DEVICES) {
  describe(`given-up tensors on ${title}`, () => {
    for (const one of GIVEN_UP) {
      it(one.name, async () => {
        await setDevice(name, options);
        expect(await one.check()).toBeNull();
      });
    }
  });
}
