/**
 * Arguments of the wrong kind are refused where they are given, by name.
 */

import { describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";

const x = pg.tensor([10, 20, 30, 40]);
/** As plain JavaScript would pass it. */
const wrong = (value: unknown): never => value as never;

describe("what is no tensor", () => {
  it("is refused by name", () => {
    for (const value of [undefined, [1, 2], "x", null]) {
      expect(() => x.add(wrong(value))).toThrow(/^add: expected a tensor, number or boolean/);
      expect(() => pg.matmul(x, wrong(value))).toThrow(/^matmul: expected a tensor/);
      expect(() => pg.concat([x, wrong(value)])).toThrow(/^concat: expected a tensor/);
      expect(() => pg.gather(x, wrong(value))).toThrow(/^gather: expected a tensor/);
      expect(() => pg.exp(wrong(value))).toThrow(/expected a tensor, number or boolean/);
    }
  });
});

describe("numbers out of range", () => {
  it("positions of slices are integers", () => {
    expect(() => x.slice([0.5, 2.5])).toThrow(/slice: position 0.5 of axis 0 is not an integer/);
    expect(() => x.slice([0, Number.NaN])).toThrow(/position NaN of axis 0/);
  });

  it("shapes and depths are integers ≥ 0", () => {
    expect(() => pg.broadcastTo(x, [-1, 4])).toThrow(/broadcastTo: a shape is/);
    for (const depth of [-1, 2.5]) {
      expect(() => pg.oneHot(pg.tensor([0], { dtype: "int32" }), depth)).toThrow(/oneHot: a shape/);
    }
  });
});

describe("names and dtypes", () => {
  it("unknown dtypes list the known ones", () => {
    expect(() => pg.ones([2], { dtype: wrong("f32") })).toThrow(/unknown dtype "f32"; known: bool/);
    expect(() => pg.cast(x, wrong("float16"))).toThrow(/cast: unknown dtype "float16"/);
    expect(() => pg.tensor([1], { dtype: wrong("f64") })).toThrow(/tensor: unknown dtype "f64"/);
  });

  it("a mask is no list of positions", () => {
    expect(() => pg.gather(x, pg.tensor([true, false]))).toThrow(/gather: indices must be int32/);
  });

  it("random tensors need a seed", () => {
    expect(() => pg.randomNormal([3], wrong({}))).toThrow(/needs a seed/);
  });

  it("devices know their options", async () => {
    await expect(pg.setDevice("wasm", wrong({ thread: 2 }))).rejects.toThrow(
      /setDevice: wasm: has no option `thread`; did you mean `threads`\?/,
    );
    await expect(pg.setDevice("interpreter", { threads: 4 })).rejects.toThrow(
      /setDevice: interpreter: has no option `threads`; it has none/,
    );
    await expect(pg.setDevice(wrong("cuda"))).rejects.toThrow(
      /unknown device "cuda"; did you mean "gpu"\? wasm, gpu, interpreter/,
    );
    expect(pg.currentDevice()).toBe("wasm");
  });
});
