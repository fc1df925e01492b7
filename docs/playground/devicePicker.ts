/**
 * The choice of a device: radio buttons of all, of which those can be picked that are there.
 * @module
 */

import type { DeviceAnswer, DeviceQuestion, Obstacles, PageDevice } from "./devices.js";

/** What the devices are called, and what they are. */
export const DEVICES: Readonly<Record<PageDevice, readonly [title: string, note: string]>> = {
  wasm: ["WebAssembly", "SIMD on the processor"],
  webgpu: ["WebGPU", "compute shaders through gpu.js"],
  webgl2: ["WebGL2", "fragment shaders through gpu.js"],
};

/** Adds a radio button for each device. */
export function addDevices(fieldset: HTMLElement): void {
  for (const [device, [title, note]] of Object.entries(DEVICES)) {
    const label = fieldset.appendChild(document.createElement("label"));
    label.className = "device";
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "device", value: device, required: true });
    const [name, text] = [document.createElement("span"), document.createElement("small")];
    name.textContent = title;
    text.textContent = note;
    label.append(input, name, text);
  }
}

/**
 * Asks a worker which devices are there and ends it. Disables the others and says why; picks one, if the
 * visitor has not yet.
 * @returns whether there is any.
 */
export async function offerDevices(fieldset: HTMLElement, scout: Worker): Promise<boolean> {
  const obstacles = await new Promise<Obstacles>((resolve) => {
    scout.onmessage = ({ data }: MessageEvent<DeviceAnswer>) => resolve(data.obstacles);
    scout.onerror = ({ message }) => {
      const obstacle = message || "the page's worker cannot be started";
      resolve({ wasm: obstacle, webgpu: obstacle, webgl2: obstacle });
    };
    scout.postMessage({ kind: "find devices" } satisfies DeviceQuestion);
  });
  scout.terminate();
  for (const [device, obstacle] of Object.entries(obstacles)) {
    const input = fieldset.querySelector<HTMLInputElement>(`input[value="${device}"]`)!;
    input.disabled = obstacle !== null;
    if (obstacle !== null) input.parentElement!.querySelector("small")!.textContent = obstacle;
  }
  const there = "input[name=device]:enabled";
  const first = fieldset.querySelector<HTMLInputElement>(there);
  if (first && !fieldset.querySelector(`${there}:checked`)) first.checked = true;
  return first !== null;
}
