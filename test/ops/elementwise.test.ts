/**
 * Elementwise operations against Math and plain loops.
 */

import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import { setDevice, type Tensor, tensor } from "../../src/index.js";
import { erfReference } from "../devices/wasm/erfReference.js";
import {
  arrayOf,
  broadcastPair,
  broadcastShape,
  expectTensor,
  forAll,
  map,
  shapes,
  toTensor,
} from "./reference.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

/** The library's functions by name. */
const named = { ...pg };

const float64 = (values: number[]): Tensor => tensor(values, { dtype: "float64" });
const int32 = (values: number[]): Tensor => tensor(values, { dtype: "int32" });
const bool = (values: number[]): Tensor => tensor(values, { dtype: "bool" });

const SPECIAL = [0, -0, 1, -1, 0.5, -2.5, 1e-20, -1e-20, 1e10, -30, 30, 1e300, -1e300];
const NON_FINITE = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

describe("functions of one argument", () => {
  const functions: [string, (x: Tensor) => Tensor, (x: number) => number][] = [
    ["neg", pg.neg, (x) => -x],
    ["exp", pg.exp, Math.exp],
    ["log", pg.log, Math.log],
    ["log1p", pg.log1p, Math.log1p],
    ["expm1", pg.expm1, Math.expm1],
    ["sqrt", pg.sqrt, Math.sqrt],
    ["tanh", pg.tanh, Math.tanh],
    ["erf", pg.erf, erfReference],
    ["abs", pg.abs, Math.abs],
    ["sign", pg.sign, Math.sign],
    ["floor", pg.floor, Math.floor],
    ["ceil", pg.ceil, Math.ceil],
    ["sin", pg.sin, Math.sin],
    ["cos", pg.cos, Math.cos],
    ["square", pg.square, (x) => x * x],
    ["reciprocal", pg.reciprocal, (x) => 1 / x],
    ["rsqrt", pg.rsqrt, (x) => 1 / Math.sqrt(x)],
  ];

  for (const [name, f, reference] of functions) {
    it(`${name} is Math's on any shape`, () =>
      forAll([shapes().chain((shape) => arrayOf(shape, -4, 4))], (x) =>
        expectTensor(f(toTensor(x)), map(reference, x), 1e-14),
      ));

    it(`${name} treats zeros, extremes, NaN and infinities as Math does`, async () => {
      const values = [...SPECIAL, ...NON_FINITE];
      const found = await f(float64(values)).data();
      for (const [i, x] of values.entries()) {
        const expected = reference(x);
        if (Number.isFinite(expected) && expected !== 0) {
          expect(Math.abs(found[i]! / expected - 1), `${name}(${x})`).toBeLessThan(1e-14);
        } else expect(found[i], `${name}(${x})`).toBe(expected);
      }
    });
  }

  it("round takes the nearest integer, the even one of two", async () => {
    const halves = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 4503599627370495.5, 0.49999999999999994];
    const even = [0, 2, 2, -0, -2, -2, 4503599627370496, 0];
    expect(await pg.round(float64(halves)).array()).toEqual(even);
    const others = [0, -0, 0.6, -0.4, 3.49, -7.51, 2 ** 53, ...NON_FINITE];
    const nearest = [0, -0, 1, -0, 3, -8, 2 ** 53, ...NON_FINITE];
    expect(await pg.round(float64(others)).array()).toEqual(nearest);
  });

  it("are also methods", async () => {
    const x = float64([0.25, 0.75]);
    for (const name of [
      "neg",
      "exp",
      "log",
      "log1p",
      "expm1",
      "sqrt",
      "square",
      "tanh",
      "erf",
      "abs",
      "sign",
      "floor",
      "sigmoid",
      "logSigmoid",
      "softplus",
      "relu",
      "silu",
      "isnan",
      "isfinite",
      "stopGradient",
      "gelu",
      "softmax",
      "logSoftmax",
    ] as const) {
      expect(await x[name]().data(), name).toEqual(await named[name](x).data());
    }
  });
});

