/**
 * gpu.js, and the parts of it that the devices use. It is loaded when the GPU is first used. Its version is
 * pinned, because the WebGPU device reads undocumented fields of its kernels.
 * @module
 */
/// <reference types="@webgpu/types" />
/// <reference path="./gpujsModule.d.ts" />

import type { ShaderFunction } from "./shaders/functions.js";

/** Settings of a kernel. */
export interface KernelSettings {
  readonly output: readonly number[];
  readonly pipeline: true;
  readonly dynamicArguments?: boolean;
  readonly functions: readonly ShaderFunction[];
  readonly argumentTypes: readonly ("Input" | "Float")[];
  readonly loopMaxIterations: number;
}

/** A kernel on WebGPU, as gpu.js's own executor sees it. */
export interface GpuJsKernel {
  translatedBody: string | null;
  computePipeline: GPUComputePipeline;
  bindGroupLayout: GPUBindGroupLayout;
  paramsBuffer: GPUBuffer | null;
  paramsLayout: {
    readonly byteLength: number;
    readonly scalarArgs: readonly { readonly name: string; readonly offset: number }[];
  };
  threadDim: readonly number[];
  assembleWGSL(): string;
  _ensureOutputBuffer(): void;
  _computeDispatch(threads: readonly number[]): {
    groups: number[];
    dispatchWidth: number;
  };
}

/** A kernel on WebGL2. */
export interface GlKernel {
  readonly built: boolean;
  /** What its next run draws on. */
  texture: { readonly texture: WebGLTexture; readonly size: Int32Array } | null;
  /** Makes the texture and attaches it to the kernel's framebuffer. */
  _setupOutputTexture(): void;
}

/** A kernel function. On WebGPU it is built but never called. */
export interface RunnableKernel<Kernel> {
  (...inputs: readonly unknown[]): unknown;
  build(...inputs: readonly unknown[]): Promise<void>;
  readonly kernel: Kernel;
  destroy(): void;
}

/** An instance of gpu.js for one kind of context. */
export interface GpuJsInstance<Kernel> {
  createKernel(source: string, settings: KernelSettings): RunnableKernel<Kernel>;
}

/** The module. */
export interface GpuJs {
  readonly GPU: {
    new (settings: { mode: "webgpu" }): GpuJsInstance<GpuJsKernel>;
    new (settings: {
      mode: "webgl2";
      context: WebGL2RenderingContext;
      canvas: { width: number; height: number };
    }): GpuJsInstance<GlKernel>;
    readonly isWebGL2Supported: boolean;
  };
  readonly WebGPUContext: {
    acquire(): Promise<{ readonly device: GPUDevice; readonly adapter: GPUAdapter }>;
    destroy(): Promise<void>;
  };
  input(values: Float32Array, size: readonly number[]): unknown;
}

let loading: Promise<GpuJs> | undefined;

/** Loads gpu.js once. */
export function loadGpuJs(): Promise<GpuJs> {
  loading ??= load();
  loading.catch(() => {
    loading = undefined;
  });
  return loading;
}

async function load(): Promise<GpuJs> {
  // gpu.js overwrites the global `GPU`, a class of WebGPU.
  const own = Object.getOwnPropertyDescriptor(globalThis, "GPU");
  const module = (await import("gpu.js/dist/gpu-browser.min.js")) as { default?: GpuJs };
  if (own) Object.defineProperty(globalThis, "GPU", own);
  return module.default ?? (module as unknown as GpuJs);
}
