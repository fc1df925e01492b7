/**
 * Properties are checked with a fixed seed, so that a red run stays red; `FUZZ_SEED` looks elsewhere.
 */

import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env.FUZZ_SEED ?? 1) });
