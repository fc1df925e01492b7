/**
 * Random graphs on WebGPU in Node, and what the documentation says of its numbers.
 */

import { describeGraphs, describeGuarantees } from "../conformance/describeDevice.js";
import { describeWebGpu } from "./webgpu.js";

describeWebGpu((device, runSuite) => {
  describeGraphs(device, runSuite);
  describeGuarantees(device, runSuite);
});
