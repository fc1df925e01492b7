/**
 * Kernels compiled to functions. All new ones of a plan are one module.
 * @module
 */

import type { MatmulKernel } from "../../kernels/kernel.js";
import { assemble, type FunctionBuilder } from "./assembler.js";
import { buildChain, type Call } from "./bands.js";
import { type Heap, MAXIMUM_PAGES } from "./heap.js";
import { buildLoop } from "./loops/generator.js";
import { traversalOf } from "./loops/traversal.js";
import { buildMatmul } from "./matmul/product.js";
import type { SharedModule } from "./messages.js";
import { decide, divide, type FunctionKernel, type Work } from "./program.js";
import type { KernelFunction } from "./threads.js";

/** Completes a kernel whose items have left their results in the workspace, which all threads share then. */
type FinishFunction = (buffers: number, constants: number, workspace: number) => void;

/** Compiled kernels kept; plans hold on to those they use. */
const KERNELS_KEPT = 4096;

/** A kernel's function, its number by which the workers know it, and how threads divide it. */
export interface CompiledKernel {
  readonly run: KernelFunction;
  readonly finish: FinishFunction | null;
  readonly number: number;
  readonly module: SharedModule;
  readonly work: Work;
}

/** A kernel to be compiled. */
interface NewKernel {
  readonly key: string;
  readonly decided: FunctionKernel;
  readonly work: Work;
}

/** Compiled kernels by their keys. */
export class Kernels {
  private readonly compiled = new Map<string, CompiledKernel>();
  private count = 0;
  private readonly modulesGone = new FinalizationRegistry<[first: number, count: number]>(
    ([first, count]) => this.onGone(first, count),
  );

  /** @param onGone Called when kernels `first … first + count − 1` can no longer be called. */
  constructor(
    private readonly heap: Heap,
    private readonly onGone: (first: number, count: number) => void,
  ) {}

  get(key: string): CompiledKernel | null {
    return this.compiled.get(key) ?? null;
  }

  /** The kernels of a plan's calls that are not compiled, each once, divided into shares of at least some weight. */
  missing(calls: readonly Call[], leastShare: number): NewKernel[] {
    if (this.compiled.size > KERNELS_KEPT) this.compiled.clear();
    const missing = new Map<string, NewKernel>();
    for (const { key, kernel } of calls) {
      if (kernel.kind === "sort" || this.compiled.has(key) || missing.has(key)) continue;
      const decided = decide(kernel);
      missing.set(key, { key, decided, work: divide(decided, leastShare) });
    }
    return [...missing.values()];
  }

  /** Compiles kernels, all in one module. */
  async compile(kernels: readonly NewKernel[]): Promise<void> {
    if (kernels.length === 0) return;
    const functions: FunctionBuilder[] = [];
    const exports: Record<string, number> = {};
    kernels.forEach(({ decided }, i) => {
      const { entry, finish } = addKernel(decided, functions);
      exports[`kernel${i}`] = entry;
      if (finish !== null) exports[`finish${i}`] = finish;
    });
    const bytes = assemble({
      memory: { shared: this.heap.shared, maximumPages: MAXIMUM_PAGES },
      functions,
      exports,
    });
    const { instance } = await WebAssembly.instantiate(bytes, {
      env: { memory: this.heap.memory },
    });
    const module: SharedModule = { bytes, first: this.count, count: kernels.length, toldTo: null };
    this.modulesGone.register(module, [module.first, module.count]);
    kernels.forEach(({ key, work }, i) => {
      const run = instance.exports[`kernel${i}`] as KernelFunction;
      const finish = (instance.exports[`finish${i}`] ?? null) as FinishFunction | null;
      this.compiled.set(key, { run, finish, number: this.count++, module, work });
    });
  }
}

/** Adds a kernel's functions to a module and returns the indices of its entry and of what completes it. */
function addKernel(
  decided: FunctionKernel,
  functions: FunctionBuilder[],
): { readonly entry: number; readonly finish: number | null } {
  if ("parts" in decided) {
    const parts = decided.parts.map(
      ({ kernel, traversal, ahead }) => functions.push(buildLoop(kernel, traversal, { ahead })) - 1,
    );
    return { entry: functions.push(buildChain(decided, parts)) - 1, finish: null };
  }
  if ("traversal" in decided) {
    return {
      entry: functions.push(buildLoop(decided.kernel, decided.traversal)) - 1,
      finish: null,
    };
  }
  const { kernel, blocking } = decided;
  const after = kernel.epilogue;
  const rows = after && !blocking.finishesElements ? rowAxes(kernel) : undefined;
  const epilogue =
    after && functions.push(buildLoop(after, traversalOf(after), { rowAxes: rows })) - 1;
  const product = buildMatmul(blocking, { functionBase: functions.length, epilogue });
  for (const f of product.functions) functions.push(f);
  return product;
}

/** How many leading axes of a product's epilogue make up the product's rows. */
function rowAxes({ batch, m, epilogue }: MatmulKernel): number {
  const rows = [...batch, ...m].reduce((product, size) => product * size, 1);
  let count = 0;
  for (let product = 1; product < rows; count++) product *= epilogue!.axes[count]!;
  return count;
}