describe("functions of two arguments", () => {
  const functions: [string, (a: Tensor, b: Tensor) => Tensor, (a: number, b: number) => number][] =
    [
      ["add", pg.add, (a, b) => a + b],
      ["sub", pg.sub, (a, b) => a - b],
      ["mul", pg.mul, (a, b) => a * b],
      ["div", pg.div, (a, b) => a / b],
      ["pow", pg.pow, (a, b) => a ** b],
      ["maximum", pg.maximum, Math.max],
      ["minimum", pg.minimum, Math.min],
      ["equal", pg.equal, (a, b) => Number(a === b)],
      ["notEqual", pg.notEqual, (a, b) => Number(a !== b)],
      ["less", pg.less, (a, b) => Number(a < b)],
      ["lessEqual", pg.lessEqual, (a, b) => Number(a <= b)],
      ["greater", pg.greater, (a, b) => Number(a > b)],
      ["greaterEqual", pg.greaterEqual, (a, b) => Number(a >= b)],
      ["logicalAnd", pg.logicalAnd, (a, b) => Number(a !== 0 && b !== 0)],
      ["logicalOr", pg.logicalOr, (a, b) => Number(a !== 0 || b !== 0)],
    ];

  for (const [name, f, reference] of functions) {
    it(`${name} broadcasts from either side`, () =>
      forAll(
        [broadcastPair().chain(([full, part]) => fc.tuple(arrayOf(full), arrayOf(part)))],
        async ([x, y]) => {
          await expectTensor(f(toTensor(x), toTensor(y)), map(reference, x, y));
          await expectTensor(f(toTensor(y), toTensor(x)), map(reference, y, x));
        },
        30,
      ));

    it(`${name} broadcasts both sides at once`, () =>
      expectTensor(
        f(tensor([[1], [-2]], { dtype: "float64" }), float64([-2, 1, 3])),
        map(reference, { shape: [2, 1], values: [1, -2] }, { shape: [3], values: [-2, 1, 3] }),
      ));

    it(`${name} of special numbers is JavaScript's`, async () => {
      const values = [...SPECIAL, ...NON_FINITE];
      const pairs = values.flatMap((a) => values.map((b) => [a, b] as const));
      const found = await f(
        float64(pairs.map(([a]) => a)),
        float64(pairs.map(([, b]) => b)),
      ).data();
      for (const [i, [a, b]] of pairs.entries()) {
        expect(found[i], `${name}(${a}, ${b})`).toBe(reference(a, b));
      }
    });
  }

  it("are also methods", async () => {
    const [x, y] = [float64([1, 2, 3]), float64([2, 2, 0.5])];
    for (const name of [
      "add",
      "sub",
      "mul",
      "div",
      "pow",
      "maximum",
      "minimum",
      "equal",
      "notEqual",
      "less",
      "lessEqual",
      "greater",
      "greaterEqual",
    ] as const) {
      expect(await x[name](y).array(), name).toEqual(await named[name](x, y).array());
    }
  });

  it("take plain numbers on either side", async () => {
    const x = float64([1, 2, 4]);
    expect(await pg.sub(10, x).array()).toEqual([9, 8, 6]);
    expect(await pg.div(8, x).array()).toEqual([8, 4, 2]);
    expect(await pg.pow(2, x).array()).toEqual([2, 4, 16]);
    expect(await x.greater(2).array()).toEqual([false, false, true]);
    expect(await pg.less(2, x).array()).toEqual([false, false, true]);
    expect(await pg.add(1, 2).item()).toBe(3);
  });
});

describe("pow", () => {
  it("by every plain exponent is a ** b", () =>
    forAll(
      [
        shapes({ maxRank: 2 }).chain((shape) => arrayOf(shape, 0.25, 3)),
        fc.constantFrom(0, 1, 2, 3, 4, 0.5, -1, -2, 1.5, -0.5),
      ],
      (x, exponent) =>
        expectTensor(
          pg.pow(toTensor(x), exponent),
          map((value) => value ** exponent, x),
          1e-14,
        ),
    ));

  it("of a negative base is NaN for a fractional exponent", async () => {
    expect(await pg.pow(float64([-8]), 1 / 3).item()).toBeNaN();
    expect(await pg.pow(float64([-2]), 4).item()).toBe(16);
    expect(await pg.pow(float64([-2]), -3).item()).toBe(-1 / 8);
  });

  it("to the power 0 is 1 everywhere", async () => {
    expect(await pg.pow(float64([0, Number.NaN, -5]), 0).array()).toEqual([1, 1, 1]);
  });
});

describe("NaN and infinity", () => {
  const x = float64([1, ...NON_FINITE]);

  it("isnan and isfinite tell them apart", async () => {
    expect(await pg.isnan(x).array()).toEqual([false, true, false, false]);
    expect(await pg.isfinite(x).array()).toEqual([true, false, false, false]);
  });

  it("integers are never NaN and always finite", async () => {
    expect(await pg.isnan(int32([0, -5])).array()).toEqual([false, false]);
    expect(await pg.isfinite(int32([0, 2147483647])).array()).toEqual([true, true]);
  });

  it("where does not mix what is not taken into the result", async () => {
    expect(await pg.where(pg.isfinite(x), x, 0).array()).toEqual([1, 0, 0, 0]);
  });
});

