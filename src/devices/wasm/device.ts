/**
 * The WebAssembly device: generates a function for each kernel and runs a plan as a sequence of
 * calls. Buffers are blocks of one linear memory.
 * @module
 */

import { bytesPerElement, type DType, type TypedArray, viewAs } from "../../kernels/dtype.js";
import type { MatmulKernel, Plan, PlanBuffer, Step } from "../../kernels/kernel.js";
import { argsortRows } from "../argsort.js";
import type { Device, DeviceBuffer, DeviceMemory, DeviceOptions, Executable } from "../device.js";
import { assemble, type FunctionBuilder } from "./assembler.js";
import { Heap, MAXIMUM_PAGES } from "./heap.js";
import { buildLoop } from "./loops/generator.js";
import { buildMatmul } from "./matmul/product.js";
import { divide, type FunctionKernel, type Work } from "./program.js";
import { availableThreads, type KernelFunction, type KernelModule, ThreadPool } from "./threads.js";

/** Compiled kernels kept; plans hold on to those they use. */
const KERNELS_KEPT = 4096;

/** Weight of a call ({@link Work.weight}) from which it is shared, and of a plan from which workers are woken. */
const SHARED_CALL = 16384;
const SHARED_PLAN = 65536;

/** A kernel's function, its number by which the workers know it, and how threads divide it. */
interface CompiledKernel {
  readonly run: KernelFunction;
  readonly number: number;
  readonly module: OwnModule;
  readonly work: Work;
}

/** A module and the workers that were told of it. */
interface OwnModule extends KernelModule {
  toldTo: ThreadPool | null;
}

/** A block of the heap. */
class WasmBuffer implements DeviceBuffer {
  private disposed = false;

  constructor(
    readonly dtype: DType,
    readonly size: number,
    readonly home: WasmDevice,
    private readonly place: number,
  ) {}

  get address(): number {
    if (this.disposed) throw new Error("a tensor was used after dispose() gave its memory back");
    return this.place;
  }

  get bytes(): number {
    return this.size * bytesPerElement(this.dtype);
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.home.releaseBuffer(this, this.place);
  }
}

/** What the registry needs to free the block of a collected buffer. */
interface Remains {
  readonly address: number;
  readonly bytes: number;
}

/** Creates the WebAssembly device. */
export function createWasmDevice(): Device {
  if (typeof WebAssembly === "undefined") {
    throw new Error('the wasm device needs WebAssembly; setDevice("interpreter") does without');
  }
  return new WasmDevice();
}

/** @internal */
export class WasmDevice implements Device {
  readonly name = "wasm";
  readonly backend = "wasm";
  readonly cheap = 24;
  readonly spareBytes = 192e6;
  private readonly heap = new Heap(typeof SharedArrayBuffer !== "undefined");
  private readonly kernels = new Map<string, CompiledKernel>();
  private kernelCount = 0;
  private threads = 1;
  private pool: ThreadPool | null = null;
  /** What the workers are told next: modules to load and kernels to forget. */
  private readonly unknown = new Set<OwnModule>();
  private forgotten: number[] = [];
  private news: Remains | null = null;
  /** For tests: every call that can be divided is, and workers take part in each. */
  sharesAll = false;
  private readonly buffersGone = new FinalizationRegistry<Remains>((remains) => {
    this.forget(remains);
  });
  private readonly blocksGone = new FinalizationRegistry<Remains>(({ address, bytes }) => {
    this.heap.release(address, bytes);
  });
  private readonly modulesGone = new FinalizationRegistry<{ first: number; count: number }>(
    ({ first, count }) => {
      if (this.pool) this.forgotten.push(first, count);
    },
  );
  private bytes = 0;
  private buffers = 0;
  private scratch = { address: 0, bytes: 0 };
  private workspace = { address: 0, bytes: 0 };

  configure({ threads = availableThreads() }: DeviceOptions): void {
    if (!Number.isInteger(threads) || threads < 1) {
      throw new RangeError(`setDevice: threads must be an integer ≥ 1, got ${threads}`);
    }
    if (threads > 1 && typeof SharedArrayBuffer === "undefined") {
      throw new Error(
        "setDevice: several threads need shared memory, which a browser gives to cross-origin isolated pages only",
      );
    }
    this.threads = this.heap.shared ? threads : 1;
    if (this.pool && !this.pool.isStopped && this.pool.most >= this.threads) {
      this.pool.threads = this.threads;
    } else {
      this.pool?.stop();
      this.pool = null;
      this.forgotten = [];
    }
  }

