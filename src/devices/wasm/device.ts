/**
 * The WebAssembly device: generates a function for each kernel and runs a plan as a sequence of
 * calls. Buffers are blocks of one linear memory.
 * @module
 */

import { bytesPerElement, type DType, type TypedArray, viewAs } from "../../kernels/dtype.js";
import type { Kernel, MatmulKernel, Plan, Step } from "../../kernels/kernel.js";
import type { DeviceBuffer } from "../../tensor/runtime.js";
import { argsortRows } from "../argsort.js";
import type { Device, DeviceMemory, Executable } from "../device.js";
import { assemble, type FunctionBuilder } from "./assembler.js";
import { Heap, MAXIMUM_PAGES } from "./heap.js";
import { buildLoop, loopWorkItems } from "./loops.js";
import { buildMatmul, matmulWorkItems, matmulWorkspaceBytes } from "./matmul.js";

/** Compiled kernels kept; plans hold on to those they use. */
const KERNELS_KEPT = 4096;

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
    private readonly owner: WasmDevice,
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
    this.owner.releaseBuffer(this, this.place);
  }
}

/** What the registry needs to free the block of a collected buffer. */
interface Remains {
  readonly address: number;
  readonly bytes: number;
}

/** Creates the WebAssembly device. @throws where the engine lacks WebAssembly SIMD. */
export function createWasmDevice(): Device {
  return new WasmDevice();
}

class WasmDevice implements Device {
  readonly name = "wasm";
  private readonly heap = new Heap();
  private readonly kernels = new Map<string, KernelFunction>();
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

  upload(values: TypedArray, dtype: DType, what: string): DeviceBuffer {
    const buffer = this.createBuffer(dtype, values.length, what);
    this.view(buffer).set(values);
    return buffer;
  }

  async download(buffer: DeviceBuffer): Promise<TypedArray> {
    return this.view(buffer as WasmBuffer).slice();
  }

  owns(buffer: DeviceBuffer): boolean {
    return buffer instanceof WasmBuffer;
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
    for (const kernel of missing.values()) exports[`kernel${number++}`] = addKernel(kernel, functions);
    const bytes = assemble({
      memory: { shared: false, maximumPages: MAXIMUM_PAGES },
      functions,
      exports,
    });
    const module = await WebAssembly.compile(bytes);
    const instance = await WebAssembly.instantiate(module, { env: { memory: this.heap.memory } });
    number = 0;
    for (const key of missing.keys()) {
      this.kernels.set(key, instance.exports[`kernel${number++}`] as KernelFunction);
    }
  }

  /** Steps resolved to functions, and a block of memory for their arguments. */
  private executable(plan: Plan): Executable {
    const steps = plan.steps.map((step) => ({
      step,
      run: this.kernels.get(step.key) ?? null,
      items: workItems(step.kernel),
      workspaceBytes: step.kernel.kind === "matmul" ? matmulWorkspaceBytes(step.kernel) : 0,
    }));
    // Constants first: they are 8 bytes each.
    let bytes = 0;
    const constantOffsets = plan.steps.map(({ constants }) => {
      const offset = bytes;
      bytes += 8 * constants.length;
      return offset;
    });
    const bufferOffsets = plan.steps.map(({ buffers }) => {
      const offset = bytes;
      bytes += 4 * buffers.length;
      return offset;
    });
    const block = this.heap.allocate(bytes, "the arguments of a plan");
    const workspaceBytes = Math.max(0, ...steps.map((step) => step.workspaceBytes));
    const addresses = new Int32Array(plan.buffers.length);
    const executable: Executable = {
      run: (inputs, constants) => {
        this.reserve("scratch", plan.scratchBytes);
        this.reserve("workspace", workspaceBytes);
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
        steps.forEach(({ step, run, items }, i) => {
          const buffers = block + bufferOffsets[i]!;
          if (run) run(buffers, block + constantOffsets[i]!, 0, items, this.workspace.address);
          else this.sort(step, addresses);
        });
        return outputs;
      },
    };
    this.blocksGone.register(executable, { address: block, bytes });
    return executable;
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
    const [output, input] = step.buffers.map((number) => addresses[number]! >>> 0) as [number, number];
    const { buffer } = this.heap.memory;
    argsortRows(
      viewAs(dtype, buffer, input, rows * length),
      viewAs("int32", buffer, output, rows * length),
      rows,
      length,
    );
  }
}

function workItems(kernel: Kernel): number {
  if (kernel.kind === "matmul") return matmulWorkItems(kernel);
  return kernel.kind === "sort" ? 0 : loopWorkItems(kernel);
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
