/**
 * Steps that are computed a few rows at a time, whatever their size, give the interpreter's values.
 */

import { beforeAll, describe, expect, it } from "vitest";
import type { WasmDevice } from "../../src/devices/wasm/device.js";
import { ones, realize, setDevice } from "../../src/index.js";
import { programs } from "../compiler/randomGraph.js";
import { forAll } from "../ops/reference.js";
import { CASES, exactCases } from "./cases.js";
import { checkExact, checkGraph, checkOperation } from "./check.js";
import { isFull } from "./devices.js";
import { GIVEN_UP } from "./givenUp.js";

const on = (threads: number) => ({ name: "wasm", options: { threads } }) as const;

let device: WasmDevice;

beforeAll(async () => {
  await setDevice("wasm");
  device = (await realize(ones([1]))).buffer?.home as WasmDevice;
  device.bands = {
    bytes: 48,
    leastStepBytes: 48,
    leastBytes: 0,
    mostRowBytes: Number.POSITIVE_INFINITY,
    leastRows: 2,
  };
  device.sharesAll = true;
});

describe("bands of a few rows", () => {
  for (const dtype of isFull() ? (["float32", "float64"] as const) : (["float32"] as const)) {
    for (const one of CASES) {
      it(`${one.name}, ${dtype}`, async () => {
        expect(await checkOperation(on(1), dtype, one)).toBeNull();
      });
    }
  }

  for (const one of exactCases(32)) {
    it(one.name, async () => {
      expect(await checkExact(on(1), one)).toBeNull();
    });
  }

  for (const { name, check } of GIVEN_UP) {
    it(name, async () => {
      await setDevice("wasm", { threads: 1 });
      expect(await check()).toBeNull();
    });
  }

  it.each([
    [1, "float64"],
    [2, "float32"],
  ] as const)("random graphs, threads: %d, %s", async (threads, dtype) => {
    await forAll(
      [programs(14)],
      async (program) => {
        expect(await checkGraph(on(threads), dtype, program)).toBeNull();
      },
      150,
    );
    if (threads > 1) expect(device.helped).toBeGreaterThan(0);
  });

  it("were computed", () => {
    expect(device.chains).toBeGreaterThan(CASES.length);
  });
});
