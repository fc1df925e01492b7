/**
 * The WebAssembly device: generates a function for each kernel and runs a plan as a sequence of
 * calls. Buffers are blocks of one linear memory.
 * @module
 */

import {
  bytesPerElement,
  type StorageType,
  type StoredArray,
  type TypedArray,
  viewAs,
} from "../../kernels/dtype.js";
import type { Plan, PlanBuffer, Step } from "../../kernels/kernel.js";
import { argsortRows } from "../argsort.js";
import type { ResidentHome } from "../buffer.js";
import {
  type Device,
  type DeviceBuffer,
  type DeviceLimits,
  type DeviceMemory,
  type DeviceOptions,
  type Executable,
  InterruptedError,
  overwrittenBy,
} from "../device.js";
import { PlanArguments } from "./arguments.js";
import { BANDS, type Call, callsOf } from "./bands.js";
import { Heap } from "./heap.js";
import { type CompiledKernel, Kernels } from "./kernels.js";
import { type Block, BufferMemory, KeptBlock, type WasmBuffer } from "./memory.js";
import { Messages } from "./messages.js";
import { availableThreads, ThreadPool } from "./threads.js";

/** Weight of a call ({@link Work.weight}) from which threads share it. */
const SHARED_CALL = 16384;
/** Weight of a plan's shared calls from which workers are woken for them. */
const SHARED_PLAN = 65536;

/** Creates the WebAssembly device. */
export function createWasmDevice(): Device {
  if (typeof WebAssembly === "undefined") {
    throw new Error('the wasm device needs WebAssembly; setDevice("interpreter") does without');
  }
  return new WasmDevice();
}

