/**
 * The WebAssembly device: generates a function for each kernel and runs a plan as a sequence of
 * calls. Buffers are blocks of one linear memory.
 * @module
 */

import { bytesPerElement, type DType, type TypedArray, viewAs } from "../../kernels/dtype.js";
import type { Kernel, MatmulKernel, Plan, Step } from "../../kernels/kernel.js";
import { argsortRows } from "../argsort.js";
import type { Device, DeviceBuffer, DeviceMemory, Executable } from "../device.js";
import { assemble, type FunctionBuilder } from "./assembler.js";
import { Heap, MAXIMUM_PAGES } from "./heap.js";
import { buildLoop } from "./loops.js";
import { buildMatmul, matmulWorkspaceBytes } from "./matmul.js";
import { type Call, divide, EVERYONE } from "./program.js";
import { availableThreads, CALL_FIELDS, type KernelModule, ThreadPool } from "./threads.js";

/** Compiled kernels kept; plans hold on to those they use. */
const KERNELS_KEPT = 4096;

/** Modules kept for workers that were not started yet. */
const MODULES_KEPT = 256;

/** A kernel's function and its number, by which the workers know it. */
interface CompiledKernel {
  readonly run: KernelFunction;
  readonly number: number;
}

/** A compiled kernel: runs work items `begin … end`. */
type KernelFunction = (
  buffers: number,
  constants: number,
  begin: number,
  end: number,
  workspace: number,
) => void;

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

/** A module the workers have yet to be given, with its bytes. */
interface OwnModule extends KernelModule {
  readonly bytes: Uint8Array;
}

/**
 * Creates the WebAssembly device.
 * @param threads Threads to compute with, the calling one included; default: as many as the machine runs at once.
 */
export function createWasmDevice(threads: number = availableThreads()): Device {
  if (!Number.isInteger(threads) || threads < 1) {
    throw new RangeError(`setDevice: threads must be an integer ≥ 1, got ${threads}`);
  }
  if (typeof WebAssembly === "undefined") {
    throw new Error('the wasm device needs WebAssembly; setDevice("interpreter") does without');
  }
  if (threads > 1 && typeof SharedArrayBuffer === "undefined") {
    throw new Error(
      "setDevice: several threads need shared memory, which a browser gives to cross-origin isolated pages only",
    );
  }
  return new WasmDevice(threads);
}

class WasmDevice implements Device {
  readonly name = "wasm";
  private readonly heap: Heap;
  private readonly pool: ThreadPool | null;
  private readonly kernels = new Map<string, CompiledKernel>();
  private kernelCount = 0;
  /** Modules compiled since the workers were started and not yet given to them; all of them before that. */
  private modules: OwnModule[] = [];
  private poolStarted = false;
  private readonly buffersGone = new FinalizationRegistry<Remains>((remains) => {
    this.forget(remains);
  });
  private readonly blocksGone = new FinalizationRegistry<Remains>(({ address, bytes }) => {
    this.heap.release(address, bytes);
  });
  private bytes = 0;
  private buffers = 0;
  private scratch = { address: 0, bytes: 0 };
  private workspace = { address: 0, bytes: 0 };

  constructor(threads: number) {
    this.heap = new Heap(threads > 1);
    this.pool = threads > 1 ? new ThreadPool(this.heap.memory, threads) : null;
  }

  upload(values: TypedArray, dtype: DType, what: string): DeviceBuffer {
    const buffer = this.createBuffer(dtype, values.length, what);
    this.view(buffer).set(values);
    return buffer;
  }

  async download(buffer: DeviceBuffer): Promise<TypedArray> {
    return this.view(buffer as WasmBuffer).slice();
  }

  memory(): DeviceMemory {
    const scratchBytes = this.scratch.bytes + this.workspace.bytes;
    return { bytes: this.bytes, buffers: this.buffers, scratchBytes };
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
    const missing = new Map<string, Kernel>();
    for (const { key, kernel } of steps) {
      if (kernel.kind !== "sort" && !this.kernels.has(key)) missing.set(key, kernel);
    }
    if (missing.size === 0) return;
    const functions: FunctionBuilder[] = [];
    const exports: Record<string, number> = {};
    let number = 0;
    for (const kernel of missing.values())
      exports[`kernel${number++}`] = addKernel(kernel, functions);
    const bytes = assemble({
      memory: { shared: this.heap.shared, maximumPages: MAXIMUM_PAGES },
      functions,
      exports,
    });
    const module = await WebAssembly.compile(bytes);
    const instance = await WebAssembly.instantiate(module, { env: { memory: this.heap.memory } });
    const first = this.kernelCount;
    for (const key of missing.keys()) {
      const run = instance.exports[`kernel${this.kernelCount - first}`] as KernelFunction;
      this.kernels.set(key, { run, number: this.kernelCount++ });
    }
    if (!this.pool || this.pool.stopped) return;
    this.modules.push({ module, bytes, first, count: this.kernelCount - first });
    // The workers keep them from then on.
    if (this.modules.length > MODULES_KEPT) this.startThreads();
  }

