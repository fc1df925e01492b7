/**
 * Reductions and products large enough for every thread, tile and turn, on every device.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { setDevice } from "../../src/index.js";
import { DEVICES } from "./devices.js";
import { LENGTHS, MILLION, PRODUCTS } from "./large.js";

const SUITES = [
  ["a million elements", MILLION, DEVICES],
  ["rows", LENGTHS, DEVICES],
  ["large products", PRODUCTS, DEVICES.filter(({ name }) => name !== "interpreter")],
] as const;

for (const [title, checks, devices] of SUITES) {
  describe.each(devices)(`${title} on $title`, (device) => {
    beforeAll(() => setDevice(device.name, device.options));

    for (const { name, check } of checks) {
      it(name, async () => expect(await check()).toBeNull());
    }
  });
}