/** @internal */
export class WasmDevice implements Device, ResidentHome<Block> {
  readonly name = "wasm";
  readonly backend = "wasm";
  readonly recomputeLimit = 24;
  readonly canOverwrite = true;
  readonly spareBytes = 192e6;
  /** For tests: every call that can be divided is, and workers take part in each. */
  sharesAll = false;
  /** When steps are computed band by band. Tests lower the limits. */
  bands = BANDS;
  /** Calls of several steps in all prepared plans; for tests. */
  chains = 0;
  private readonly heap = new Heap(typeof SharedArrayBuffer !== "undefined");
  private readonly buffers = new BufferMemory(this.heap, this);
  private readonly scratch = new KeptBlock(this.heap);
  private readonly workspace = new KeptBlock(this.heap);
  private readonly messages = new Messages(this.heap);
  private readonly kernels = new Kernels(this.heap, (first, count) => {
    if (this.pool) this.messages.forget(first, count);
  });
  private readonly plansGone = new FinalizationRegistry<Block>(({ address, bytes }) => {
    this.heap.release(address, bytes);
  });
  private threads = 1;
  private pool: ThreadPool | null = null;

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
      this.messages.forgetNothing();
    }
  }

  create(dtype: StorageType, size: number, what: string): DeviceBuffer {
    return this.buffers.create(dtype, size, what);
  }

  write(buffer: DeviceBuffer, from: number, values: StoredArray): void {
    this.view(buffer).set(values, from);
  }

  get limits(): DeviceLimits {
    return { tensor: this.heap.most, total: this.heap.most };
  }

  view(buffer: DeviceBuffer): StoredArray {
    return this.buffers.view(buffer as WasmBuffer);
  }

  async download(buffer: DeviceBuffer): Promise<StoredArray> {
    return this.view(buffer).slice();
  }

  peek(buffer: DeviceBuffer): TypedArray | undefined {
    const elements = this.view(buffer);
    return elements instanceof Uint16Array ? undefined : elements;
  }

  release(buffer: WasmBuffer, block: Block): void {
    this.buffers.release(buffer, block);
  }

  /** Shares of calls that workers took; for tests. */
  get helped(): number {
    return this.pool?.helped ?? 0;
  }

  memory(): DeviceMemory {
    const { bytes, buffers } = this.buffers;
    return { bytes, buffers, scratchBytes: this.scratch.bytes + this.workspace.bytes };
  }

  trim(): void {
    this.scratch.release();
    this.workspace.release();
  }

  async prepare(plan: Plan): Promise<Executable> {
    const calls = callsOf(plan, this.bands);
    for (const { kernel } of calls) if (kernel.kind === "chain") this.chains++;
    const missing = this.kernels.missing(calls, this.sharesAll ? 0 : SHARED_CALL / 4);
    // Workers start while the kernels are compiled.
    if (missing.some(({ work }) => work.weight >= SHARED_PLAN)) this.startThreads();
    await this.kernels.compile(missing);
    return this.executable(plan, calls);
  }

  private startThreads(): ThreadPool | null {
    if (this.threads > 1) this.pool ??= new ThreadPool(this.heap.memory, this.threads);
    return this.pool;
  }

  /** Calls resolved to functions, and a block of memory for their arguments. */
  private executable(plan: Plan, calls: readonly Call[]): Executable {
    const kernels = calls.map(({ key }) => this.kernels.get(key));
    const shared = this.worthSharing(kernels);
    let workspaceBytes = 0;
    for (const k of kernels) workspaceBytes = Math.max(workspaceBytes, k?.work.workspaceBytes ?? 0);
    const largest = largestTemporary(plan);
    const overwritten = overwrittenBy(plan);
    const block = new PlanArguments(plan, this.heap);
    const addresses = new Int32Array(plan.buffers.length);
    const executable: Executable = {
      run: (inputs, constants) => {
        const pool = shared.size > 0 ? this.helpers(shared) : null;
        this.scratch.reserve(plan.scratchBytes, largest);
        this.workspace.reserve(workspaceBytes * (pool?.threads ?? 1), "packed matrices");
        const outputs = this.createOutputs(plan, inputs as readonly WasmBuffer[]);
        plan.buffers.forEach(({ offset }, i) => {
          addresses[i] = this.scratch.address + offset;
        });
        plan.inputs.forEach((buffer, i) => {
          addresses[buffer] = (inputs[i] as WasmBuffer).held.address;
        });
        plan.outputs.forEach((buffer, i) => {
          addresses[buffer] = outputs[i]!.held.address;
        });
        block.write(addresses, constants);
        const workspace = this.workspace.address;
        try {
          kernels.forEach((kernel, i) => {
            const { first } = calls[i]!;
            if (!kernel) {
              this.sort(plan.steps[first]!, addresses);
              return;
            }
            const { run, finish, number, work } = kernel;
            const [buffers, values] = [block.buffers[first]!, block.constants[first]!];
            if (pool && shared.has(kernel)) {
              const own = { workspace, workspaceBytes: finish ? 0 : workspaceBytes };
              pool.share({ kernel: number, buffers, constants: values, ...work, ...own }, run);
            } else run(buffers, values, 0, work.items, workspace);
            finish?.(buffers, values, workspace);
          });
        } catch (error) {
          const lost = [...outputs, ...overwritten.map((i) => inputs[i] as WasmBuffer)];
          if (pool?.lost) this.abandon(lost);
          else for (const buffer of lost) buffer.dispose();
          if (overwritten.length === 0) throw error;
          throw new InterruptedError((error as Error).message, { cause: error });
        }
        return outputs;
      },
    };
    const { address, bytes } = block;
    this.plansGone.register(executable, { address, bytes });
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
    for (const { module } of kernels) this.messages.add(module, pool);
    if (this.sharesAll) {
      pool.waitsForHelp = true;
      pool.waitUntil(() => pool.isRead);
    }
    this.messages.send(pool);
    return pool;
  }

  /** A worker that was given up may still write: what it knows of is never used again. */
  private abandon(outputs: readonly WasmBuffer[]): void {
    this.buffers.abandon(outputs);
    this.scratch.abandon();
    this.workspace.abandon();
    this.messages.abandon();
  }

  private createOutputs(plan: Plan, inputs: readonly WasmBuffer[]): WasmBuffer[] {
    const created: WasmBuffer[] = [];
    try {
      return plan.outputs.map((number) => {
        const { dtype, size, role, name = `a ${dtype} tensor` } = plan.buffers[number]!;
        if (role === "input") return inputs[plan.inputs.indexOf(number)]!;
        const output = this.buffers.create(dtype, size, name);
        created.push(output);
        return output;
      });
    } catch (error) {
      for (const output of created) output.dispose();
      throw error;
    }
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

/** The temporaries of a plan, in words. */
function largestTemporary({ buffers }: Plan): string {
  const bytesOf = ({ size, dtype }: PlanBuffer): number => size * bytesPerElement(dtype);
  const temporaries = buffers.filter(({ role }) => role === "temporary");
  temporaries.sort((a, b) => bytesOf(b) - bytesOf(a));
  return `the memory for intermediate results, the largest of them ${temporaries[0]?.name},`;
}