  /** Steps resolved to functions, and a block of memory for the program and its arguments. */
  private executable(plan: Plan): Executable {
    const calls = divide(plan);
    const kernels = calls.map(({ step }) => this.kernels.get(step.key) ?? null);
    const isShared = calls.some(({ owner }) => owner === EVERYONE);
    if (isShared) this.startThreads();
    const layout = new ArgumentLayout(plan);
    const block = this.heap.allocate(layout.bytes, "the arguments of a plan");
    this.writeProgram(calls, kernels, block, layout);
    const workspaceBytes = Math.max(
      0,
      ...plan.steps.map(({ kernel }) =>
        kernel.kind === "matmul" ? roundUp(matmulWorkspaceBytes(kernel)) : 0,
      ),
    );
    const addresses = new Int32Array(plan.buffers.length);
    const executable: Executable = {
      run: (inputs, constants) => {
        const threads = isShared ? (this.pool?.size ?? 1) : 1;
        if (threads > 1) this.loadModules(this.pool!);
        this.reserve("scratch", plan.scratchBytes);
        this.reserve("workspace", workspaceBytes * threads);
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
        const own = (): void => {
          calls.forEach(({ step, items, owner, barrier }, i) => {
            if (barrier && threads > 1) this.pool!.meet();
            const kernel = kernels[i];
            if (owner !== EVERYONE && owner % threads !== 0) return;
            const end = owner === EVERYONE ? Math.floor(items / threads) : items;
            const buffers = block + layout.buffers[i]!;
            const values = block + layout.constants[i]!;
            if (kernel) kernel.run(buffers, values, 0, end, this.workspace.address);
            else this.sort(step, addresses);
          });
        };
        const program = { address: block + layout.program, calls: calls.length };
        const workspace = { address: this.workspace.address, bytes: workspaceBytes };
        try {
          if (threads > 1) this.pool!.run(program, workspace, own);
          else own();
        } catch (error) {
          for (const output of outputs) output.dispose();
          throw error;
        }
        return outputs;
      },
    };
    this.blocksGone.register(executable, { address: block, bytes: layout.bytes });
    return executable;
  }

  private startThreads(): void {
    if (this.poolStarted || !this.pool) return;
    this.poolStarted = true;
    this.pool.start(this.modules.map(({ module, first, count }) => ({ module, first, count })));
    this.modules = [];
  }

  /** Gives the workers what was compiled since they were started. */
  private loadModules(pool: ThreadPool): void {
    for (const { bytes, first, count } of this.modules) {
      const address = this.heap.allocate(bytes.length, "the code of kernels");
      new Uint8Array(this.heap.memory.buffer, address, bytes.length).set(bytes);
      pool.load(address, bytes.length, first, count);
      this.heap.release(address, bytes.length);
    }
    this.modules = [];
  }

  /** Writes the calls as the workers read them. */
  private writeProgram(
    calls: readonly Call[],
    kernels: readonly (CompiledKernel | null)[],
    block: number,
    layout: ArgumentLayout,
  ): void {
    const words = new Int32Array(this.heap.memory.buffer, block + layout.program);
    calls.forEach(({ items, owner, barrier }, i) => {
      const number = kernels[i]?.number ?? 0;
      const [buffers, constants] = [block + layout.buffers[i]!, block + layout.constants[i]!];
      words.set([number, buffers, constants, items, owner, Number(barrier)], i * CALL_FIELDS);
    });
  }

  private createOutputs(plan: Plan): WasmBuffer[] {
    const outputs: WasmBuffer[] = [];
    try {
      for (const number of plan.outputs) {
        const { dtype, size } = plan.buffers[number]!;
        outputs.push(this.createBuffer(dtype, size, `a ${dtype} tensor of ${size} elements`));
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
  private reserve(name: "scratch" | "workspace", bytes: number): void {
    const held = this[name];
    if (held.bytes >= bytes) return;
    if (held.bytes > 0) this.heap.release(held.address, held.bytes);
    this[name] = { address: 0, bytes: 0 };
    const address = this.heap.allocate(bytes, `the ${name} memory of a plan`);
    this[name] = { address, bytes };
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

/** Offsets, in a plan's block of arguments, of each step's constants and buffer addresses and of the program. */
class ArgumentLayout {
  readonly constants: readonly number[];
  readonly buffers: readonly number[];
  readonly program: number;
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
    this.program = place(4 * CALL_FIELDS * steps.length);
    this.bytes = end;
  }
}

/** Workspaces start at multiples of 64 bytes. */
function roundUp(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

/** Adds a kernel's functions to a module and returns the index of its entry. */
function addKernel(kernel: Kernel, functions: FunctionBuilder[]): number {
  if (kernel.kind === "sort") throw new Error("sorts have no function");
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
