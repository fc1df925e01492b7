/**
 * Evaluation: finds the graph behind the tensors, its plan in the cache or compiles it, and runs it
 * on the current device.
 * @module
 */

import { MemoryPressure } from "../devices/collect.js";
import { type Device, type Executable, OutOfMemoryError } from "../devices/device.js";
import { DTYPES, type TypedArray } from "../kernels/dtype.js";
import type {
  DebugOptions,
  DeviceBuffer,
  DeviceName,
  DeviceOptions,
  DeviceStatistics,
  Explanation,
  Runtime,
} from "../tensor/runtime.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { compile, type Graph } from "./compile.js";
import { explainPlan } from "./explain.js";
import { isGiven } from "./partition.js";

/** How to make each device. A device is loaded when it is first used. */
const DEVICES: Readonly<Record<DeviceName, (options: DeviceOptions) => Promise<Device>>> = {
  wasm: async () => (await import("../devices/wasm/device.js")).createWasmDevice(),
  gpu: async ({ backend }) => (await import("../devices/gpu/device.js")).createGpuDevice(backend),
  interpreter: async () =>
    (await import("../devices/interpreter/device.js")).createInterpreterDevice(),
};

/** Options of {@link DeviceOptions} each device takes. */
const OPTIONS: Readonly<Record<DeviceName, readonly string[]>> = {
  wasm: ["threads"],
  gpu: ["backend"],
  interpreter: [],
};

/** Plans kept per device; the least recently used goes first. */
const PLANS_KEPT = 512;

interface CachedPlan {
  readonly key: Int32Array;
  readonly executable: Executable;
}

interface LoadedDevice {
  readonly device: Device;
  /** By hash of the structure; the list holds structures that share a hash. */
  readonly plans: Map<number, CachedPlan[]>;
  readonly pressure: MemoryPressure;
}

/** Creates the runtime of {@link runtime}. */
export function createRuntime(): Runtime {
  return new Engine();
}

class Engine implements Runtime {
  private name: DeviceName = "wasm";
  /** Devices by name and back end. */
  private readonly devices = new Map<string, Promise<LoadedDevice>>();
  private active: LoadedDevice | null = null;
  private readonly structure = new Structure();
  private queue: Promise<unknown> = Promise.resolve();
  private plansCompiled = 0;
  private planCacheHits = 0;
  private checkFinite = false;

  async evaluate(tensors: readonly Tensor[]): Promise<void> {
    let accepted: Promise<void> | undefined;
    await this.exclusively(async () => {
      const loaded = await this.load();
      const { device } = loaded;
      await loaded.pressure.relieve();
      const distinct = [...new Set(tensors)];
      const missing = distinct.filter((t) => !isGiven(t));
      await this.withMemory(loaded, async () => {
        for (const t of distinct) if (isGiven(t)) await this.bring(t, device);
        if (missing.length > 0) await this.run(missing, loaded);
      });
      if (this.checkFinite && missing.length > 0) await this.traceNonFinite(missing, loaded);
      accepted = device.accepted?.();
    });
    // The next evaluation need not wait for it.
    await accepted;
  }

  async read(tensor: Tensor): Promise<TypedArray> {
    if (tensor.host) return tensor.host.slice();
    const loaded = await this.load();
    const { device } = loaded;
    return this.withMemory(loaded, async () => device.download(await this.bring(tensor, device)));
  }

  async explain(tensors: readonly Tensor[]): Promise<Explanation> {
    const { device } = await this.load();
    const graph = this.structure.capture([...new Set(tensors)].filter((t) => !isGiven(t)));
    return explainPlan(compile(graph, device.cheap), this.name);
  }

  async setDevice(name: DeviceName, options: DeviceOptions): Promise<void> {
    if (!Object.hasOwn(DEVICES, name)) {
      const known = Object.keys(DEVICES).join(", ");
      throw new RangeError(`setDevice: unknown device ${JSON.stringify(name)}; known: ${known}`);
    }
    const known = OPTIONS[name];
    for (const option of Object.keys(options)) {
      if (!known.includes(option)) {
        throw new RangeError(
          `setDevice: ${name} has no option ${JSON.stringify(option)}; known: ${known.join(", ") || "none"}`,
        );
      }
    }
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

  /** Does what takes memory, once more if there is none left: what fills it may be garbage. */
  private async withMemory<T>(
    { device, pressure }: LoadedDevice,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      await pressure.collect();
      device.trim?.();
      return work();
    }
  }

