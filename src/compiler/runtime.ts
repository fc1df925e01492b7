/**
 * Evaluation: finds the graph behind the tensors, its plan in the cache or compiles it, and runs it
 * on the current device.
 * @module
 */

import { checkOptions, describeValue } from "../checks.js";
import {
  type Device,
  type DeviceLimits,
  type Executable,
  InterruptedError,
  OutOfMemoryError,
} from "../devices/device.js";
import {
  bytesPerElement,
  type StorageType,
  type TypedArray,
  viewAs,
  widened,
} from "../kernels/dtype.js";
import { GIVEN_UP } from "../tensor/primitive.js";
import type {
  DebugOptions,
  DeviceBuffer,
  DeviceName,
  DeviceOptions,
  DeviceStatistics,
  Explanation,
  Fill,
  Recording,
  Runtime,
} from "../tensor/runtime.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { compile } from "./compile.js";
import { explainPlan } from "./explain.js";
import { GrowthWatch } from "./growth.js";
import { MemoryPressure } from "./memoryPressure.js";
import { traceNonFinite } from "./nonFinite.js";
import { isGiven } from "./partition.js";
import { print } from "./print.js";
import { type Graph, Structure } from "./structure.js";

/** How to make each device. A device is loaded when it is first used. */
const DEVICES: Readonly<Record<DeviceName, (options: DeviceOptions) => Promise<Device>>> = {
  wasm: async () => (await import("../devices/wasm/device.js")).createWasmDevice(),
  gpu: async ({ backend }) => (await import("../devices/gpu/device.js")).createGpuDevice(backend),
  interpreter: async () =>
    (await import("../devices/interpreter/device.js")).createInterpreterDevice(),
};

/** The {@link DeviceOptions} that each device takes. */
const OPTIONS: Readonly<Record<DeviceName, readonly (keyof DeviceOptions)[]>> = {
  wasm: ["threads"],
  gpu: ["backend"],
  interpreter: [],
};

/** Other libraries' names for what a device computes with. */
const MEANT: Readonly<Record<string, DeviceName>> = {
  cpu: "wasm",
  webassembly: "wasm",
  cuda: "gpu",
  webgpu: "gpu",
  webgl: "gpu",
  mps: "gpu",
};

/** Plans kept per device; the least recently used goes first. */
const PLANS_KEPT = 512;

interface CachedPlan {
  readonly key: Int32Array;
  readonly executable: Executable;
}

/** A plan with what it is run on. */
interface Planned {
  readonly executable: Executable;
  readonly inputs: readonly Tensor[];
  readonly constants: Float64Array;
}

/** A plan that is run again on other tensors. */
interface PlanRecording extends Omit<Planned, "inputs"> {
  readonly device: Device;
  /** The plan's: a tensor that stays, or a place among the tensors that each run has of its own. */
  readonly inputs: readonly (Tensor | number)[];
}

interface LoadedDevice {
  readonly device: Device;
  /** By hash of the structure; the list holds structures that share a hash. */
  readonly plans: Map<number, CachedPlan[]>;
  readonly pressure: MemoryPressure;
}

/** Tensors that are given up, each once. A result stays, even if it was named among them. */
function withoutResults(givenUp: readonly Tensor[], results: readonly Tensor[]): Tensor[] {
  if (givenUp.length === 0) return [];
  const ending = new Set(givenUp);
  for (const result of results) ending.delete(result);
  return [...ending];
}

/** Takes tensors' memory from them, and gives back what no result has now. */
function giveUp(tensors: readonly Tensor[], results: readonly Tensor[]): void {
  if (tensors.length === 0) return;
  const kept = new Set(results.map(({ buffer }) => buffer));
  for (const t of tensors) {
    if (kept.has(t.buffer)) t.buffer = null;
    t.dispose();
    t.primitive = GIVEN_UP;
  }
}

/** Creates the runtime of {@link runtime}. */
export function createRuntime(): Runtime {
  return new Engine();
}