describe("clamp", () => {
  const x = float64([-3, -1, 0.5, 2, 4]);

  it("keeps x within two bounds or one", async () => {
    expect(await pg.clamp(x, -1, 2).array()).toEqual([-1, -1, 0.5, 2, 2]);
    expect(await pg.clamp(x, 0).array()).toEqual([0, 0, 0.5, 2, 4]);
    expect(await pg.clamp(x, undefined, 0).array()).toEqual([-3, -1, 0, 0, 0]);
    expect(await pg.clamp(x, null, 0).array()).toEqual([-3, -1, 0, 0, 0]);
    expect(await pg.clamp(5, 0, 1).item()).toBe(1);
  });

  it("takes tensors as bounds, and the upper one where they cross", async () => {
    expect(await pg.clamp(x, float64([0, -2, 0, 0, 0]), 1).array()).toEqual([0, -1, 0.5, 1, 1]);
    expect(await pg.clamp(x, 3, 1).array()).toEqual([1, 1, 1, 1, 1]);
    expect(await pg.clamp(x.slice(0), float64([-4, -2])).array()).toEqual([-3, -2]);
  });

  it("keeps NaN and integers", async () => {
    expect(await pg.clamp(float64([Number.NaN]), 0, 1).item()).toBeNaN();
    const bounded = pg.clamp(int32([-5, 5]), -2, 2);
    expect([bounded.dtype, await bounded.array()]).toEqual(["int32", [-2, 2]]);
  });

  it("passes the gradient where x is within the bounds or at one, else to the bound", async () => {
    const low = float64([-1, -1, -1, -1, -1]);
    const slopes = pg.gradients(pg.clamp(x, low, 2).sum(), [x, low]);
    expect(await slopes[0]!.array()).toEqual([0, 1, 1, 1, 0]);
    expect(await slopes[1]!.array()).toEqual([1, 0, 0, 0, 0]);
  });

  it("needs a bound, and numbers or tensors for bounds", () => {
    expect(() => pg.clamp(x)).toThrow("clamp: needs a bound");
    expect(() => pg.clamp(x, { min: 0 } as never)).toThrow(/expected a tensor, number or boolean/);
  });
});

describe("where", () => {
  it("is a method of what is taken where the condition holds", async () => {
    const x = float64([1, 2, 3]);
    expect(await x.where(x.less(2.5), 0).array()).toEqual([1, 2, 0]);
  });

  it("broadcasts all three arguments", () =>
    forAll(
      [
        shapes({ maxRank: 3 }).chain((full) => {
          const part = fc
            .array(fc.boolean(), { minLength: full.length, maxLength: full.length })
            .chain((ones) => arrayOf(full.map((extent, d) => (ones[d] ? 1 : extent))));
          return fc.tuple(part, part, part);
        }),
      ],
      ([condition, a, b]) => {
        const bits = map((c) => Number(c > 0), condition);
        return expectTensor(
          pg.where(toTensor(bits, "bool"), toTensor(a), toTensor(b)),
          map((c, x, y) => (c ? x : y), bits, a, b),
        );
      },
    ));

  it("takes numbers as conditions: anything but 0 holds", async () => {
    expect(await pg.where(float64([0, 0.5, Number.NaN]), 1, 2).array()).toEqual([2, 1, 1]);
    expect(await pg.where(true, float64([1]), 0).array()).toEqual([1]);
  });
});

describe("cast", () => {
  it("to int32 truncates, saturates, and makes NaN 0", async () => {
    const values = [1.9, -1.9, 2147483646.5, 3e9, -3e9, ...NON_FINITE];
    const expected = [1, -1, 2147483646, 2147483647, -2147483648, 0, 2147483647, -2147483648];
    expect(await float64(values).cast("int32").array()).toEqual(expected);
  });

  it("of a repeated value is that of the value", async () => {
    for (const x of [1.9, -1.9, 3e9, -3e9, ...NON_FINITE]) {
      const single = await float64([x]).cast("int32").item();
      expect(await pg.full([], x, { dtype: "float64" }).cast("int32").item(), `${x}`).toBe(single);
      expect(await pg.full([], x).cast("bool").item(), `${x}`).toBe(1);
    }
    expect(await pg.full([2], 0.1).cast("float64").array()).toEqual([0.1, 0.1].map(Math.fround));
  });

  it("to bool and negated is true for 0 only", async () => {
    const negated = pg.logicalNot(tensor([0, -0, 1, -2, Number.NaN]).cast("bool"));
    expect(await negated.array()).toEqual([true, true, false, false, false]);
  });

  it("to bool is false for 0 only", async () => {
    const values = [0, -0, 0.5, -3, Number.NaN, 1e-300];
    expect(await float64(values).cast("bool").array()).toEqual([
      false,
      false,
      true,
      true,
      true,
      true,
    ]);
  });

  it("to float32 rounds to nearest", async () => {
    const values = [0.1, 1e300, 1e-50, 16777217];
    expect(Array.from(await float64(values).cast("float32").data())).toEqual(
      values.map(Math.fround),
    );
    // Also where nothing is stored in between.
    expect(await float64([0.1]).cast("float32").cast("float64").item()).toBe(Math.fround(0.1));
  });

  it("of booleans counts true as 1", async () => {
    expect(await bool([1, 0]).cast("float64").array()).toEqual([1, 0]);
    expect(await bool([1, 0]).cast("int32").array()).toEqual([1, 0]);
  });

  it("to the tensor's own dtype is the tensor", () => {
    const x = float64([1]);
    expect(x.cast("float64")).toBe(x);
  });
});

