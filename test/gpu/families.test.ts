/**
 * Models of twelve families on WebGPU in Node; two of them, unless all is asked for.
 */

import { isFull } from "../conformance/devices.js";
import { A_FEW_MODELS, describeFamilies, FAMILY_MODELS, ON_GPUS } from "../models/families.js";
import { describeWebGpu } from "./webgpu.js";

describeWebGpu((device, runSuite) =>
  describeFamilies(device, runSuite, {
    dtype: "float32",
    names: isFull() ? FAMILY_MODELS : A_FEW_MODELS.slice(0, 2),
    accept: ON_GPUS,
  }),
);
