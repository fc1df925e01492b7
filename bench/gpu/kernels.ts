/// <reference types="@webgpu/types" />
/**
 * Where the GPU's time goes: every kernel of a run by itself, repeated until its time can be seen,
 * beside what the adapter's rates would allow. A kernel never writes what it reads, so that repeating
 * it changes nothing.
 */

import { type IssuedKernel, withoutDestroying } from "./watch.js";

/** A kernel's time. */
export interface KernelTime {
  readonly kind: string;
  readonly label: string;
  readonly workgroups: readonly number[];
  readonly bytes: number;
  /** Floating-point operations of a matrix product; else 0. */
  readonly flops: number;
  readonly ms: number;
}

/** A repeated kernel's time is at least this long. */
const SAMPLE_MS = 4;
const SAMPLES = 3;

/** Times every kernel of a run. */
export async function timeKernels(
  recording: () => Promise<readonly IssuedKernel[]>,
): Promise<KernelTime[]> {
  return withoutDestroying(async () => {
    const times: KernelTime[] = [];
    for (const kernel of await recording()) {
      const { label, workgroups, bytes } = kernel;
      const once = await time(kernel, 1);
      const runs = Math.min(64, Math.max(1, Math.ceil(SAMPLE_MS / once)));
      let ms = runs === 1 ? once : Number.POSITIVE_INFINITY;
      for (let i = 0; i < (runs === 1 ? 1 : SAMPLES); i++)
        ms = Math.min(ms, await time(kernel, runs));
      times.push({ ...describeKernel(kernel), label, workgroups, bytes, ms });
    }
    return times;
  });
}

async function time({ device, queue, encode }: IssuedKernel, runs: number): Promise<number> {
  const start = performance.now();
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (let i = 0; i < runs; i++) encode(pass);
  pass.end();
  queue.submit([encoder.finish()]);
  await queue.onSubmittedWorkDone();
  return (performance.now() - start) / runs;
}

/** What prefgrad's shaders tell about themselves. */
export function describeKernel({ code, workgroups }: Pick<IssuedKernel, "code" | "workgroups">): {
  kind: string;
  flops: number;
} {
  const k = /start < (\d+)u; start \+=/.exec(code)?.[1];
  if (k !== undefined) {
    const [, m, n] = /row < (\d+)u && column < (\d+)u/.exec(code)!.map(Number) as number[];
    const perBatch = Number(/let batch = number \/ (\d+)u/.exec(code)![1]);
    const groups = workgroups.reduce((a, b) => a * b, 1);
    const batch = Math.max(1, Math.floor(groups / perBatch));
    const size = `[${m},${k}]·[${k},${n}]`;
    return {
      kind: `product ${batch > 1 ? `${batch} × ` : ""}${size}`,
      flops: 2 * batch * m! * n! * Number(k),
    };
  }
  if (/\bchosen\b/.test(code)) return { kind: "sort", flops: 0 };
  if (/digit\d|user_hit\b|\bhit\b/.test(code)) return { kind: "scatter", flops: 0 };
  const loops = [...code.matchAll(/i\d+\s*<\s*(\d+)/g)].map(([, size]) => size);
  if (/accumulated/.test(code)) return { kind: `reduction of ${loops.join("·") || 1}`, flops: 0 };
  return { kind: "elementwise", flops: 0 };
}
