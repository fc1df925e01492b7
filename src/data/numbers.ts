/**
 * A list of numbers that grows, in eight bytes each.
 * @module
 */

const CHUNK = 2 ** 16;

/** A list of numbers that grows without being copied. */
export class Numbers {
  private readonly chunks: Float64Array[] = [];
  length = 0;

  push(value: number): void {
    if (this.length % CHUNK === 0) this.chunks.push(new Float64Array(CHUNK));
    this.chunks[Math.floor(this.length / CHUNK)]![this.length % CHUNK] = value;
    this.length++;
  }

  at(index: number): number {
    return this.chunks[Math.floor(index / CHUNK)]![index % CHUNK]!;
  }

  /** The numbers as bytes, a piece after the other. */
  *bytes(): Generator<Uint8Array> {
    for (const [i, chunk] of this.chunks.entries()) {
      yield new Uint8Array(chunk.buffer, 0, 8 * Math.min(CHUNK, this.length - i * CHUNK));
    }
  }
}
