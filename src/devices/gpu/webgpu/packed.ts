/**
 * bfloat16s in a GPU buffer: two in a word, the first of them in its lower half. What reads a buffer in WGSL
 * has its elements from {@link elementAt}.
 * @module
 */

import type { MatmulOperand } from "../../../kernels/kernel.js";
import type { GpuJsKernel } from "../gpujs.js";

/** A buffer of a kernel, as its operands and loads name it. */
type Stored = Pick<MatmulOperand, "buffer" | "storage">;

/** An element of a kernel's buffer as float32, in WGSL. `at` is a `u32`. */
export function elementAt({ buffer, storage }: Stored, at: string): string {
  return storage === undefined ? `user_b${buffer}[${at}]` : `widened_b${buffer}(${at})`;
}

/** The bfloat16 at `at`, which is even, or the one after it: one read of their word serves both. */
export function halfAt({ buffer }: Stored, at: string, half: 0 | 1): string {
  const word = `user_b${buffer}[(${at}) / 2u]`;
  return `bitcast<f32>(${half === 0 ? `${word} << 16u` : `${word} & 0xffff0000u`})`;
}

/** Has a gpu.js kernel that is not built yet find bfloat16s in these of its buffers. */
export function installPacked(
  kernel: Pick<GpuJsKernel, "assembleWGSL">,
  buffers: readonly number[],
): void {
  if (buffers.length === 0) return;
  const assemble = kernel.assembleWGSL;
  kernel.assembleWGSL = () => buffers.reduce(withPacked, assemble.call(kernel));
}

/** A module whose buffer holds words in the place of floats, for gpu.js's own accessor, too. */
function withPacked(module: string, buffer: number): string {
  const name = `user_b${buffer}`;
  const declaration = `var<storage, read> ${name} : array<f32>;`;
  if (!module.includes(declaration)) throw new Error(`the module has no buffer ${name}`);
  // A bfloat16 is the upper half of a float32's bits.
  const widening = `var<storage, read> ${name} : array<u32>;
fn widened_b${buffer}(at : u32) -> f32 {
  return bitcast<f32>((${name}[at / 2u] >> (at % 2u * 16u)) << 16u);
}`;
  const widened = elementAt({ buffer, storage: "bfloat16" }, "$1");
  return module
    .replace(declaration, widening)
    .replace(new RegExp(`return ${name}\\[(.*)\\];`), `return ${widened};`);
}

/** Makes whole words, the least that a buffer takes, of bfloat16s that are written in pieces of any lengths. */
export class WordPacker {
  /** Elements at the ends of pieces, by place: those whose word has another half that was not written yet. */
  private readonly halves = new WeakMap<object, Map<number, number>>();

  /** The words that hold the elements from `from` on: where they begin, in elements, and all their elements. */
  words(
    buffer: object,
    from: number,
    values: ArrayLike<number>,
  ): [first: number, elements: Uint16Array<ArrayBuffer>] {
    const end = from + values.length;
    const first = from - (from % 2);
    const elements = new Uint16Array(end + (end % 2) - first);
    elements.set(values, from - first);
    if (from % 2 === 1) elements[0] = this.join(buffer, from, values[0]!, from - 1);
    if (end % 2 === 1) {
      elements[elements.length - 1] = this.join(buffer, end - 1, values[values.length - 1]!, end);
    }
    return [first, elements];
  }

  /** The element at `other`, in the same word as the one at `own`, if it was written before; else 0. */
  private join(buffer: object, own: number, value: number, other: number): number {
    const halves = this.halves.get(buffer) ?? new Map<number, number>();
    this.halves.set(buffer, halves);
    const known = halves.get(other);
    if (known === undefined) halves.set(own, value);
    else halves.delete(other);
    return known ?? 0;
  }
}