class Engine implements Runtime {
  readonly print = print;
  private name: DeviceName = "wasm";
  /** Devices by name and back end. */
  private readonly devices = new Map<string, Promise<LoadedDevice>>();
  private active: LoadedDevice | null = null;
  private readonly structure = new Structure();
  private readonly growth = new GrowthWatch();
  private queue: Promise<unknown> = Promise.resolve();
  private plansCompiled = 0;
  private planCacheHits = 0;
  private checkFinite = false;

  async evaluate(tensors: readonly Tensor[], givenUp: readonly Tensor[] = []): Promise<void> {
    const { accepted } = await this.exclusively(() => this.compute(tensors, givenUp));
    // Outside the queue, so that the next evaluation starts meanwhile.
    await accepted;
  }

  async record(
    tensors: readonly Tensor[],
    own: readonly Tensor[],
    givenUp: readonly Tensor[],
  ): Promise<Recording | null> {
    const canRepeat = own.every(isGiven) && !tensors.some(isGiven) && !this.checkFinite;
    const { loaded, accepted, planned } = await this.exclusively(() =>
      this.compute(tensors, givenUp),
    );
    await accepted;
    if (!canRepeat || !planned) return null;
    const places = new Map(own.map((t, place) => [t, place]));
    const inputs = planned.inputs.map((t) => places.get(t) ?? t);
    const recording: PlanRecording = { ...planned, device: loaded.device, inputs };
    return recording;
  }

  async replay(
    recording: Recording,
    tensors: readonly Tensor[],
    own: readonly Tensor[],
    givenUp: readonly Tensor[],
  ): Promise<boolean> {
    const { device, executable, constants, inputs } = recording as PlanRecording;
    if (!own.every(isGiven) || this.checkFinite) return false;
    const { isDone, accepted } = await this.exclusively(async () => {
      const loaded = await this.load();
      if (loaded.device !== device) return { isDone: false, accepted: undefined };
      await loaded.pressure.relieve();
      const planned = {
        executable,
        constants,
        inputs: inputs.map((input) => (typeof input === "number" ? own[input]! : input)),
      };
      await this.withMemory(loaded, () => this.execute(planned, tensors, loaded, givenUp));
      this.planCacheHits++;
      giveUp(givenUp, tensors);
      return { isDone: true, accepted: device.accepted?.() };
    });
    await accepted;
    return isDone;
  }

  async read(tensor: Tensor): Promise<TypedArray> {
    // The next evaluation may overwrite the elements, so the device is asked for a copy before.
    const issue = () =>
      this.exclusively(async () => {
        const { loaded, accepted } = await this.compute([tensor]);
        return { loaded, copy: Promise.all([loaded.device.download(tensor.buffer!), accepted]) };
      });
    const { loaded, copy } = await issue();
    const [elements] = await this.withMemory(
      loaded,
      () => copy,
      async () => (await issue()).copy,
    );
    return widened(elements);
  }

  async fill(tensor: Tensor, storage: StorageType, fill: Fill): Promise<void> {
    const loaded = await this.load();
    await loaded.pressure.relieve();
    await this.withMemory(loaded, () => this.write(tensor, loaded.device, storage, fill));
  }

  async limits(): Promise<DeviceLimits> {
    const { device } = await this.load();
    const none = Number.POSITIVE_INFINITY;
    return device.limits ?? { tensor: none, total: none };
  }

  async explain(tensors: readonly Tensor[], givenUp: readonly Tensor[]): Promise<Explanation> {
    const { device } = await this.load();
    const distinct = [...new Set(tensors)];
    const spare = withoutResults(givenUp, distinct).filter(isGiven);
    const missing = distinct.filter((t) => !isGiven(t));
    const graph = this.structure.capture(missing, spare, device);
    return explainPlan(compile(graph, device), this.name);
  }

