/**
 * Twelve families on the interpreter in float64, and on WebAssembly in float64 and float32. On GPUs:
 * `test/gpu/families.test.ts`, `test/browser/describeBrowser.ts`.
 */

import { afterAll, describe, expect, it } from "vitest";
import { setDevice } from "../../src/index.js";
import { FAMILIES } from "../../src/models/families/index.js";
import { isFull } from "../conformance/devices.js";
import { suites } from "../conformance/suites.js";
import { A_FEW_MODELS, describeFamilies, FAMILY_MODELS, modelTypeOf } from "./families.js";

// transformers' float64 is met to all digits it has, or to float32's where that is computed in.
const EXACT = { logits: 1e-10, logProbs: 1e-10, gradients: 1e-9 };
const SINGLE = { logits: 5e-5, logProbs: 3e-5, gradients: 2e-5 };

/** The interpreter is slow. */
const SLOW = isFull() ? FAMILY_MODELS : A_FEW_MODELS;

it.skipIf(FAMILY_MODELS.length === 0)("every family has a model", () => {
  const types = FAMILY_MODELS.map(modelTypeOf);
  expect([...FAMILIES.keys()].filter((type) => !types.includes(type))).toEqual([]);
});

describe.each([
  { name: "wasm", dtype: "float64", names: FAMILY_MODELS, accept: EXACT },
  { name: "wasm", dtype: "float32", names: FAMILY_MODELS, accept: SINGLE },
  { name: "interpreter", dtype: "float64", names: SLOW, accept: EXACT },
] as const)("on $name in $dtype", ({ name, ...expected }) => {
  afterAll(() => setDevice("wasm"));
  describeFamilies(
    { name },
    (suite, values) =>
      (suites[suite as "family"] as (...all: unknown[]) => Promise<unknown>)(...values),
    expected,
  );
});
