/**
 * Counts what WebGL2 holds, from what the platform was asked to do. Must be imported before the library
 * uses it.
 * @module
 */

import { deviceStatistics, realize, setDevice, type Tensor, tensor } from "../../../src/index.js";
import type { TestedDevice } from "../../conformance/devices.js";

/** Bytes of a texel: of R32F, RG32F and RGBA32F; of others, all of bytes, four. */
const TEXEL: Readonly<Record<number, number>> = { 33326: 4, 33328: 8, 34836: 16 };

/** What textures hold that are not deleted or, in spite of that, still attached to a framebuffer. */
const held = new Map<WebGLTexture, number>();
const deleted = new Set<WebGLTexture>();
const attached = new Map<WebGLFramebuffer, WebGLTexture>();
let programs = 0;

/** What a context is at. */
class Bindings {
  unit = 0;
  readonly textures = new Map<number, WebGLTexture>();
  framebuffer: WebGLFramebuffer | null = null;
}

const bindings = new WeakMap<object, Bindings>();

function collect(): void {
  const inUse = new Set(attached.values());
  for (const texture of deleted) {
    if (inUse.has(texture)) continue;
    held.delete(texture);
    deleted.delete(texture);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: arguments are those of the platform's methods.
const effects: Record<string, (at: Bindings, ...values: any[]) => void> = {
  activeTexture(at, unit: number) {
    at.unit = unit;
  },
  bindTexture(at, _target, texture: WebGLTexture) {
    at.textures.set(at.unit, texture);
  },
  texStorage2D(at, _target, _levels, format: number, width: number, height: number) {
    held.set(at.textures.get(at.unit)!, (TEXEL[format] ?? 4) * width * height);
  },
  texImage2D(at, _target, _level, format: number, width: number, height: number) {
    held.set(at.textures.get(at.unit)!, (TEXEL[format] ?? 4) * width * height);
  },
  deleteTexture(_, texture: WebGLTexture | undefined) {
    if (texture) deleted.add(texture);
    collect();
  },
  bindFramebuffer(at, _target, framebuffer: WebGLFramebuffer | null) {
    at.framebuffer = framebuffer;
  },
  framebufferTexture2D(at, _target, _attachment, _kind, texture: WebGLTexture | null) {
    if (texture) attached.set(at.framebuffer!, texture);
    else attached.delete(at.framebuffer!);
    collect();
  },
  deleteFramebuffer(_, framebuffer: WebGLFramebuffer) {
    attached.delete(framebuffer);
    collect();
  },
  createProgram() {
    programs++;
  },
  deleteProgram() {
    programs--;
  },
};

if (typeof WebGL2RenderingContext !== "undefined") {
  const methods = WebGL2RenderingContext.prototype as unknown as Record<
    string,
    (...values: unknown[]) => unknown
  >;
  for (const [name, effect] of Object.entries(effects)) {
    const original = methods[name]!;
    methods[name] = function (...values: unknown[]) {
      let at = bindings.get(this);
      if (!at) {
        at = new Bindings();
        bindings.set(this, at);
      }
      effect(at, ...values);
      return original.apply(this, values);
    };
  }
}

/** Bytes of textures and compiled kernels: held, and as the library counts them. */
export interface Held {
  readonly textureBytes: number;
  readonly countedBytes: number;
  readonly programs: number;
}

async function note(): Promise<Held> {
  const textureBytes = [...held.values()].reduce((a, b) => a + b, 0);
  return { textureBytes, countedBytes: (await deviceStatistics()).bytes, programs };
}

/** What is held with tensors of many shapes, after they are disposed of, and after many kernels. */
export async function textureMemory({ name, options }: TestedDevice): Promise<readonly Held[]> {
  await setDevice(name, options);
  const found: Held[] = [];
  const one = await realize(tensor([1]).add(0));
  const tensors: Tensor[] = [];
  for (let i = 0; i < 20; i++) {
    const size = 1_000_000 + 1000 * i;
    const given = tensor(new Float32Array(size));
    const made = one.broadcastTo([size]).add(i);
    await realize(given, made);
    tensors.push(given, made);
    if ((await made.add(given).sum().item()) !== size * (i + 1)) throw new Error(`wrong sum ${i}`);
  }
  found.push(await note());
  for (const t of tensors) t.dispose();
  found.push(await note());
  for (let i = 0; i < 540; i++) (await realize(one.broadcastTo([i + 2]).mul(2))).dispose();
  found.push(await note());
  if ((await one.add(1).item()) !== 2) throw new Error("a tensor was lost with its kernel");
  return found;
}

/** Elements of a product whose axes are longer than a texture is wide, and how many are wrong. */
export async function longAxes({ name, options }: TestedDevice) {
  await setDevice(name, options);
  const wrong: Record<string, number> = {};
  for (const [m, n] of [
    [2, 40_000],
    [40_000, 2],
  ] as const) {
    const rows = Float32Array.from({ length: m }, (_, i) => 1 + (i % 7));
    const columns = Float32Array.from({ length: n }, (_, i) => 1 + (i % 11));
    const found = await tensor(rows, { shape: [m, 1] })
      .mul(tensor(columns))
      .data();
    const isWrong = (value: number, at: number) =>
      value !== rows[Math.floor(at / n)]! * columns[at % n]!;
    wrong[`${m} × ${n}`] = [...found].filter(isWrong).length;
  }
  return wrong;
}
