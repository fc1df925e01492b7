/**
 * What is computed of no elements, on every device.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { setDevice } from "../../src/index.js";
import { DEVICES } from "./devices.js";
import { EMPTY } from "./empty.js";

describe.each(DEVICES)("over no elements on $title", (device) => {
  beforeAll(() => setDevice(device.name, device.options));

  for (const { name, check } of EMPTY) it(name, async () => expect(await check()).toBeNull());
});
