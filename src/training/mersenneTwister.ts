/**
 * The random numbers that PyTorch shuffles with: MT19937 (Matsumoto & Nishimura 1998).
 * @module
 */

const LENGTH = 624;
const MIDDLE = 397;

/** A generator of integers from 0 to 2³² − 1. Of the seed its lowest 32 bits count. */
export function mersenneTwister(seed: number): () => number {
  const state = new Uint32Array(LENGTH);
  state[0] = seed;
  for (let i = 1; i < LENGTH; i++) {
    const before = state[i - 1]!;
    state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
  }
  let next = LENGTH;
  return () => {
    if (next === LENGTH) {
      twist(state);
      next = 0;
    }
    let y = state[next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  };
}

function twist(state: Uint32Array): void {
  for (let i = 0; i < LENGTH; i++) {
    const y = (state[i]! & 0x80000000) | (state[(i + 1) % LENGTH]! & 0x7fffffff);
    state[i] = state[(i + MIDDLE) % LENGTH]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
  }
}