  async setDevice(name: DeviceName, options: DeviceOptions): Promise<void> {
    if (!Object.hasOwn(DEVICES, name)) {
      const meant: DeviceName | undefined = MEANT[String(name).toLowerCase()];
      const hint = meant ? `did you mean "${meant}"?` : "known:";
      throw new RangeError(
        `setDevice: unknown device ${describeValue(name)}; ${hint} ${Object.keys(DEVICES).join(", ")}`,
      );
    }
    checkOptions(`setDevice: ${name}`, options, ...OPTIONS[name]);
    await this.exclusively(async () => {
      this.active = await this.loadNamed(name, options);
      this.name = name;
    });
  }

  currentDevice(): DeviceName {
    return this.name;
  }

  statistics(): DeviceStatistics {
    const memory = this.active?.device.memory() ?? { bytes: 0, buffers: 0, scratchBytes: 0 };
    const { plansCompiled, planCacheHits } = this;
    const backend = this.active?.device.backend ?? "wasm";
    return { device: this.name, backend, ...memory, plansCompiled, planCacheHits };
  }

  setDebug(options: DebugOptions): void {
    this.checkFinite = options.checkFinite ?? false;
  }

  /**
   * Gives tensors their elements, while no other evaluation runs. `accepted` settles when the device has accepted
   * the work.
   */
  private async compute(
    tensors: readonly Tensor[],
    givenUp: readonly Tensor[] = [],
  ): Promise<{
    loaded: LoadedDevice;
    accepted: Promise<void> | undefined;
    planned: Planned | null;
  }> {
    let planned: Planned | null = null;
    const loaded = await this.load();
    const { device } = loaded;
    await loaded.pressure.relieve();
    const distinct = [...new Set(tensors)];
    const missing = distinct.filter((t) => !isGiven(t));
    const ending = withoutResults(givenUp, distinct);
    // What is not finite is looked for in what it was made of.
    const spare = this.checkFinite ? [] : ending.filter(isGiven);
    await this.withMemory(loaded, async () => {
      for (const t of distinct) if (isGiven(t)) await this.bring(t, device);
      if (missing.length > 0) planned = await this.run(missing, loaded, spare);
    });
    if (this.checkFinite && missing.length > 0) {
      await traceNonFinite(missing, {
        nodesBehind: (outputs) => this.structure.capture(outputs).nodes,
        run: async (node) => {
          await this.run([node], loaded);
        },
        elements: async (node) => widened(await device.download(await this.bring(node, device))),
      });
    }
    giveUp(ending, distinct);
    return { loaded, accepted: device.accepted?.(), planned };
  }

