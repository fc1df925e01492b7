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
  if (kernel.kind === "scatter" && kernel.replaces) return "write";
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
    const [number, ...reads] = step.buffers as [number, ...number[]];
    const output = plan.buffers[number]!;
    return {
      kind: kindOf(step.kernel),
      operations: step.operations,
      outputSize: output.size,
      outputBytes: bytesOf(output),
      reads: reads.length,
      takesOver: output.role === "input" || reads.includes(number),
    };
  });
  const total = (role: PlanBuffer["role"]): number =>
    plan.buffers.reduce((sum, buffer) => sum + (buffer.role === role ? bytesOf(buffer) : 0), 0);
  const newBytes = total("output");
  const outputBytes = plan.outputs.reduce((sum, i) => sum + bytesOf(plan.buffers[i]!), 0);
  const explanation = {
    device,
    kernels,
    inputBytes: total("input"),
    outputBytes,
    temporaryBytes: total("temporary"),
    reusedBytes: outputBytes - newBytes,
    peakBytes: plan.scratchBytes + newBytes,
  };
  return { ...explanation, toString: () => table(explanation) };
}

function table(explanation: Omit<Explanation, "toString">): string {
  const { device, kernels, inputBytes, outputBytes, temporaryBytes, reusedBytes, peakBytes } =
    explanation;
  const rows = kernels.map((kernel, i) => {
    const { kind, operations, outputSize, outputBytes: bytes, reads, takesOver } = kernel;
    const what = `${String(i + 1).padStart(3)}  ${kind.padEnd(7)} ${String(outputSize).padStart(9)} elements`;
    const place = takesOver ? " in place" : "";
    return `${what} ${formatBytes(bytes).padStart(9)}  reads ${reads}${place}  ${operations.join(" · ")}`;
  });
  const reused = reusedBytes > 0 ? ` (${formatBytes(reusedBytes)} in given-up memory)` : "";
  return [
    `${kernels.length} kernels on ${device}`,
    ...rows,
    `inputs ${formatBytes(inputBytes)}, outputs ${formatBytes(outputBytes)}${reused}, ` +
      `temporaries ${formatBytes(temporaryBytes)}, peak ${formatBytes(peakBytes)}`,
  ].join("\n");
}
