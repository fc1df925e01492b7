/**
 * WebGPU where the platform has none of its own: Node, with the package `webgpu`.
 * @module
 */
/// <reference types="@webgpu/types" />

/** The optional peer dependency. A constant, so that bundlers do not look for the package. */
const PACKAGE = "webgpu";

interface Dawn {
  create(options: readonly string[]): GPU;
  readonly globals: object;
}

function isNode(): boolean {
  const { process } = globalThis as { process?: { versions?: { node?: string } } };
  return process?.versions?.node !== undefined;
}

/**
 * Sets `navigator.gpu` if there is none and the package `webgpu` can be loaded.
 * @returns why there is no WebGPU, in words, or null if there is.
 */
export async function provideWebGpu(): Promise<string | null> {
  if (typeof navigator !== "undefined" && navigator.gpu) return null;
  if (!isNode()) {
    return typeof isSecureContext !== "undefined" && !isSecureContext
      ? "browsers give WebGPU to secure pages only (https or localhost)"
      : "this browser has no WebGPU";
  }
  let dawn: Dawn;
  let gpu: GPU;
  try {
    dawn = (await import(/* @vite-ignore */ /* webpackIgnore: true */ PACKAGE)) as Dawn;
    gpu = dawn.create([]);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    // The module not found may be another one: the package's binary for this system, for example.
    return code?.endsWith("MODULE_NOT_FOUND") && message.includes(`'${PACKAGE}'`)
      ? "Node has no WebGPU of its own; install it with: npm install webgpu"
      : `the package webgpu could not be loaded: ${message}`;
  }
  Object.assign(globalThis, dawn.globals);
  if (typeof navigator === "undefined") {
    Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });
  } else Object.defineProperty(navigator, "gpu", { value: gpu, configurable: true });
  return null;
}
