/**
 * Training on WebGPU in Node.
 */

import { describeTraining } from "../conformance/describeDevice.js";
import { part } from "../conformance/devices.js";
import { describeWebGpu } from "./webgpu.js";

describeWebGpu((device, runSuite) =>
  describeTraining({ ...device, ...part({ every: 6, gptSteps: 1, gptLosses: 1 }) }, runSuite),
);
