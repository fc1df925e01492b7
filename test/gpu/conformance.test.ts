/**
 * The suites of every device on WebGPU in Node.
 */

import { describe, expect, it } from "vitest";
import { deviceStatistics } from "../../src/index.js";
import { describeDevice } from "../conformance/describeDevice.js";
import type { TestedDevice } from "../conformance/devices.js";
import { suites } from "../conformance/suites.js";

const device: TestedDevice = {
  title: "WebGPU",
  name: "gpu",
  options: { backend: "webgpu" },
  floats: ["float32"],
  integerBits: 24,
  // All of it takes many minutes on a software GPU.
  ...(process.env.PREFGRAD_CONFORMANCE === "full"
    ? {}
    : { every: 6, work: { gptSteps: 1, everyDescent: 3 } }),
};

describe("WebGPU in Node", () => {
  describeDevice(device, (name, values) =>
    (suites[name] as (...values: unknown[]) => Promise<unknown>)(...values),
  );

  it("ran on WebGPU", async () => {
    expect((await deviceStatistics()).backend).toBe("webgpu");
  });
});
