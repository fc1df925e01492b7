/**
 * WebGPU where the platform has none of its own: Node, with the package `webgpu`.
 * @module
 */
/// <reference types="@webgpu/types" />

/** The optional peer. Named at run time, so that no bundler looks for it. */
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
 * Makes sure that `navigator.gpu` is there if it can be had. One that exists is kept.
 * @returns why there is none, in words, or null.
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
    // What is not found may also be a part of the package: its binary for another system, say.
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
