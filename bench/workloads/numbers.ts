/**
 * Reproducible numbers: xorshift32 streams, of which the top 16 bits are used.
 */

/** Successive draws 0 … 65535. */
export function draws(seed: number): () => number {
  let x = seed | 0;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 16;
  };
}

/** `centre + spread·u` with u uniform in [−1, 1), exact in float32 for powers of two. */
export function uniform(
  length: number,
  next: () => number,
  { centre = 0, spread = 1 } = {},
): Float32Array {
  return Float32Array.from({ length }, () => centre + (spread * (next() - 32768)) / 32768);
}

/** Uniform integers 0 … below − 1, `below` at most 65536. */
export function integers(length: number, next: () => number, below: number): Int32Array {
  return Int32Array.from({ length }, () => next() % below);
}
