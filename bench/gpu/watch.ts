/// <reference types="@webgpu/types" />
/**
 * What libraries ask WebGPU to do, seen from outside: its methods are wrapped, the libraries are not
 * changed. While something is timed, only what is rare is watched.
 */

/** A kernel as it was issued. */
export interface IssuedKernel {
  /** The shader's text. */
  readonly code: string;
  /** What the library calls it: the label of its bind group or pipeline. */
  readonly label: string;
  readonly workgroups: readonly number[];
  /** Bytes of the storage buffers it is bound to. */
  readonly bytes: number;
  /** Encodes it again. */
  encode(pass: GPUComputePassEncoder): void;
  readonly queue: GPUQueue;
  readonly device: GPUDevice;
}

/** What was asked for. */
export interface Counts {
  readonly kernels: number;
  readonly bindGroups: number;
  readonly buffers: number;
  readonly submissions: number;
  /** Bytes of the storage buffers that the kernels were bound to, each once per kernel. */
  readonly bytes: number;
}

const UNIFORM = 0x40;

const queues = new Set<GPUQueue>();
/** Bytes of the storage buffers of bind groups. */
const boundBytes = new WeakMap<GPUBindGroup, number>();
const codes = new WeakMap<GPUShaderModule | GPUComputePipeline, string>();
let devices = new WeakMap<GPUCommandEncoder | GPUCommandBuffer, GPUDevice>();
let bindGroups = 0;
let buffers = 0;
let submissions = 0;
let isWatching = false;

type Method = (this: unknown, ...values: never[]) => unknown;
type Methods = Record<string, Method>;

/** Wraps a method of one of WebGPU's classes; returns a function that takes the wrapper off. */
function wrap(type: string, name: string, make: (original: Method) => Method): () => void {
  const { prototype } = (globalThis as unknown as Record<string, { prototype: Methods }>)[type]!;
  const original = prototype[name]!;
  prototype[name] = make(original);
  return () => {
    prototype[name] = original;
  };
}

/** Has `seen` look at every call of a method and at what it gave. */
function watch<T, A extends unknown[], R>(
  type: string,
  name: string,
  seen: (self: T, values: A, given: R) => void,
): () => void {
  return wrap(
    type,
    name,
    (original) =>
      function (this: unknown, ...values) {
        const given = original.apply(this, values);
        seen(this as T, values as unknown as A, given as R);
        return given;
      },
  );
}

/** Begins to watch; `navigator.gpu` must be there. Kernels built before are not known. */
export function watchWebGpu(): void {
  if (isWatching) return;
  isWatching = true;
  watch<GPUQueue, [], void>("GPUQueue", "submit", (queue) => {
    queues.add(queue);
    submissions++;
  });
  watch<GPUDevice, [], GPUBuffer>("GPUDevice", "createBuffer", () => {
    buffers++;
  });
  watch<GPUDevice, [GPUBindGroupDescriptor], GPUBindGroup>(
    "GPUDevice",
    "createBindGroup",
    (_, [{ entries }], group) => {
      bindGroups++;
      const bound = new Map<GPUBuffer, number>();
      for (const { resource } of entries) {
        // A buffer may stand for itself.
        const {
          buffer,
          offset = 0,
          size,
        } = ("buffer" in resource ? resource : { buffer: resource }) as GPUBufferBinding;
        if (buffer.usage & UNIFORM) continue;
        bound.set(buffer, Math.max(bound.get(buffer) ?? 0, size ?? buffer.size - offset));
      }
      boundBytes.set(
        group,
        [...bound.values()].reduce((a, b) => a + b, 0),
      );
    },
  );
  watch<GPUDevice, [GPUShaderModuleDescriptor], GPUShaderModule>(
    "GPUDevice",
    "createShaderModule",
    (_, [{ code }], module) => codes.set(module, code),
  );
  const pipeline = (descriptor: GPUComputePipelineDescriptor, made: GPUComputePipeline): void => {
    codes.set(made, codes.get(descriptor.compute.module) ?? "");
  };
  watch<GPUDevice, [GPUComputePipelineDescriptor], GPUComputePipeline>(
    "GPUDevice",
    "createComputePipeline",
    (_, [descriptor], made) => pipeline(descriptor, made),
  );
  watch<GPUDevice, [GPUComputePipelineDescriptor], Promise<GPUComputePipeline>>(
    "GPUDevice",
    "createComputePipelineAsync",
    (_, [descriptor], making) => {
      making.then(
        (made) => pipeline(descriptor, made),
        () => {},
      );
    },
  );
}

