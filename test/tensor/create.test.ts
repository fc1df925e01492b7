/**
 * Tensors from given values.
 */

import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  arange,
  eye,
  full,
  linspace,
  ones,
  onesLike,
  setDevice,
  type Tensor,
  type TensorData,
  tensor,
  zeros,
  zerosLike,
} from "../../src/index.js";
import { forAll, shapes, sizeOf } from "../ops/reference.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const described = ({ shape, dtype }: Tensor): [readonly number[], string] => [shape, dtype];

describe("tensor", () => {
  it("takes its shape from the nesting of arrays", async () => {
    const cases: [TensorData, number[]][] = [
      [5, []],
      [[], [0]],
      [
        [[], []],
        [2, 0],
      ],
      [[1, 2, 3], [3]],
      [
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
        [2, 3],
      ],
      [
        [[[1]], [[2]]],
        [2, 1, 1],
      ],
    ];
    for (const [data, shape] of cases) {
      expect(tensor(data).shape).toEqual(shape);
      expect(await tensor(data).array()).toEqual(data);
    }
  });

  it("round-trips through array() for every shape", () =>
    forAll(
      [
        shapes().chain((shape) =>
          fc
            .array(fc.float({ noNaN: true }), {
              minLength: sizeOf(shape),
              maxLength: sizeOf(shape),
            })
            .map((values) => ({ shape, values })),
        ),
      ],
      async ({ shape, values }) => {
        const x = tensor(Float32Array.from(values), { shape });
        expect(x.shape).toEqual(shape);
        expect(Array.from(await x.data())).toEqual(values);
        // Behind an extent of 0 nested arrays cannot say more.
        if (!shape.includes(0))
          expect(tensor((await x.array()) as TensorData).shape).toEqual(shape);
        expect(Array.from(await tensor((await x.array()) as TensorData).data())).toEqual(values);
      },
    ));

  it("takes its dtype from the data: typed arrays their own, booleans bool, numbers float32", () => {
    expect(described(tensor([1]))).toEqual([[1], "float32"]);
    expect(described(tensor([[true], [false]]))).toEqual([[2, 1], "bool"]);
    expect(described(tensor(new Float32Array(2)))).toEqual([[2], "float32"]);
    expect(described(tensor(new Float64Array(2)))).toEqual([[2], "float64"]);
    for (const integers of [
      new Int32Array(2),
      new Uint8Array(2),
      new Int8Array(2),
      new Uint16Array(2),
      new Int16Array(2),
    ]) {
      expect(described(tensor(integers))).toEqual([[2], "int32"]);
    }
  });

  it("converts to a dtype that is asked for", async () => {
    expect(await tensor([1, -1], { dtype: "int32" }).array()).toEqual([1, -1]);
    expect(await tensor(new Uint8Array([0, 255]), { dtype: "float64" }).data()).toEqual(
      Float64Array.of(0, 255),
    );
    expect(await tensor([true, false], { dtype: "float32" }).array()).toEqual([1, 0]);
    expect(await tensor([0.1]).data()).toEqual(Float32Array.of(0.1));
    expect(await tensor([0.1], { dtype: "float64" }).array()).toEqual([0.1]);
  });

  it("takes bigints and half-precision arrays", async () => {
    expect(await tensor([1n, -2n]).data()).toEqual(Int32Array.of(1, -2));
    expect(await tensor(BigInt64Array.of(5n, -7n)).data()).toEqual(Int32Array.of(5, -7));
    expect(await tensor(BigUint64Array.of(9n), { dtype: "float64" }).data()).toEqual(
      Float64Array.of(9),
    );
    const { Float16Array: Half } = globalThis as unknown as {
      Float16Array?: new (values: number[]) => Uint16Array;
    };
    if (Half) expect(await tensor(new Half([0.5, -2])).data()).toEqual(Float32Array.of(0.5, -2));
  });

  it("refuses in int32 what int32 does not hold, and mixed kinds", () => {
    const remedy = 'dtype "float64" holds it, and cast("int32") of that truncates';
    for (const value of [1.5, 2 ** 31, -(2 ** 31) - 1, Number.NaN, Number.POSITIVE_INFINITY]) {
      const message = `${value} is no int32; ${remedy}`;
      expect(() => tensor([0, value], { dtype: "int32" })).toThrow(`tensor: ${message}`);
      expect(() => tensor(Float64Array.of(value), { dtype: "int32" })).toThrow(message);
      expect(() => full([2], value, { dtype: "int32" })).toThrow(`full: ${message}`);
    }
    expect(() => tensor(Uint32Array.of(1, 4e9))).toThrow("tensor: 4000000000 is no int32");
    expect(() => tensor(BigInt64Array.of(2n ** 40n))).toThrow("tensor: 1099511627776 is no int32");
    expect(() => tensor([2n ** 31n])).toThrow("tensor: 2147483648 is no int32");
    expect(() => tensor([true, 1] as never)).toThrow("tensor: found a number among booleans");
    expect(() => tensor([1, true] as never)).toThrow("tensor: found a boolean among numbers");
    expect(() => tensor([1, 2n] as never)).toThrow("tensor: found a bigint among numbers");
    expect(() => arange(0, 2, 0.5, { dtype: "int32" })).toThrow("arange: 0.5 is no int32");
  });

  it("as bool is true for anything but 0", async () => {
    const expected = [true, false, true, true];
    expect(await tensor([0.5, 0, -3, Number.NaN], { dtype: "bool" }).array()).toEqual(expected);
    expect(
      await tensor(Float32Array.of(0.5, 0, -3, Number.NaN), { dtype: "bool" }).array(),
    ).toEqual(expected);
  });

  it("gives typed arrays a shape", async () => {
    expect(await tensor(Float32Array.of(1, 2, 3, 4), { shape: [2, 2] }).array()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(tensor([1, 2, 3, 4], { shape: [4, 1] }).shape).toEqual([4, 1]);
    expect(tensor(new Float32Array(0), { shape: [2, 0, 3] }).shape).toEqual([2, 0, 3]);
  });

  it("copies: later changes of the array do not show", async () => {
    const values = Float32Array.of(1, 2);
    const x = tensor(values);
    values[0] = 100;
    const read = await x.data();
    expect(Array.from(read)).toEqual([1, 2]);
    read[0] = 100;
    expect(await x.array()).toEqual([1, 2]);
    const shape = [2];
    const y = tensor([1, 2], { shape });
    shape[0] = 3;
    expect(y.shape).toEqual([2]);
  });

  it("refuses ragged arrays, wrong sizes, and what is no number", () => {
    expect(() => tensor([[1, 2], [3]])).toThrow(
      "tensor: ragged arrays: at depth 1 expected 2 elements, found 1",
    );
    expect(() => tensor([[1], 2] as never)).toThrow(
      "tensor: ragged arrays: at depth 1 expected 1 elements, found 2",
    );
    expect(() => tensor([1, [2]] as never)).toThrow(
      "tensor: expected numbers or booleans, found an array",
    );
    expect(() => tensor(["1"] as never)).toThrow('tensor: expected numbers or booleans, found "1"');
    expect(() => tensor([1, 2, 3], { shape: [2, 2] })).toThrow(
      "tensor: 3 values do not fill shape [2,2] (4 elements)",
    );
    expect(() => tensor([1], { shape: [-1] })).toThrow(
      "tensor: a shape is an array of integers ≥ 0, not [-1]",
    );
    expect(() => tensor([1], { shape: [1.5] })).toThrow(
      "tensor: a shape is an array of integers ≥ 0",
    );
    expect(() => tensor([1], { shape: 1 as never })).toThrow(
      "tensor: a shape is an array of integers ≥ 0, not 1",
    );
  });
});

describe("filled tensors", () => {
  it("full repeats a value", async () => {
    expect(await full([2, 2], 7).array()).toEqual([
      [7, 7],
      [7, 7],
    ]);
    expect(described(full([2], true))).toEqual([[2], "bool"]);
    expect(described(full([], 1, { dtype: "float64" }))).toEqual([[], "float64"]);
    expect(await full([1], 2, { dtype: "int32" }).array()).toEqual([2]);
    expect(await full([1], 0.5, { dtype: "bool" }).array()).toEqual([true]);
    expect(await full([0], 1).array()).toEqual([]);
    expect(() => full([-2], 1)).toThrow("full: a shape is an array of integers ≥ 0, not [-2]");
  });

  it("zeros, ones and their like", async () => {
    expect(await zeros([2]).array()).toEqual([0, 0]);
    expect(await ones([2]).array()).toEqual([1, 1]);
    expect(described(zeros([2], { dtype: "bool" }))).toEqual([[2], "bool"]);
    const like = tensor([[1, 2]], { dtype: "float64" });
    expect(described(zerosLike(like))).toEqual([[1, 2], "float64"]);
    expect(await onesLike(like).array()).toEqual([[1, 1]]);
  });

  it("eye is the identity matrix", async () => {
    expect(await eye(2).array()).toEqual([
      [1, 0],
      [0, 1],
    ]);
    expect(described(eye(0, { dtype: "float64" }))).toEqual([[0, 0], "float64"]);
    expect(() => eye(-1)).toThrow("eye: a shape is an array of integers ≥ 0");
  });
});

describe("arange", () => {
  it("counts from start to below stop", async () => {
    expect(await arange(4).array()).toEqual([0, 1, 2, 3]);
    expect(await arange(2, 5).array()).toEqual([2, 3, 4]);
    expect(await arange(5, 0, -2).array()).toEqual([5, 3, 1]);
    expect(await arange(0, 1, 0.25).array()).toEqual([0, 0.25, 0.5, 0.75]);
    expect(await arange(3, 3).array()).toEqual([]);
    expect(await arange(3, 0).array()).toEqual([]);
  });

  it("is int32 for integers and float32 otherwise", () => {
    expect(arange(3).dtype).toBe("int32");
    expect(arange(0, 1, 0.5).dtype).toBe("float32");
    expect(arange(0.5, 3).dtype).toBe("float32");
    expect(arange(0, 3, 1, { dtype: "float64" }).dtype).toBe("float64");
  });

  it("refuses steps of 0 and infinite ranges", () => {
    expect(() => arange(0, 3, 0)).toThrow(
      "arange: needs finite bounds and a step ≠ 0, got 0, 3, 0",
    );
    expect(() => arange(Number.POSITIVE_INFINITY)).toThrow("arange: needs finite bounds");
  });
});

describe("linspace", () => {
  it("gives numbers at equal distances, both ends exact", async () => {
    expect(await linspace(0, 1, 5).array()).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(await linspace(3, -3, 4).array()).toEqual([3, 1, -1, -3]);
    const fine = await linspace(0.1, 0.7, 1001, { dtype: "float64" }).data();
    expect([fine[0], fine[1000], fine.length]).toEqual([0.1, 0.7, 1001]);
    expect(fine[500]).toBeCloseTo(0.4, 15);
  });

  it("of one number is the start, and of none empty", async () => {
    expect(await linspace(2, 5, 1).array()).toEqual([2]);
    expect(await linspace(2, 5, 0).array()).toEqual([]);
  });

  it("refuses infinite bounds and counts that are none", () => {
    expect(() => linspace(0, Number.POSITIVE_INFINITY, 3)).toThrow(/linspace: needs finite bounds/);
    expect(() => linspace(0, 1, 2.5)).toThrow(/^linspace: /);
    expect(() => linspace(0, 1, 2, { dtype: "f32" as never })).toThrow(/linspace: unknown dtype/);
  });
});