  upload(values: TypedArray, dtype: DType, what: string): DeviceBuffer {
    const buffer = this.createBuffer(dtype, values.length, what);
    this.view(buffer).set(values);
    return buffer;
  }

  async download(buffer: DeviceBuffer): Promise<TypedArray> {
    return this.view(buffer as WasmBuffer).slice();
  }

  /** Shares of calls that workers took; for tests. */
  get helped(): number {
    return this.pool?.helped ?? 0;
  }

  memory(): DeviceMemory {
    const scratchBytes = this.scratch.bytes + this.workspace.bytes;
    return { bytes: this.bytes, buffers: this.buffers, scratchBytes };
  }

  trim(): void {
    for (const name of ["scratch", "workspace"] as const) this.give(name);
  }

  async prepare(plan: Plan): Promise<Executable> {
    await this.compile(plan.steps);
    return this.executable(plan);
  }

  releaseBuffer(buffer: WasmBuffer, address: number): void {
    this.buffersGone.unregister(buffer);
    this.forget({ address, bytes: buffer.bytes });
  }

  private forget({ address, bytes }: Remains): void {
    this.heap.release(address, bytes);
    this.bytes -= bytes;
    this.buffers--;
  }

  private createBuffer(dtype: DType, size: number, what: string): WasmBuffer {
    const bytes = size * bytesPerElement(dtype);
    const address = this.heap.allocate(bytes, what);
    const buffer = new WasmBuffer(dtype, size, this, address);
    this.buffersGone.register(buffer, { address, bytes }, buffer);
    this.bytes += bytes;
    this.buffers++;
    return buffer;
  }

  private view(buffer: WasmBuffer): TypedArray {
    return viewAs(buffer.dtype, this.heap.memory.buffer, buffer.address, buffer.size);
  }

  /** Compiles the kernels that are not known yet, all in one module. */
  private async compile(steps: readonly Step[]): Promise<void> {
    if (this.kernels.size > KERNELS_KEPT) this.kernels.clear();
    const missing = new Map<string, FunctionKernel>();
    for (const { key, kernel } of steps) {
      if (kernel.kind !== "sort" && !this.kernels.has(key)) missing.set(key, kernel);
    }
    if (missing.size === 0) return;
    const works = [...missing.values()].map((kernel) =>
      divide(kernel, this.sharesAll ? 0 : SHARED_CALL / 4),
    );
    // They start while the kernels are compiled.
    if (works.some(({ weight }) => weight >= SHARED_PLAN)) this.startThreads();
    const functions: FunctionBuilder[] = [];
    const exports: Record<string, number> = {};
    let count = 0;
    for (const kernel of missing.values()) {
      exports[`kernel${count++}`] = addKernel(kernel, functions);
    }
    const bytes = assemble({
      memory: { shared: this.heap.shared, maximumPages: MAXIMUM_PAGES },
      functions,
      exports,
    });
    const { instance } = await WebAssembly.instantiate(bytes, {
      env: { memory: this.heap.memory },
    });
    const module: OwnModule = { bytes, first: this.kernelCount, count, toldTo: null };
    this.modulesGone.register(module, { first: module.first, count });
    [...missing.keys()].forEach((key, i) => {
      const run = instance.exports[`kernel${i}`] as KernelFunction;
      this.kernels.set(key, { run, number: this.kernelCount++, module, work: works[i]! });
    });
  }

  private startThreads(): ThreadPool | null {
    if (this.threads > 1) this.pool ??= new ThreadPool(this.heap.memory, this.threads);
    return this.pool;
  }

