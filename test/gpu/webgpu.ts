/**
 * The suites of every device on WebGPU in Node. Each file of them is a process, so that several
 * compile side by side: one device compiles shader after shader.
 * @module
 */

import { describe } from "vitest";
import type { RunSuite } from "../conformance/describeDevice.js";
import { GPU_SIZES, part, type TestedDevice } from "../conformance/devices.js";
import { suites } from "../conformance/suites.js";
import { expectWebGpu } from "./platform.js";

await expectWebGpu();

const device: TestedDevice = {
  ...part({ comparisons: 3, sizes: GPU_SIZES }),
  title: "WebGPU in Node",
  name: "gpu",
  options: { backend: "webgpu" },
  floats: ["float32"],
  integerBits: 24,
};

/** Defines tests of the device. */
export function describeWebGpu(define: (device: TestedDevice, runSuite: RunSuite) => void): void {
  describe(device.title, () => {
    define(device, (name, values) =>
      (suites[name] as (...values: unknown[]) => Promise<unknown>)(...values),
    );
  });
}
