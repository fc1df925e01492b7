/**
 * Takes the GPU away, or has it fail. Must be imported before the library uses it.
 * @module
 */

import { full, realize, setDevice, storeAs, tensor, zeros } from "../../../src/index.js";
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

/** Computes and reads one tensor after the other until there is an error or a wrong value. */
export async function computeUntilLost({ name, options }: TestedDevice): Promise<string> {
  await setDevice(name, options);
  let x = zeros([10_000]);
  for (let steps = 1; ; steps++) {
    x = x.add(1);
    const found = await messageOf(x.data().then(([first, second]) => [first, second]));
    if (found !== `no error: ${steps},${steps}`) return found;
  }
}

/** Replaces a method of the platform for the duration of some work. */
async function replaced<T>(
  type: string,
  method: string,
  replacement: (this: unknown, ...values: unknown[]) => unknown,
  work: () => Promise<T>,
): Promise<T> {
  const { prototype } = (
    globalThis as unknown as Record<string, { prototype: Record<string, unknown> }>
  )[type]!;
  const original = prototype[method];
  prototype[method] = replacement;
  try {
    return await work();
  } finally {
    prototype[method] = original;
  }
}

/** Has so many allocations find no memory. */
async function withoutMemory<T>(
  { options }: TestedDevice,
  allocations: number,
  work: () => Promise<T>,
): Promise<T> {
  let failing = allocations;
  if (options?.backend === "webgpu") {
    const { popErrorScope } = GPUDevice.prototype;
    const tell = async function (this: unknown) {
      const error = await Reflect.apply(popErrorScope, this, []);
      return failing-- > 0 ? { message: "full" } : error;
    };
    return replaced("GPUDevice", "popErrorScope", tell, work);
  }
  // A flag is set first. What then uses the texture, of which nothing is made, fails by itself.
  const { getError, texStorage2D } = WebGL2RenderingContext.prototype;
  let flagged = false;
  const allocate = function (this: unknown, ...values: unknown[]) {
    if (failing-- > 0) flagged = true;
    else Reflect.apply(texStorage2D, this, values);
  };
  const tell = function (this: unknown) {
    if (!flagged) return Reflect.apply(getError, this, []);
    flagged = false;
    return 0x0505;
  };
  return replaced("WebGL2RenderingContext", "texStorage2D", allocate, () =>
    replaced("WebGL2RenderingContext", "getError", tell, work),
  );
}

/** The errors of what cannot be done, each followed by what an earlier tensor still holds. */
export async function failures(device: TestedDevice): Promise<Record<string, string>> {
  const { name, options } = device;
  await setDevice(name, options);
  const before = await realize(tensor([1, 2]).mul(2));
  const found: Record<string, string> = {};
  const note = async (fault: string, work: () => Promise<unknown>): Promise<void> => {
    found[fault] = `${await messageOf(work())} / ${await before.array()}`;
  };
  const computing = (scale: number) => () => before.mul(scale).exp().add(scale).data();
  if (options?.backend === "webgpu") {
    const messages = [{ type: "error", message: "no such thing", lineNum: 1, linePos: 1 }];
    const broken = () => ({ getCompilationInfo: async () => ({ messages }) });
    await note("compile", () => replaced("GPUDevice", "createShaderModule", broken, computing(3)));
  } else {
    const broken = () => false;
    await note("compile", () =>
      replaced("WebGL2RenderingContext", "getShaderParameter", broken, computing(3)),
    );
  }
  // Of sizes no other tensor has.
  const computed = () => before.sum().broadcastTo([54_321]).mul(2);
  const given = () => tensor(new Float32Array(76_543).fill(3));
  const compiled = await realize(computed());
  for (const [what, make] of Object.entries({ computed, given })) {
    const last = async () => (await realize(make())).slice(-1).item();
    await note(`no memory, ${what}`, () => withoutMemory(device, Number.POSITIVE_INFINITY, last));
    await note(`little memory, ${what}`, () => withoutMemory(device, 1, last));
  }
  compiled.dispose();
  await note("size", () => before.sum().broadcastTo([20_000, 20_000]).exp().data());
  const int32 = { dtype: "int32" } as const;
  await note("integer, given", () =>
    tensor([2 ** 24 + 1], int32)
      .mul(2)
      .data(),
  );
  await note("integer, filled", () => full([2], 2 ** 24 + 1, int32).data());
  await note("integer, added", () =>
    tensor([0], int32)
      .add(2 ** 24 + 1)
      .data(),
  );
  await note("float64", () => tensor([1], { dtype: "float64" }).add(1).data());
  await note("bfloat16", async () =>
    (await storeAs("bfloat16", tensor([1.001, -3]))).add(1).data(),
  );
  found.after = await messageOf(computing(5)());
  return found;
}

/** What an evaluation says whose commands WebGPU finds invalid, and what a new device computes. */
export async function refuseCommand({ name, options }: TestedDevice): Promise<readonly string[]> {
  await setDevice(name, options);
  const before = await realize(tensor([1, 2]).mul(2));
  const { createBindGroup } = GPUDevice.prototype;
  const unbound = function (this: unknown, descriptor: unknown) {
    const nothing = { ...(descriptor as GPUBindGroupDescriptor), entries: [] };
    return createBindGroup.call(this as GPUDevice, nothing);
  };
  const refused = await replaced("GPUDevice", "createBindGroup", unbound, () =>
    messageOf(realize(before.mul(6).exp())),
  );
  await setDevice(name, options);
  return [refused, await messageOf(tensor([1, 2]).add(1).array())];
}
