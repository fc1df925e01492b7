/**
 * Threads that share calls of every kind but products, which `sharedProducts.test.ts` has.
 */

import { describe, expect, it } from "vitest";
import { build, programs } from "../compiler/randomGraph.js";
import { forAll } from "../ops/reference.js";
import { casesOf, exactCases, KINDS } from "./cases.js";
import { isFull } from "./devices.js";
import { expectSame, shareAll } from "./sharing.js";

const CASES = KINDS.filter((kind) => kind !== "products").flatMap(casesOf);

describe("calls that threads share", () => {
  const { helped } = shareAll();

  for (const dtype of isFull() ? (["float32", "float64"] as const) : (["float32"] as const)) {
    for (const { name, make } of CASES) {
      it(`${name}, ${dtype}`, () => expectSame(2, () => make(dtype)));
    }
  }

  for (const { name, make } of exactCases(32)) it(name, () => expectSame(2, make));

  it("were shared", () => {
    expect(helped()).toBeGreaterThan(CASES.length);
  });

  it.each(["float32", "float64"] as const)("random graphs, %s", async (dtype) => {
    await forAll(
      [programs(14)],
      (program) => expectSame(3, () => build(program, { dtype, continuous: false })),
      100,
    );
    expect(helped()).toBeGreaterThan(0);
  });
});
