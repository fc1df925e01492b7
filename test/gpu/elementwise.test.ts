/**
 * Elementwise operations on WebGPU in Node.
 */

import { describeOperations } from "../conformance/describeDevice.js";
import { describeWebGpu } from "./webgpu.js";

describeWebGpu((device, runSuite) =>
  describeOperations(device, runSuite, "elementwise operations"),
);
