/**
 * The devices that conformance is checked on. A new device adds a line here and nothing elsewhere.
 * @module
 */

import {
  type DeviceName,
  type DeviceOptions,
  type DType,
  realize,
  setDevice,
  type Tensor,
} from "../../src/index.js";

/** A device as the suites run it. */
export interface TestedDevice {
  readonly title: string;
  readonly name: DeviceName;
  readonly options?: DeviceOptions;
  /** Floating-point types it computes in. */
  readonly floats: readonly DType[];
  /** Bits of its integers. Default: 32. */
  readonly integerBits?: 24 | 32;
  /** Lengths of the vectors that operations are tried on. Default: around all vector widths. */
  readonly sizes?: readonly number[];
  /** Ways in which values that are computed twice are compared, for each function. Default: all. */
  readonly comparisons?: number;
  /** Check every n-th result of a case, and every n-th of SPO's descents, only. Default: 1. */
  readonly every?: number;
  /** Steps that a GPT is trained for. Default: 3. */
  readonly gptSteps?: number;
  /** Losses that it is trained with, the first so many. Default: both. */
  readonly gptLosses?: number;
}

/** Every device but the GPU, which `test/gpu/` and `test/browser/` check in processes of their own. */
const TESTED: Readonly<
  Record<Exclude<DeviceName, "gpu">, readonly Pick<TestedDevice, "title" | "options">[]>
> = {
  interpreter: [{ title: "interpreter" }],
  wasm: [
    { title: "wasm, 1 thread", options: { threads: 1 } },
    { title: "wasm, 2 threads", options: { threads: 2 } },
  ],
};

/** The devices of this suite. */
export const DEVICES: readonly TestedDevice[] = Object.entries(TESTED).flatMap(([name, devices]) =>
  devices.map(
    (device): TestedDevice => ({
      ...device,
      name: name as DeviceName,
      floats: ["float32", "float64"],
    }),
  ),
);

/** Lengths that differ for a GPU, where a thread computes one element or a few. */
export const GPU_SIZES = [0, 1, 2, 17, 1000] as const;

/** Whether what takes too long for every change is checked, too: `npm run proof`. */
export const isFull = (): boolean => process.env.PREFGRAD_CONFORMANCE === "full";

/** What takes long on a software GPU is checked in part, unless all is asked for. */
export const part = (
  less: Partial<
    Pick<TestedDevice, "floats" | "comparisons" | "every" | "sizes" | "gptSteps" | "gptLosses">
  >,
): typeof less => (isFull() ? {} : less);

/** Every n-th of a list. */
export function everyNth<T>(list: readonly T[], n: number): readonly T[] {
  return list.filter((_, i) => i % n === 2 % n);
}

/** Elements of a tensor. */
export interface Elements {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly values: ArrayLike<number>;
}

/** Builds tensors on a device, evaluates them together, and reads them. */
export async function evaluateOn(
  device: Pick<TestedDevice, "name" | "options">,
  build: () => Tensor | readonly Tensor[] | Promise<readonly Tensor[]>,
): Promise<Elements[]> {
  await setDevice(device.name, device.options);
  const built = await build();
  const tensors = Array.isArray(built) ? (built as readonly Tensor[]) : [built as Tensor];
  await realize(tensors);
  return Promise.all(
    tensors.map(async (t) => ({ shape: t.shape, dtype: t.dtype, values: await t.data() })),
  );
}

const known = new Map<string, Promise<Elements[]>>();

/** What the reference gives, computed once per key. */
export function reference(
  key: string,
  build: () => Tensor | readonly Tensor[],
): Promise<Elements[]> {
  let found = known.get(key);
  if (!found) {
    found = evaluateOn({ name: "interpreter" }, build);
    known.set(key, found);
  }
  return found;
}

/** The first difference in words, or null. Tolerances are relative to max(1, |expected|). */
export function difference(found: Elements, expected: Elements, tolerance: number): string | null {
  if (found.shape.join() !== expected.shape.join())
    return `shape [${found.shape}] for [${expected.shape}]`;
  for (let i = 0; i < expected.values.length; i++) {
    const [value, wanted] = [found.values[i]!, expected.values[i]!];
    if (value === wanted || (Number.isNaN(value) && Number.isNaN(wanted))) continue;
    if (Math.abs(value - wanted) <= tolerance * Math.max(1, Math.abs(wanted))) continue;
    return `element ${i} of ${expected.values.length}: ${value} for ${wanted}`;
  }
  return found.values.length === expected.values.length ? null : `${found.values.length} elements`;
}
