/**
 * Reductions and products large enough for every thread, tile and turn, on every device.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { setDevice } from "../../src/index.js";
import { DEVICES } from "./devices.js";
import { LENGTHS, MILLION, PRODUCTS } from "./large.js";

for (const device of DEVICES) {
  describe(`a million elements on ${device.title}`, () => {
    beforeAll(() => setDevice(device.name, device.options));

    for (const { name, check } of MILLION) {
      it(name, async () => expect(await check()).toBeNull());
    }
  });
}

for (const device of DEVICES) {
  describe(`rows on ${device.title}`, () => {
    beforeAll(() => setDevice(device.name, device.options));

    for (const { name, check } of LENGTHS) {
      it(name, async () => expect(await check()).toBeNull());
    }
  });
}

for (const device of DEVICES.filter(({ name }) => name !== "interpreter")) {
  describe(`large products on ${device.title}`, () => {
    beforeAll(() => setDevice(device.name, device.options));

    for (const { name, check } of PRODUCTS) {
      it(name, async () => expect(await check()).toBeNull());
    }
  });
}