  /** Steps resolved to functions, and a block of memory for their arguments. */
  private executable(plan: Plan): Executable {
    const kernels = plan.steps.map(({ key }) => this.kernels.get(key) ?? null);
    const shared = this.worthSharing(kernels);
    const workspaceBytes = Math.max(0, ...kernels.map((k) => k?.work.workspaceBytes ?? 0));
    const largest = largestTemporary(plan);
    const layout = new ArgumentLayout(plan);
    const block = this.heap.allocate(layout.bytes, "the arguments of a plan");
    const addresses = new Int32Array(plan.buffers.length);
    const executable: Executable = {
      run: (inputs, constants) => {
        const pool = shared.size > 0 ? this.helpers(shared) : null;
        const threads = pool?.threads ?? 1;
        this.reserve("scratch", plan.scratchBytes, largest);
        this.reserve("workspace", workspaceBytes * threads, "packed matrices");
        const outputs = this.createOutputs(plan);
        plan.buffers.forEach(({ offset }, i) => {
          addresses[i] = this.scratch.address + offset;
        });
        plan.inputs.forEach((buffer, i) => {
          addresses[buffer] = (inputs[i] as WasmBuffer).address;
        });
        plan.outputs.forEach((buffer, i) => {
          addresses[buffer] = outputs[i]!.address;
        });
        this.writeArguments(plan, block, addresses, constants);
        const workspace = this.workspace.address;
        try {
          kernels.forEach((kernel, i) => {
            if (!kernel) {
              this.sort(plan.steps[i]!, addresses);
              return;
            }
            const { run, number, work } = kernel;
            const buffers = block + layout.buffers[i]!;
            const values = block + layout.constants[i]!;
            if (pool && shared.has(kernel)) {
              pool.share(
                { kernel: number, buffers, constants: values, ...work, workspace, workspaceBytes },
                run,
              );
            } else run(buffers, values, 0, work.items, workspace);
          });
        } catch (error) {
          if (pool?.lost) this.abandon(outputs);
          else for (const output of outputs) output.dispose();
          throw error;
        }
        return outputs;
      },
    };
    this.blocksGone.register(executable, { address: block, bytes: layout.bytes });
    return executable;
  }

  /** The kernels of a plan whose calls are shared. */
  private worthSharing(kernels: readonly (CompiledKernel | null)[]): Set<CompiledKernel> {
    const [call, plan] = this.sharesAll ? [1, 1] : [SHARED_CALL, SHARED_PLAN];
    const large = kernels.filter((kernel) => kernel !== null && kernel.work.weight >= call);
    const weight = large.reduce((sum, kernel) => sum + kernel!.work.weight, 0);
    return new Set(weight >= plan ? (large as CompiledKernel[]) : []);
  }

  /** The threads that can share calls of the kernels, awake; null where there is only one. */
  private helpers(kernels: Iterable<CompiledKernel>): ThreadPool | null {
    const pool = this.startThreads();
    if (!pool || pool.threads === 1) return null;
    pool.wake();
    for (const { module } of kernels) {
      if (module.toldTo === pool) continue;
      module.toldTo = pool;
      this.unknown.add(module);
    }
    if (this.sharesAll) {
      pool.waitsForHelp = true;
      pool.waitUntil(() => pool.isRead);
    }
    if (!pool.isRead) return pool;
    if (this.news) this.heap.release(this.news.address, this.news.bytes);
    this.news = null;
    if (this.unknown.size > 0) this.tell(pool);
    return pool;
  }

  /** Writes the workers a message: its length, that of what to forget, both lists, and the modules' bytes. */
  private tell(pool: ThreadPool): void {
    const modules = [...this.unknown];
    const words = this.forgotten.length + 4 * modules.length;
    const bytes = modules.reduce((sum, module) => sum + module.bytes.length, 4 * (2 + words));
    const address = this.heap.allocate(bytes, "the code of kernels");
    this.news = { address, bytes };
    const { buffer } = this.heap.memory;
    let at = address + 4 * (2 + words);
    const list = modules.flatMap(({ bytes, first, count }) => {
      new Uint8Array(buffer, at, bytes.length).set(bytes);
      at += bytes.length;
      return [at - bytes.length, bytes.length, first, count];
    });
    new Int32Array(buffer, address, 2 + words).set([
      words,
      this.forgotten.length,
      ...this.forgotten,
      ...list,
    ]);
    this.unknown.clear();
    this.forgotten = [];
    pool.tell(address);
  }

  /** A worker that was given up may still write: what it knows of is never used again. */
  private abandon(outputs: readonly WasmBuffer[]): void {
    for (const output of outputs) this.buffersGone.unregister(output);
    this.scratch = { address: 0, bytes: 0 };
    this.workspace = { address: 0, bytes: 0 };
    this.news = null;
  }

