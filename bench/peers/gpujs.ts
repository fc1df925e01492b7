/**
 * A matrix product as gpu.js's users write it: a thread for each element of the result, which loops
 * over the sum. What the tiled product is measured against.
 */

import { loadGpuJs } from "../../src/devices/gpu/gpujs.js";
import { settled } from "../gpu/watch.js";
import type { MatmulProblem, Peer, Task } from "../problem.js";
import { versionOf } from "./version.js";

/** Larger products take too long. */
const LARGEST = 512;

/** What kernels return on WebGPU. */
interface Handle {
  toArray(): Promise<readonly Float32Array[]>;
  delete(): void;
}

type Kernel = (...inputs: readonly unknown[]) => Promise<Handle>;

/** gpu.js, as far as it is needed here. */
interface GpuJs {
  readonly GPU: new (settings: {
    mode: "webgpu";
  }) => { createKernel(source: string, settings: object): Kernel };
  input(values: Float32Array, size: readonly number[]): unknown;
}

/** gpu.js on WebGPU; in Node prefgrad must have made it available. */
export async function load(): Promise<Peer> {
  const { GPU, input } = (await loadGpuJs()) as unknown as GpuJs;
  const instance = new GPU({ mode: "webgpu" });
  const kernel = (source: string, inputs: number, rows: number, columns: number): Kernel =>
    instance.createKernel(source, {
      output: [columns, rows],
      pipeline: true,
      immutable: true,
      argumentTypes: Array.from({ length: inputs }, () => "Input"),
      loopMaxIterations: LARGEST,
    });
  const resident = (values: Float32Array, rows: number, columns: number): Promise<Handle> =>
    kernel(
      "function(x) { return x[this.thread.y][this.thread.x]; }",
      1,
      rows,
      columns,
    )(input(values, [columns, rows]));

  const matmul = async (problem: MatmulProblem): Promise<Task | null> => {
    const { batch, m, k, n, transposeA, transposeB } = problem;
    if (batch > 1 || transposeA || transposeB || Math.max(m, k, n) > LARGEST) return null;
    const a = await resident(problem.a, m, k);
    const b = await resident(problem.b, k, n);
    const source = `function(a, b) {
      let sum = 0;
      for (let i = 0; i < ${k}; i++) sum += a[this.thread.y][i] * b[i][this.thread.x];
      return sum;
    }`;
    const product = kernel(source, 2, m, n);
    return {
      overlaps: true,
      run: async () => {
        (await product(a, b)).delete();
        await settled();
      },
      results: async () => {
        const found = await product(a, b);
        const values = new Float32Array(m * n);
        for (const [i, row] of (await found.toArray()).entries()) values.set(row, i * n);
        found.delete();
        return { values };
      },
      close: () => {
        a.delete();
        b.delete();
      },
    };
  };
  return { version: versionOf("gpu.js"), solve: { matmul } };
}
