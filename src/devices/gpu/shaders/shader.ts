/**
 * From kernels to gpu.js kernels.
 * @module
 */

import type { MatmulOperand } from "../../../kernels/kernel.js";
import { checkDType } from "../elements.js";
import type { GpuJsInstance, RunnableKernel } from "../gpujs.js";
import type { GpuKernel } from "../plan.js";
import { epilogueOf } from "../transform.js";
import { FUNCTIONS } from "./functions.js";
import { loopShader } from "./loop.js";
import { mergeShader } from "./merge.js";
import { scatterShader } from "./scatter.js";
import { startsShader } from "./starts.js";

/** A kernel in the form gpu.js compiles. Equal kernels are equal as JSON. */
export interface Shader {
  /** Statements of the kernel function. */
  readonly body: string;
  /** Arguments in order: the buffers that are read, constants by slot, and special numbers. */
  readonly buffers: readonly number[];
  /** Those of the buffers that hold bfloat16s. */
  readonly packed: readonly number[];
  readonly constants: readonly number[];
  readonly special: readonly Special[];
  /** Names of the functions it calls. */
  readonly functions: readonly string[];
  /** Threads along x, y and z, as gpu.js orders them: fastest first. */
  readonly threads: readonly number[];
}

/** Arguments that are no constants of the plan: ∞ and NaN, which have no literals, and an epilogue's sum. */
export type Special = "infinite" | "invalid" | "accumulator";

/** A shader with its scalar arguments in order. Each is a number or a constant of the kernel. */
export interface CompiledShader extends Shader {
  readonly scalars: readonly (number | { readonly slot: number })[];
}

const SPECIAL = { infinite: Number.POSITIVE_INFINITY, invalid: Number.NaN, accumulator: 0 };

/** The shader of a kernel. That of a product is its epilogue, with the product's element as an argument. */
export function shaderOf(kernel: GpuKernel): CompiledShader {
  const used = "expressions" in kernel ? [kernel, ...kernel.expressions] : [kernel];
  for (const { dtype } of used) checkDType(dtype, "a tensor of this computation");
  const shader = sourceOf(kernel);
  const scalars = [
    ...shader.constants.map((slot) => ({ slot })),
    ...shader.special.map((name) => SPECIAL[name]),
  ];
  return { ...shader, scalars };
}

function sourceOf(kernel: GpuKernel): Shader {
  if (kernel.kind === "loop") return loopShader(kernel);
  if (kernel.kind === "scatter") return scatterShader(kernel);
  if (kernel.kind === "write") {
    const shader = loopShader({ ...kernel, kind: "loop" });
    return { ...shader, buffers: [...shader.buffers, kernel.start] };
  }
  if (kernel.kind === "merge") return mergeShader(kernel);
  if (kernel.kind === "starts") return startsShader(kernel);
  const shader = loopShader(epilogueOf(kernel));
  const operands = [kernel.left, kernel.right];
  const packed = operands.filter(({ storage }) => storage === "bfloat16");
  return {
    ...shader,
    buffers: withOperands(shader.buffers, operands),
    packed: withOperands(shader.packed, packed),
  };
}

/** Numbers of buffers, and those of operands, each once and in order. */
function withOperands(buffers: readonly number[], operands: readonly MatmulOperand[]): number[] {
  const all = new Set([...operands.map(({ buffer }) => buffer), ...buffers]);
  return [...all].sort((a, b) => a - b);
}

/** The gpu.js kernel of a shader, not yet built. */
export function createShader<Kernel>(
  instance: GpuJsInstance<Kernel>,
  { body, buffers, constants, special, functions, threads }: Shader,
): RunnableKernel<Kernel> {
  const names = [
    ...buffers.map((buffer) => `b${buffer}`),
    ...constants.map((slot) => `c${slot}`),
    ...special,
  ];
  return instance.createKernel(`function(${names.join(", ")}) {\n${body}\n}`, {
    output: threads,
    pipeline: true,
    dynamicArguments: true,
    functions: functions.map((name) => FUNCTIONS.get(name)!),
    argumentTypes: names.map((name) => (/^b\d+$/.test(name) ? "Input" : "Float")),
    // gpu.js ends a loop whose bound is not a literal after `loopMaxIterations` turns.
    loopMaxIterations: 2 ** 30,
  });
}
