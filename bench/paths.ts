/**
 * Where things are, seen from the folder the bundled benchmarks run in (`bench/dist/`).
 */

export const bench = new URL("../", import.meta.url);
export const root = new URL("../", bench);
