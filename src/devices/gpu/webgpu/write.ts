/**
 * A loop that replaces a run of its output's elements on WebGPU: gpu.js's own kernel, whose threads write further on
 * in the output.
 * @module
 */

import type { GpuJsKernel } from "../gpujs.js";
import type { WriteRun } from "../plan.js";
import { elementAt } from "./packed.js";

/** Replaces the place where each thread of a kernel that is not built yet writes. */
export function installWrite(
  kernel: Pick<GpuJsKernel, "assembleWGSL">,
  { start, at, stride, count }: Pick<WriteRun, "start" | "at" | "stride" | "count">,
): void {
  const assemble = kernel.assembleWGSL;
  kernel.assembleWGSL = () =>
    assemble.call(kernel).replace(
      /let data_index : i32 = ([^;]+);/,
      `let first : i32 = i32(${elementAt({ buffer: start }, `${at}`)});
  if (first < 0 || first >= ${count}) { return; }
  let data_index : i32 = $1 + first * ${stride};`,
    );
}
