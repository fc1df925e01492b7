/**
 * Training on WebGPU in Node.
 */

import { describeTraining } from "../conformance/describeDevice.js";
import { describeWebGpu } from "./webgpu.js";

describeWebGpu(describeTraining);