describe("int32 arithmetic", () => {
  const most = 2147483647;
  const least = -2147483648;

  it("wraps around", async () => {
    const x = int32([most, least, 65536]);
    expect(await x.add(1).array()).toEqual([least, least + 1, 65537]);
    expect(await x.sub(1).array()).toEqual([most - 1, most, 65535]);
    expect(await x.mul(x).array()).toEqual([1, 0, 0]);
    expect(await x.neg().array()).toEqual([-most, least, -65536]);
    expect(await int32([123456789]).mul(987654321).item()).toBe(Math.imul(123456789, 987654321));
  });

  it("of repeated values wraps around", async () => {
    const full = pg.full([], most, { dtype: "int32" });
    expect(await full.mul(full).item()).toBe(1);
    expect(await full.add(full).item()).toBe(-2);
    expect(await pg.sum(pg.full([3], most, { dtype: "int32" })).item()).toBe(most - 2);
  });

  it("compares with numbers no int32 holds", async () => {
    expect(await int32([1]).less(3e9).array()).toEqual([true]);
    expect(await int32([1]).greater(-3e9).array()).toEqual([true]);
  });

  it("sums wrap around, also where the sum is used at once", async () => {
    const x = int32([most, most, 3]);
    expect(await x.sum().item()).toBe(1);
    expect(await x.sum().cast("float64").item()).toBe(1);
  });

  it("abs and sign", async () => {
    expect(await int32([-5, 0, 7]).abs().array()).toEqual([5, 0, 7]);
    expect(await int32([-5, 0, 7]).sign().array()).toEqual([-1, 0, 1]);
    for (const f of [pg.floor, pg.ceil, pg.round]) {
      expect(await f(int32([-5, 7])).array(), f.name).toEqual([-5, 7]);
    }
  });
});

describe("float32", () => {
  it("rounds every stored result", async () => {
    const x = tensor([0.1, 16777216]);
    expect(Array.from(await x.add(1).data())).toEqual([
      Math.fround(Math.fround(0.1) + 1),
      16777216,
    ]);
  });

  it("compares with a plain number as if that were float32", async () => {
    expect(await tensor([0.1]).equal(0.1).array()).toEqual([true]);
    expect(
      await pg
        .full([1], 0.1)
        .equal(tensor([0.1]))
        .array(),
    ).toEqual([true]);
  });
});

describe("shapes that do not broadcast", () => {
  it("are refused with both shapes, the axis and what would fit", () => {
    const [a, b] = [pg.zeros([2, 3]), pg.zeros([2, 4])];
    expect(() => pg.add(a, b)).toThrow(
      "add: shapes [2,3] and [2,4] do not broadcast: axis −1 has 3 and 4, which must be equal or 1",
    );
    for (const name of [
      "add",
      "sub",
      "mul",
      "div",
      "pow",
      "maximum",
      "minimum",
      "equal",
      "less",
      "lessEqual",
      "logicalAnd",
      "logicalOr",
    ] as const) {
      expect(() => named[name](a, b), name).toThrow(
        `${name}: shapes [2,3] and [2,4] do not broadcast`,
      );
    }
    expect(() => pg.where(pg.zeros([2]), a, a)).toThrow("where: shapes [2] and [2,3]");
    expect(() => pg.where(true, a, b)).toThrow("where: shapes [2,3] and [2,4]");
  });

  it("an extent of 0 broadcasts only with 0 and 1", async () => {
    expect(broadcastShape([0], [1])).toEqual([0]);
    expect(pg.add(pg.zeros([0]), pg.zeros([1])).shape).toEqual([0]);
    expect(() => pg.add(pg.zeros([0]), pg.zeros([2]))).toThrow("axis −1 has 0 and 2");
  });
});