  /** Does work that takes memory. If memory runs out, collects garbage and tries once more. */
  private async withMemory<T>(
    { device, pressure }: LoadedDevice,
    work: () => Promise<T>,
    again = work,
  ): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      await pressure.collect();
      device.trim?.();
      return again();
    }
  }

  /** Evaluations run one after the other. */
  private exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.queue.then(work);
    // The queue keeps neither results nor errors alive.
    this.queue = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  private async load(): Promise<LoadedDevice> {
    this.active ??= await this.loadNamed(this.name, {});
    return this.active;
  }

  private async loadNamed(name: DeviceName, options: DeviceOptions): Promise<LoadedDevice> {
    const key = options.backend ? `${name} ${options.backend}` : name;
    let loading = this.devices.get(key);
    if ((await loading)?.device.failure) loading = undefined;
    if (!loading) {
      loading = DEVICES[name](options).then((device) => ({
        device,
        plans: new Map(),
        pressure: new MemoryPressure(device),
      }));
      this.devices.set(key, loading);
      loading.catch(() => this.devices.delete(key));
    }
    const loaded = await loading;
    const { backend } = loaded.device;
    // The device is the same whether its back end was named or not.
    if (name === "gpu") this.devices.set(`gpu ${backend}`, loading);
    if (backend === "webgpu") this.devices.set("gpu", loading);
    loaded.device.configure?.(options);
    return loaded;
  }

  /** The tensor's elements on the device. Uploads them, or moves them from another device, if need be. */
  private async bring(tensor: Tensor, device: Device): Promise<DeviceBuffer> {
    const { buffer, host, dtype, shape } = tensor;
    if (buffer?.home === device) return buffer;
    const values = buffer ? await buffer.home.download(buffer) : host;
    if (!values) {
      const what = `a ${dtype} tensor of shape ${formatShape(shape)} was used after`;
      throw new Error(
        tensor.primitive === GIVEN_UP
          ? `${what} it was given up in realizeInto: use the result that replaces it, or do not give it up`
          : `${what} dispose() gave its memory back`,
      );
    }
    return this.write(tensor, device, tensor.storage, (own) => own.write(0, values));
  }

  /** Makes the tensor's buffer and has it written. */
  private async write(
    tensor: Tensor,
    device: Device,
    storage: StorageType,
    fill: Fill,
  ): Promise<DeviceBuffer> {
    const { size } = tensor;
    const what = `Tensor ${storage}${formatShape(tensor.shape)}`;
    const buffer = await device.create(storage, size, what);
    try {
      await fill({
        write: async (from, values) => device.write(buffer, from, values, what),
        place: async (from, length, put) => {
          const own = device.view?.(buffer);
          if (own) {
            put(own.subarray(from, from + length));
            return;
          }
          const bytes = new ArrayBuffer(length * bytesPerElement(storage));
          const values = viewAs(storage, bytes, 0, length);
          put(values);
          await device.write(buffer, from, values, what);
        },
      });
    } catch (error) {
      buffer.dispose();
      throw error;
    }
    tensor.buffer = buffer;
    tensor.host = null;
    return buffer;
  }

  /** Computes the outputs, perhaps in memory of the `spare` tensors. */
  private async run(
    outputs: readonly Tensor[],
    loaded: LoadedDevice,
    spare: readonly Tensor[] = [],
  ): Promise<Planned> {
    const graph = this.structure.capture(outputs, spare, loaded.device);
    const { hash } = this.structure;
    const found = this.find(loaded, hash);
    this.growth.see(graph.nodes.length, !found && this.structure.repeated > 0);
    const { executable } = found ?? (await this.add(loaded, hash, this.structure.key(), graph));
    const constants = new Float64Array(graph.constants.length);
    graph.constants.forEach((node, i) => {
      constants[i] = node._element;
    });
    const planned = { executable, inputs: graph.inputs, constants };
    await this.execute(planned, outputs, loaded, spare);
    return planned;
  }

  /** Runs a plan for the outputs. */
  private async execute(
    { executable, inputs, constants }: Planned,
    outputs: readonly Tensor[],
    loaded: LoadedDevice,
    spare: readonly Tensor[],
  ): Promise<void> {
    const buffers: DeviceBuffer[] = [];
    for (const input of inputs) {
      const { buffer } = input;
      buffers.push(
        buffer?.home === loaded.device ? buffer : await this.bring(input, loaded.device),
      );
    }
    let results: readonly DeviceBuffer[];
    try {
      results = await executable.run(buffers, constants);
    } catch (error) {
      if (!(error instanceof InterruptedError)) throw error;
      giveUp(spare, []);
      throw new Error(
        `${error.message}. It had begun to overwrite what was given up in realizeInto: these tensors are lost`,
        { cause: error.cause },
      );
    }
    results.forEach((buffer, i) => {
      outputs[i]!.buffer = buffer;
    });
  }

  private find({ plans }: LoadedDevice, hash: number): CachedPlan | undefined {
    const candidates = plans.get(hash);
    const found = candidates?.find(({ key }) => this.structure.equals(key));
    if (!candidates || !found) return undefined;
    this.planCacheHits++;
    // Most recently used last.
    plans.delete(hash);
    plans.set(hash, candidates);
    return found;
  }

  private async add(
    { device, plans }: LoadedDevice,
    hash: number,
    key: Int32Array,
    graph: Graph,
  ): Promise<CachedPlan> {
    const cached = { key, executable: await device.prepare(compile(graph, device)) };
    this.plansCompiled++;
    plans.set(hash, [...(plans.get(hash) ?? []), cached]);
    if (plans.size > PLANS_KEPT) plans.delete(plans.keys().next().value!);
    return cached;
  }
}
