/**
 * Where things are. Right for the source in `bench/runner/` and for the bundle in `bench/dist/`.
 */

export const bench = new URL("../", import.meta.url);
export const root = new URL("../", bench);
