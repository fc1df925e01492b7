/**
 * Operations and graphs on WebGPU in Node, and what the documentation says of its numbers.
 */

import {
  describeGraphs,
  describeGuarantees,
  describeOperations,
} from "../conformance/describeDevice.js";
import { describeWebGpu } from "./webgpu.js";

describeWebGpu((device, runSuite) => {
  describeOperations(device, runSuite, "other operations");
  describeGraphs(device, runSuite);
  describeGuarantees(device, runSuite);
});