  private createOutputs(plan: Plan): WasmBuffer[] {
    const outputs: WasmBuffer[] = [];
    try {
      for (const number of plan.outputs) {
        const { dtype, size, name = `a ${dtype} tensor` } = plan.buffers[number]!;
        outputs.push(this.createBuffer(dtype, size, name));
      }
    } catch (error) {
      for (const output of outputs) output.dispose();
      throw error;
    }
    return outputs;
  }

  /** Writes each step's constants and buffer addresses where its function expects them. */
  private writeArguments(
    plan: Plan,
    block: number,
    addresses: Int32Array,
    constants: Float64Array,
  ): void {
    const { buffer } = this.heap.memory;
    const doubles = new Float64Array(buffer);
    const words = new Int32Array(buffer);
    let at = block / 8;
    for (const step of plan.steps) {
      for (const constant of step.constants) doubles[at++] = constants[constant]!;
    }
    at *= 2;
    for (const step of plan.steps) {
      for (const number of step.buffers) words[at++] = addresses[number]!;
    }
  }

  /** Makes sure that a block kept for all plans is large enough. */
  private reserve(name: "scratch" | "workspace", bytes: number, what: string): void {
    if (this[name].bytes >= bytes) return;
    this.give(name);
    const address = this.heap.allocate(bytes, what);
    this[name] = { address, bytes };
  }

  /** Gives such a block back. */
  private give(name: "scratch" | "workspace"): void {
    const { address, bytes } = this[name];
    if (bytes > 0) this.heap.release(address, bytes);
    this[name] = { address: 0, bytes: 0 };
  }

  private sort(step: Step, addresses: Int32Array): void {
    const { kernel } = step;
    if (kernel.kind !== "sort") throw new Error(`no function for a ${kernel.kind} kernel`);
    const { rows, length, dtype } = kernel;
    const [output, input] = step.buffers.map((number) => addresses[number]! >>> 0) as [
      number,
      number,
    ];
    const { buffer } = this.heap.memory;
    argsortRows(
      viewAs(dtype, buffer, input, rows * length),
      viewAs("int32", buffer, output, rows * length),
      rows,
      length,
    );
  }
}

/** Offsets, in a plan's block of arguments, of each step's constants and buffer addresses. */
class ArgumentLayout {
  readonly constants: readonly number[];
  readonly buffers: readonly number[];
  readonly bytes: number;

  constructor({ steps }: Plan) {
    let end = 0;
    const place = (bytes: number): number => {
      const at = end;
      end += bytes;
      return at;
    };
    // Constants first: they are 8 bytes each.
    this.constants = steps.map(({ constants }) => place(8 * constants.length));
    this.buffers = steps.map(({ buffers }) => place(4 * buffers.length));
    this.bytes = end;
  }
}

/** The temporaries of a plan, in words. */
function largestTemporary({ buffers }: Plan): string {
  const bytesOf = ({ size, dtype }: PlanBuffer): number => size * bytesPerElement(dtype);
  const temporaries = buffers.filter(({ role }) => role === "temporary");
  temporaries.sort((a, b) => bytesOf(b) - bytesOf(a));
  return `the memory for intermediate results, the largest of them ${temporaries[0]?.name},`;
}

/** Adds a kernel's functions to a module and returns the index of its entry. */
function addKernel(kernel: FunctionKernel, functions: FunctionBuilder[]): number {
  if (kernel.kind !== "matmul") return functions.push(buildLoop(kernel)) - 1;
  const epilogue =
    kernel.epilogue === null
      ? null
      : functions.push(buildLoop(kernel.epilogue, rowAxes(kernel))) - 1;
  const product = buildMatmul(kernel, { functionBase: functions.length, epilogue });
  functions.push(...product.functions);
  return product.entry;
}

/** Leading axes of a product's epilogue that make up its rows. */
function rowAxes({ batch, m, epilogue }: MatmulKernel): number {
  const rows = [...batch, ...m].reduce((product, size) => product * size, 1);
  let count = 0;
  for (let product = 1; product < rows; count++) product *= epilogue!.axes[count]!;
  return count;
}
