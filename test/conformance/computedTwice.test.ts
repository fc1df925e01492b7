/**
 * Indices and derivatives of values that are computed twice, on every device.
 */

import { describe, expect, it } from "vitest";
import { casesOfTwice } from "./computedTwice.js";
import { DEVICES } from "./devices.js";

describe.each(DEVICES)("computed twice on $title", (device) => {
  for (const { name, check } of casesOfTwice()) {
    it(name, async () => expect(await check(device)).toBeNull());
  }
});
