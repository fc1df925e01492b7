/**
 * Which dtype an operation gives: every pair of dtypes, and every dtype with plain numbers.
 */

import { beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import { type DType, setDevice, type Tensor, type TensorLike, tensor } from "../../src/index.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

/** The library's functions by name. */
const named = { ...pg };

/** Mixed dtypes promote to the later one. */
const ORDER: DType[] = ["bool", "int32", "float32", "float64"];
const later = (...dtypes: DType[]): DType =>
  ORDER[Math.max(...dtypes.map((dtype) => ORDER.indexOf(dtype)))]!;
const one = (dtype: DType): Tensor => tensor([1], { dtype });
const pairs = ORDER.flatMap((a) => ORDER.map((b) => [a, b] as const));

type Binary = (a: TensorLike, b: TensorLike) => Tensor;

/** The dtype of a result from those of the operands. */
const BINARY: [string, Binary, (a: DType, b: DType) => DType][] = [
  ...(["add", "sub", "mul", "maximum", "minimum"] as const).map(
    (name): [string, Binary, (a: DType, b: DType) => DType] => [
      name,
      named[name],
      (a, b) => later("int32", a, b),
    ],
  ),
  ...(["div", "pow"] as const).map((name): [string, Binary, (a: DType, b: DType) => DType] => [
    name,
    named[name],
    (a, b) => later("float32", a, b),
  ]),
  ...(
    [
      "equal",
      "notEqual",
      "less",
      "lessEqual",
      "greater",
      "greaterEqual",
      "logicalAnd",
      "logicalOr",
    ] as const
  ).map((name): [string, Binary, (a: DType, b: DType) => DType] => [
    name,
    named[name],
    () => "bool",
  ]),
  ["where", (a, b) => pg.where(true, a, b), later],
];

describe("two tensors", () => {
  for (const [name, f, expected] of BINARY) {
    it(`${name} of every pair of dtypes`, async () => {
      for (const [a, b] of pairs) {
        const result = f(one(a), one(b));
        expect(result.dtype, `${name}(${a}, ${b})`).toBe(expected(a, b));
        const sums: Record<string, number> = { add: 2, sub: 0, notEqual: 0, less: 0, greater: 0 };
        expect((await result.data())[0], `${name}(${a}, ${b})`).toBe(sums[name] ?? 1);
      }
    });
  }

  it("matmul of floating-point pairs, and of one with an integer", () => {
    for (const [a, b] of pairs) {
      const product = (): Tensor => pg.matmul(one(a), one(b).reshape([1, 1]));
      const dtype = later(a, b);
      if (dtype === "float32" || dtype === "float64") expect(product().dtype).toBe(dtype);
      else
        expect(product).toThrow(`matmul: needs float32 or float64, got ${a} and ${b}; cast first`);
    }
  });

  it("concat promotes", async () => {
    for (const [a, b] of pairs) {
      const joined = pg.concat([one(a), one(b)]);
      expect(joined.dtype).toBe(later(a, b));
      expect(Array.from(await joined.data())).toEqual([1, 1]);
    }
  });
});

describe("a tensor and a plain value", () => {
  it("an integer takes the tensor's dtype", () => {
    for (const dtype of ORDER) {
      const number = dtype === "bool" ? "int32" : dtype;
      for (const result of [
        pg.add(one(dtype), 2),
        pg.mul(2, one(dtype)),
        pg.maximum(one(dtype), -3),
      ]) {
        expect(result.dtype).toBe(number);
      }
      expect(pg.where(true, one(dtype), 2).dtype).toBe(number);
    }
  });

  it("a fraction, NaN or an infinity makes integers float32", async () => {
    for (const value of [0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const dtype of ORDER)
        expect(pg.add(one(dtype), value).dtype).toBe(later("float32", dtype));
    }
    expect(await tensor([1, 2], { dtype: "int32" }).mul(0.5).array()).toEqual([0.5, 1]);
  });

  it("a boolean promotes nothing", () => {
    for (const dtype of ORDER) {
      expect(pg.where(true, one(dtype), false).dtype).toBe(dtype);
      expect(pg.add(one(dtype), true).dtype).toBe(later("int32", dtype));
    }
  });

  it("division gives floats", async () => {
    expect(pg.div(one("int32"), 2).dtype).toBe("float32");
    expect(await pg.div(one("int32"), 2).array()).toEqual([0.5]);
    expect(pg.div(1, one("float64")).dtype).toBe("float64");
  });

  it("powers give floats", () => {
    for (const exponent of [0, 1, 2, 3, 0.5, -1, 4]) {
      for (const dtype of ORDER) {
        expect(pg.pow(one(dtype), exponent).dtype, `${dtype} ** ${exponent}`).toBe(
          later("float32", dtype),
        );
      }
    }
  });

  it("comparisons give bool", () => {
    for (const dtype of ORDER) expect(pg.less(one(dtype), 0.5).dtype).toBe("bool");
  });
});

describe("one tensor", () => {
  it("transcendental functions make integers float32", () => {
    for (const name of [
      "exp",
      "log",
      "log1p",
      "expm1",
      "sqrt",
      "tanh",
      "erf",
      "sin",
      "cos",
      "sigmoid",
      "logSigmoid",
      "softplus",
      "log1mexp",
      "silu",
      "gelu",
    ] as const) {
      for (const dtype of ORDER)
        expect(named[name](one(dtype)).dtype, name).toBe(later("float32", dtype));
    }
    for (const name of ["softmax", "logSoftmax", "logSumExp", "mean"] as const) {
      for (const dtype of ORDER)
        expect(named[name](one(dtype)).dtype, name).toBe(later("float32", dtype));
    }
  });

  it("arithmetic keeps numbers and counts booleans as int32", () => {
    for (const name of [
      "neg",
      "abs",
      "sign",
      "square",
      "relu",
      "sum",
      "max",
      "min",
      "cumsum",
    ] as const) {
      for (const dtype of ORDER)
        expect(named[name](one(dtype)).dtype, name).toBe(later("int32", dtype));
    }
  });

  it("movement, selection and sorting keep every dtype", async () => {
    const index = tensor([0], { dtype: "int32" });
    const keep: [string, (x: Tensor) => Tensor][] = [
      ["reshape", (x) => x.reshape([1, 1])],
      ["transpose", (x) => x.reshape([1, 1]).transpose()],
      ["slice", (x) => x.slice([null, null, -1])],
      ["pad", (x) => x.pad([[1, 1]])],
      ["broadcastTo", (x) => x.broadcastTo([2, 1])],
      ["concat", (x) => pg.concat([x, x])],
      ["gather", (x) => x.gather(index)],
      ["takeAlongAxis", (x) => x.takeAlongAxis(index)],
      ["sort", (x) => x.sort()],
      ["stopGradient", pg.stopGradient],
    ];
    for (const [name, f] of keep) {
      for (const dtype of ORDER) {
        const result = f(one(dtype));
        expect(result.dtype, name).toBe(dtype);
        expect((await result.data()).constructor, name).toBe((await one(dtype).data()).constructor);
      }
    }
  });

  it("positions and tests have their own", () => {
    for (const dtype of ORDER) {
      expect(pg.argmax(one(dtype)).dtype).toBe("int32");
      expect(pg.argsort(one(dtype)).dtype).toBe("int32");
      expect(pg.isnan(one(dtype)).dtype).toBe("bool");
      expect(pg.isfinite(one(dtype)).dtype).toBe("bool");
      expect(pg.logicalNot(one(dtype)).dtype).toBe("bool");
    }
  });
});

describe("gradients", () => {
  it("have the dtype of what they belong to", () => {
    const [single, double] = [tensor([2]), tensor([3], { dtype: "float64" })];
    const both = pg.gradients(pg.mul(single, double), [single, double]);
    expect(both.map((g) => g.dtype)).toEqual(["float32", "float64"]);
  });
});