  /** Evaluations run one after the other. */
  private exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.queue.then(work);
    this.queue = result.catch(() => {});
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
    // Asked for by its back end or not, it is one device.
    if (name === "gpu") this.devices.set(`gpu ${backend}`, loading);
    if (backend === "webgpu") this.devices.set("gpu", loading);
    loaded.device.configure?.(options);
    return loaded;
  }

  /** The tensor's elements on the device, uploaded or moved there if need be. */
  private async bring(tensor: Tensor, device: Device): Promise<DeviceBuffer> {
    const { buffer, host } = tensor;
    if (buffer?.home === device) return buffer;
    const values = buffer ? await buffer.home.download(buffer) : host;
    if (!values) {
      throw new Error(
        `a tensor of shape ${formatShape(tensor.shape)} was used after dispose() gave its memory back`,
      );
    }
    tensor.buffer = await device.upload(values, tensor.dtype, String(tensor));
    tensor.host = null;
    return tensor.buffer;
  }

  private async run(outputs: readonly Tensor[], loaded: LoadedDevice): Promise<void> {
    const graph = this.structure.capture(outputs);
    const { hash } = this.structure;
    const { executable } =
      this.find(loaded, hash) ?? (await this.add(loaded, hash, this.structure.key(), graph));
    const buffers: DeviceBuffer[] = [];
    for (const input of graph.inputs) {
      const { buffer } = input;
      buffers.push(
        buffer?.home === loaded.device ? buffer : await this.bring(input, loaded.device),
      );
    }
    const constants = Float64Array.from(graph.constants, (node) => node.value);
    const results = await executable.run(buffers, constants);
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
    const cached = { key, executable: await device.prepare(compile(graph, device.cheap)) };
    this.plansCompiled++;
    plans.set(hash, [...(plans.get(hash) ?? []), cached]);
    if (plans.size > PLANS_KEPT) plans.delete(plans.keys().next().value!);
    return cached;
  }

  /** Throws the error {@link DebugOptions.checkFinite} promises. */
  private async traceNonFinite(outputs: readonly Tensor[], loaded: LoadedDevice): Promise<void> {
    const finite = async (node: Tensor): Promise<boolean> =>
      (await loaded.device.download(await this.bring(node, loaded.device))).every(Number.isFinite);
    let allFinite = true;
    for (const output of outputs) allFinite &&= await finite(output);
    if (allFinite) return;
    // The outputs are known now; look behind them, and leave nothing evaluated.
    for (const output of outputs) output.buffer = null;
    const evaluated: Tensor[] = [];
    try {
      const { nodes } = this.structure.capture(outputs);
      const isFiniteNode = new Map<Tensor, boolean>();
      for (const node of nodes) {
        if (node.primitive.lowering.kind === "constant") {
          isFiniteNode.set(node, Number.isFinite(node.value));
          continue;
        }
        const given = isGiven(node);
        if (!given) {
          await this.run([node], loaded);
          evaluated.push(node);
        }
        isFiniteNode.set(node, await finite(node));
        if (given || isFiniteNode.get(node)) continue;
        if (node.inputs.every((input) => isFiniteNode.get(input))) {
          const inputs = node.inputs.map((x) => `${x.dtype}${formatShape(x.shape)}`).join(", ");
          const where = node.stack?.split("\n").slice(2, 8).join("\n") ?? "";
          throw new Error(
            `${node.primitive.name}(${inputs}) made a value that is not finite from inputs that are\n${where}`,
          );
        }
      }
    } finally {
      for (const node of evaluated) {
        node.buffer?.dispose();
        node.buffer = null;
      }
    }
    throw new Error("an evaluated tensor is not finite, and so were the tensors it was made from");
  }
}

/**
 * The structure of a graph as a list of integers: operations, dtypes, shapes, attributes and
 * sharing, but neither the elements of its leaves nor the values of its constants.
 */
class Structure {
  hash = 0;
  private values = new Int32Array(4096);
  private length = 0;

  /** Lists the graph behind the outputs and records its structure. */
  capture(outputs: readonly Tensor[]): Graph {
    this.length = 0;
    const visit = nextVisit++;
    const nodes: Tensor[] = [];
    const inputs: Tensor[] = [];
    const constants: Tensor[] = [];
    const stack: Tensor[] = [];
    for (const output of outputs) {
      stack.push(output);
      while (stack.length > 0) {
        const node = stack[stack.length - 1]!;
        if (node.visit === visit) {
          stack.pop();
          continue;
        }
        const given = isGiven(node);
        let ready = true;
        if (!given) {
          for (let i = node.inputs.length - 1; i >= 0; i--) {
            const input = node.inputs[i]!;
            if (input.visit !== visit) {
              stack.push(input);
              ready = false;
            }
          }
        }
        if (!ready) continue;
        stack.pop();
        node.visit = visit;
        node.position = nodes.push(node) - 1;
        if (given) inputs.push(node);
        else if (node.primitive.lowering.kind === "constant") constants.push(node);
        this.record(node, given);
      }
    }
    this.push(-2);
    for (const output of outputs) this.push(output.position);
    this.hash = this.fold();
    return { nodes, outputs: [...outputs], inputs, constants };
  }

  /** A copy of the recorded structure. */
  key(): Int32Array {
    return this.values.slice(0, this.length);
  }

  /** Whether the recorded structure is the given one. */
  equals(key: Int32Array): boolean {
    if (key.length !== this.length) return false;
    for (let i = 0; i < key.length; i++) if (key[i] !== this.values[i]) return false;
    return true;
  }

  private record(node: Tensor, given: boolean): void {
    const { shape, attributes, inputs } = node;
    this.push(given ? -1 : node.primitive.id);
    this.push(DTYPES.indexOf(node.dtype));
    this.push(shape.length);
    for (const extent of shape) this.push(extent);
    if (given) return;
    this.push(attributes.length);
    for (const attribute of attributes) this.push(attribute);
    for (const input of inputs) this.push(input.position);
  }

  private push(value: number): void {
    if (this.length === this.values.length) {
      const larger = new Int32Array(2 * this.length);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = value;
  }

  /** FNV-1a over the recorded integers. */
  private fold(): number {
    let hash = 0x811c9dc5;
    for (let i = 0; i < this.length; i++) hash = Math.imul(hash ^ this.values[i]!, 0x01000193);
    return hash;
  }
}

/** Marks of graph traversals are never reused. */
let nextVisit = 1;
