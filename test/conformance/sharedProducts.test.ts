/**
 * Threads that share products. Those use relaxed SIMD where the engine has it: another engine runs this file again.
 */

import { describe, expect, it } from "vitest";
import { casesOf } from "./cases.js";
import { expectSame, shareAll } from "./sharing.js";

const CASES = casesOf("products");

describe("products that threads share", () => {
  const { helped } = shareAll();

  for (const dtype of ["float32", "float64"] as const) {
    for (const { name, make } of CASES) {
      it(`${name}, ${dtype}`, () => expectSame(2, () => make(dtype)));
    }
  }

  it("were shared", () => {
    expect(helped()).toBeGreaterThan(CASES.length);
  });
});