/** Waits until the GPU has done all that was submitted. */
export async function settled(): Promise<void> {
  await Promise.all([...queues].map((queue) => queue.onSubmittedWorkDone()));
}

/** The kernels issued by some work, and what else it asked for. */
export async function record(
  work: () => Promise<unknown>,
): Promise<{ counts: Counts; kernels: readonly IssuedKernel[] }> {
  interface Pass {
    pipeline: GPUComputePipeline | null;
    readonly groups: Map<number, readonly [GPUBindGroup, ...unknown[]]>;
    readonly device: GPUDevice;
  }
  const kernels: IssuedKernel[] = [];
  const passes = new WeakMap<GPUComputePassEncoder, Pass>();
  devices = new WeakMap();
  const undo = [
    watch<GPUDevice, [], GPUCommandEncoder>(
      "GPUDevice",
      "createCommandEncoder",
      (device, _, made) => {
        devices.set(made, device);
      },
    ),
    watch<GPUCommandEncoder, [], GPUComputePassEncoder>(
      "GPUCommandEncoder",
      "beginComputePass",
      (encoder, _, pass) => {
        passes.set(pass, { pipeline: null, groups: new Map(), device: devices.get(encoder)! });
      },
    ),
    watch<GPUComputePassEncoder, [GPUComputePipeline], void>(
      "GPUComputePassEncoder",
      "setPipeline",
      (pass, [pipeline]) => {
        passes.get(pass)!.pipeline = pipeline;
      },
    ),
    watch<GPUComputePassEncoder, [number, GPUBindGroup, ...unknown[]], void>(
      "GPUComputePassEncoder",
      "setBindGroup",
      (pass, [at, ...group]) => {
        passes.get(pass)!.groups.set(at, group);
      },
    ),
    watch<GPUComputePassEncoder, number[], void>(
      "GPUComputePassEncoder",
      "dispatchWorkgroups",
      (pass, workgroups) => {
        const { pipeline, groups, device } = passes.get(pass)!;
        const bound = [...groups];
        let bytes = 0;
        for (const [, [group]] of bound) bytes += boundBytes.get(group) ?? 0;
        kernels.push({
          code: codes.get(pipeline!) ?? "",
          label: bound.find(([, [group]]) => group.label)?.[1][0].label ?? pipeline!.label,
          workgroups,
          bytes,
          device,
          queue: device.queue,
          encode: (again) => {
            again.setPipeline(pipeline!);
            for (const [at, group] of bound) {
              (again.setBindGroup as (...values: unknown[]) => void)(at, ...group);
            }
            again.dispatchWorkgroups(...(workgroups as [number]));
          },
        });
      },
    ),
  ];
  const before = { bindGroups, buffers, submissions };
  try {
    await work();
    await settled();
  } finally {
    for (const one of undo.reverse()) one();
  }
  const counts = {
    kernels: kernels.length,
    bindGroups: bindGroups - before.bindGroups,
    buffers: buffers - before.buffers,
    submissions: submissions - before.submissions,
    bytes: kernels.reduce((sum, { bytes }) => sum + bytes, 0),
  };
  return { counts, kernels };
}

/** Keeps buffers from being destroyed while some work goes on that uses old ones again. */
export async function withoutDestroying<T>(work: () => Promise<T>): Promise<T> {
  const destroyed: { self: unknown; destroy: Method }[] = [];
  const undo = wrap(
    "GPUBuffer",
    "destroy",
    (destroy) =>
      function (this: unknown) {
        destroyed.push({ self: this, destroy });
      },
  );
  try {
    return await work();
  } finally {
    undo();
    for (const { self, destroy } of destroyed) destroy.call(self);
  }
}

/** Milliseconds of some work's encoding (kernels, into command buffers) and submitting (command buffers). */
export async function encodingTime(
  work: () => Promise<unknown>,
): Promise<{ encodeMs: number; submitMs: number }> {
  let encodeMs = 0;
  let submitMs = 0;
  let begun = Number.NaN;
  let ended = Number.NaN;
  const undo = [
    watch("GPUDevice", "createCommandEncoder", () => {
      begun = performance.now();
    }),
    wrap(
      "GPUCommandEncoder",
      "finish",
      (original) =>
        function (this: unknown, ...values) {
          ended = performance.now();
          encodeMs += ended - begun;
          return original.apply(this, values);
        },
    ),
    watch("GPUQueue", "submit", () => {
      submitMs += performance.now() - ended;
    }),
  ];
  try {
    await work();
  } finally {
    for (const one of undo.reverse()) one();
  }
  return { encodeMs, submitMs };
}
