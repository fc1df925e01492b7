/**
 * Takes the GPU away. Must be imported before the library uses it.
 * @module
 */

import { realize, setDevice, tensor } from "../../../src/index.js";
import type { TestedDevice } from "../../conformance/devices.js";

const takeAway: (() => void)[] = [];

/** Notes what a method of the platform returns. */
function watch<Returned>(
  type: string,
  method: string,
  seen: (returned: Awaited<Returned>) => void,
): void {
  const methods = (
    globalThis as unknown as Record<string, { prototype?: Record<string, unknown> }>
  )[type]?.prototype;
  if (methods === undefined) return;
  const original = methods[method] as (...values: unknown[]) => Returned;
  methods[method] = function (...values: unknown[]) {
    const returned = original.apply(this, values);
    void Promise.resolve(returned).then(seen, () => {});
    return returned;
  };
}

watch<Promise<GPUDevice>>("GPUAdapter", "requestDevice", (device) => {
  takeAway.push(() => device.destroy());
});
for (const canvas of ["HTMLCanvasElement", "OffscreenCanvas"]) {
  watch<RenderingContext | null>(canvas, "getContext", (context) => {
    if (!(context instanceof WebGL2RenderingContext)) return;
    takeAway.push(() => context.getExtension("WEBGL_lose_context")?.loseContext());
  });
}

async function messageOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    (value) => `no error: ${value}`,
    (error: Error) => error.message,
  );
}

/** What becomes of a tensor and of its successor when the GPU is lost, and of a new device. */
export async function loseDevice({ name, options }: TestedDevice): Promise<readonly string[]> {
  await setDevice(name, options);
  const before = await realize(tensor([1, 2]).mul(2));
  for (const take of takeAway.splice(0)) take();
  const reading = await messageOf(before.data());
  const computing = await messageOf(before.add(1).data());
  await setDevice(name, options);
  return [reading, computing, await messageOf(tensor([1, 2]).add(1).array())];
}
