/**
 * Plans in words.
 * @module
 */

import { bytesPerElement } from "../kernels/dtype.js";
import type { Kernel, Plan, PlanBuffer } from "../kernels/kernel.js";
import type { DeviceName, ExplainedKernel, Explanation } from "../tensor/runtime.js";

function bytesOf({ size, dtype }: PlanBuffer): number {
  return size * bytesPerElement(dtype);
}

function kindOf(kernel: Kernel): ExplainedKernel["kind"] {
  return kernel.kind === "loop" && kernel.reduce !== null ? "reduce" : kernel.kind;
}

/** `1234567` as `1.2 MB`. */
function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** The kernels of a plan and the memory it takes. */
export function explainPlan(plan: Plan, device: DeviceName): Explanation {
  const kernels = plan.steps.map((step): ExplainedKernel => {
    const output = plan.buffers[step.buffers[0]!]!;
    return {
      kind: kindOf(step.kernel),
      operations: step.operations,
      outputSize: output.size,
      outputBytes: bytesOf(output),
      reads: step.buffers.length - 1,
    };
  });
  const total = (role: PlanBuffer["role"]): number =>
    plan.buffers.reduce((sum, buffer) => sum + (buffer.role === role ? bytesOf(buffer) : 0), 0);
  const outputBytes = total("output");
  const explanation = {
    device,
    kernels,
    inputBytes: total("input"),
    outputBytes,
    temporaryBytes: total("temporary"),
    peakBytes: plan.scratchBytes + outputBytes,
  };
  return { ...explanation, toString: () => table(explanation) };
}

function table(explanation: Omit<Explanation, "toString">): string {
  const { device, kernels, inputBytes, outputBytes, temporaryBytes, peakBytes } = explanation;
  const rows = kernels.map(({ kind, operations, outputSize, outputBytes: bytes, reads }, i) => {
    const what = `${String(i + 1).padStart(3)}  ${kind.padEnd(7)} ${String(outputSize).padStart(9)} elements`;
    return `${what} ${formatBytes(bytes).padStart(9)}  reads ${reads}  ${operations.join(" · ")}`;
  });
  return [
    `${kernels.length} kernels on ${device}`,
    ...rows,
    `inputs ${formatBytes(inputBytes)}, outputs ${formatBytes(outputBytes)}, ` +
      `temporaries ${formatBytes(temporaryBytes)}, peak ${formatBytes(peakBytes)}`,
  ].join("\n");
}
