/**
 * Movement against index functions written out.
 */

import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import { type SliceRange, setDevice, tensor } from "../../src/index.js";
import {
  arrayOf,
  at,
  build,
  expectTensor,
  forAll,
  type Reference,
  replaced,
  shapes,
  sizeOf,
  toTensor,
} from "./reference.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const someArray = shapes({ maxRank: 4 }).chain((shape) => arrayOf(shape));
const counted = (shape: number[]): Reference => {
  let next = 0;
  return build(shape, () => next++);
};

/** Python's `range(extent)[start:stop:step]`. */
function pythonRange(
  extent: number,
  start: number | null,
  stop: number | null,
  step: number,
): number[] {
  const [low, high] = step > 0 ? [0, extent] : [-1, extent - 1];
  const place = (position: number | null, whenOpen: number): number => {
    if (position === null) return whenOpen;
    return Math.min(Math.max(position < 0 ? position + extent : position, low), high);
  };
  const positions: number[] = [];
  const first = place(start, step > 0 ? 0 : extent - 1);
  const end = place(stop, step > 0 ? extent : -1);
  for (let i = first; step > 0 ? i < end : i > end; i += step) positions.push(i);
  return positions;
}

describe("slice", () => {
  const position = fc.option(fc.integer({ min: -6, max: 6 }), { nil: null });
  const range = fc.tuple(position, position, fc.constantFrom(1, 2, 3, 5, -1, -2, -3));

  it("is Python's, with negative positions and steps, on every axis", () =>
    forAll(
      [someArray.chain((x) => fc.tuple(fc.constant(x), fc.tuple(...x.shape.map(() => range))))],
      ([x, ranges]) => {
        const kept = x.shape.map((extent, d) => pythonRange(extent, ...ranges[d]!));
        return expectTensor(
          pg.slice(toTensor(x), ...ranges),
          build(
            kept.map((positions) => positions.length),
            (index) =>
              at(
                x,
                index.map((i, d) => kept[d]![i]!),
              ),
          ),
        );
      },
      200,
    ));

  it("of a slice composes", async () => {
    const x = toTensor(counted([10]));
    const ranges: SliceRange[] = [
      [1, 9, 2],
      [null, null, -1],
      [1, 3],
    ];
    const twice = ranges.reduce((t, one) => t.slice(one), x);
    expect(await twice.array()).toEqual([5, 3]);
  });

  it("leaves later axes whole and keeps the axis of an index", async () => {
    const x = tensor([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(await x.slice(-1).array()).toEqual([[5, 6]]);
    expect(await x.slice(null, 0).array()).toEqual([[1], [3], [5]]);
    expect(await x.slice([1]).array()).toEqual([
      [3, 4],
      [5, 6],
    ]);
    expect(await x.slice().array()).toEqual(await x.array());
    expect(await x.slice(1).squeeze(0).array()).toEqual([3, 4]);
  });

  it("refuses indices outside, steps of 0 and too many ranges", () => {
    const x = pg.zeros([3, 2]);
    expect(() => x.slice(3)).toThrow("slice: index 3 is out of range for axis 0 of extent 3");
    expect(() => x.slice(null, -3)).toThrow(
      "slice: index -3 is out of range for axis 1 of extent 2",
    );
    expect(() => x.slice([0, 1, 0])).toThrow("slice: step 0 of axis 0");
    expect(() => x.slice(0, 0, 0)).toThrow("slice: 3 ranges for the 2 axes of [3,2]");
  });
});

describe("flip", () => {
  it("reverses the named axes, all by default", () =>
    forAll(
      [someArray.chain((x) => fc.tuple(fc.constant(x), fc.subarray([...x.shape.keys()])))],
      async ([x, axes]) => {
        const reversed = (along: number[]): Reference =>
          build([...x.shape], (index) =>
            at(
              x,
              index.map((i, d) => (along.includes(d) ? x.shape[d]! - 1 - i : i)),
            ),
          );
        await expectTensor(pg.flip(toTensor(x), axes), reversed(axes));
        await expectTensor(pg.flip(toTensor(x)), reversed([...x.shape.keys()]));
      },
    ));
});

describe("reshape", () => {
  it("keeps the elements in row-major order, also of views", () =>
    forAll(
      [
        shapes({ maxRank: 3, maxExtent: 6 }).chain((shape) => arrayOf(shape)),
        fc.nat(),
        fc.boolean(),
      ],
      async (x, pick, transposed) => {
        const size = sizeOf(x.shape);
        const factors = Array.from({ length: size + 1 }, (_, n) => n).filter(
          (n) => n > 0 && size % n === 0,
        );
        const first = size === 0 ? 0 : factors[pick % factors.length]!;
        const target = size === 0 ? [2, 0] : [first, size / first];
        const source = transposed
          ? build([...x.shape].reverse(), (index) => at(x, [...index].reverse()))
          : x;
        const view = transposed ? toTensor(x).transpose() : toTensor(x);
        await expectTensor(pg.reshape(view, target), { shape: target, values: source.values });
        // Not the identity on the way, so that the reshape is not undone by hand.
        await expectTensor(view.reshape([-1]).mul(2).reshape(target), {
          shape: target,
          values: source.values.map((value) => 2 * value),
        });
      },
    ));

  it("works out one extent of −1", () => {
    expect(pg.zeros([2, 6]).reshape([3, -1]).shape).toEqual([3, 4]);
    expect(pg.zeros([]).reshape([-1]).shape).toEqual([1]);
    expect(pg.zeros([0, 3]).reshape([-1, 3]).shape).toEqual([0, 3]);
    expect(pg.zeros([1, 1]).reshape([]).shape).toEqual([]);
  });

  it("refuses what does not fit, with both shapes and the number of elements", () => {
    const message = "reshape: shape [2,3] (6 elements) does not fit";
    const x = pg.zeros([2, 3]);
    expect(() => x.reshape([4])).toThrow(`${message} [4]`);
    expect(() => x.reshape([4, -1])).toThrow(`${message} [4,-1]`);
    expect(() => x.reshape([-1, -1])).toThrow(message);
    expect(() => x.reshape([1.5, 4])).toThrow(message);
  });

  it("to the shape it has is the tensor", () => {
    const x = pg.randomNormal([2, 3], { seed: 1 });
    expect(x.reshape([2, 3])).toBe(x);
    expect(x.reshape([6]).reshape([2, 3])).toBe(x);
  });
});

describe("transpose", () => {
  it("puts input axis order[d] at d", () =>
    forAll(
      [
        someArray.chain((x) => {
          const axes = [...x.shape.keys()];
          return fc.tuple(
            fc.constant(x),
            fc.shuffledSubarray(axes, { minLength: axes.length, maxLength: axes.length }),
          );
        }),
      ],
      async ([x, order]) => {
        const permuted = build(
          order.map((axis) => x.shape[axis]!),
          (index) => {
            const source: number[] = [];
            order.forEach((axis, d) => {
              source[axis] = index[d]!;
            });
            return at(x, source);
          },
        );
        await expectTensor(pg.transpose(toTensor(x), order), permuted);
        const negative = order.map((axis) => axis - x.shape.length);
        await expectTensor(pg.transpose(toTensor(x), negative), permuted);
      },
    ));

  it("reverses all axes by default", async () => {
    expect(
      await tensor([[1, 2, 3]])
        .transpose()
        .array(),
    ).toEqual([[1], [2], [3]]);
    expect(pg.zeros([2, 3, 4]).transpose().shape).toEqual([4, 3, 2]);
  });

  it("refuses what is not an order of the axes", () => {
    const x = pg.zeros([2, 3]);
    expect(() => x.transpose([0])).toThrow(
      "transpose: axes [0] are not an order of the 2 axes of [2,3]",
    );
    expect(() => x.transpose([0, 0])).toThrow("transpose: axes [0,0]");
    expect(() => x.transpose([0, 2])).toThrow("transpose: axis 2 is out of range: axes are -2 … 1");
  });

  it("swapAxes exchanges two axes", () => {
    expect(pg.swapAxes(pg.zeros([2, 3, 4]), 0, -1).shape).toEqual([4, 3, 2]);
    expect(pg.swapAxes(pg.zeros([2, 3, 4]), 1, 1).shape).toEqual([2, 3, 4]);
  });
});

describe("pad", () => {
  const width = fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 2 }));

  it("surrounds with zeros", () =>
    forAll(
      [someArray.chain((x) => fc.tuple(fc.constant(x), fc.tuple(...x.shape.map(() => width))))],
      ([x, widths]) =>
        expectTensor(
          pg.pad(toTensor(x), widths),
          build(
            x.shape.map((extent, d) => extent + widths[d]![0] + widths[d]![1]),
            (index) => {
              const source = index.map((i, d) => i - widths[d]![0]);
              return source.every((i, d) => i >= 0 && i < x.shape[d]!) ? at(x, source) : 0;
            },
          ),
        ),
    ));

  it("pads a computed value, not its argument", async () => {
    expect(
      await tensor([1, 2])
        .exp()
        .pad([[1, 1]])
        .slice([0, 1])
        .array(),
    ).toEqual([0]);
    expect(await pg.pad(pg.ones([1]), [[1, 2]]).array()).toEqual([0, 1, 0, 0]);
    expect(await pg.pad(tensor([true]), [[1, 0]]).array()).toEqual([false, true]);
  });

  it("refuses widths that are no pair per axis", () => {
    const x = pg.zeros([2, 3]);
    expect(() => x.pad([[1, 1]])).toThrow(
      "pad: needs a pair of widths ≥ 0 for each of the 2 axes of [2,3], got [[1,1]]",
    );
    expect(() =>
      x.pad([
        [1, 1],
        [-1, 0],
      ]),
    ).toThrow("pad: needs a pair of widths ≥ 0");
  });
});

describe("concat and stack", () => {
  it("concat joins along any axis, empty parts included", () =>
    forAll(
      [
        shapes({ minRank: 1, maxRank: 3, maxExtent: 3 }).chain((shape) =>
          fc
            .tuple(
              fc.integer({ min: -shape.length, max: shape.length - 1 }),
              fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 4 }),
            )
            .chain(([axis, extents]) =>
              fc.tuple(
                fc.constant(axis),
                fc.tuple(...extents.map((extent) => arrayOf(replaced(shape, axis, extent)))),
              ),
            ),
        ),
      ],
      ([axis, parts]) => {
        const d = axis < 0 ? axis + parts[0]!.shape.length : axis;
        const owners = parts.flatMap((part) =>
          Array.from({ length: part.shape[d]! }, (_, i) => [part, i] as const),
        );
        return expectTensor(
          pg.concat(
            parts.map((part) => toTensor(part)),
            axis,
          ),
          build(replaced(parts[0]!.shape, d, owners.length), (index) => {
            const [part, i] = owners[index[d]!]!;
            return at(part, replaced(index, d, i));
          }),
        );
      },
      120,
    ));

  it("concat keeps NaN and infinities to their places", async () => {
    const parts = [tensor([Number.NaN]), tensor([1]), tensor([Number.POSITIVE_INFINITY])];
    expect(await pg.concat(parts).array()).toEqual([Number.NaN, 1, Number.POSITIVE_INFINITY]);
  });

  it("concat promotes dtypes, also those of empty parts", () => {
    const int = tensor([1], { dtype: "int32" });
    expect(pg.concat([int, tensor([1])]).dtype).toBe("float32");
    expect(pg.concat([int, pg.zeros([0])]).dtype).toBe("float32");
  });

  it("concat refuses no tensors and shapes that differ elsewhere", () => {
    expect(() => pg.concat([])).toThrow("concat: needs at least one tensor");
    expect(() => pg.concat([pg.zeros([2, 3]), pg.zeros([2, 4])])).toThrow(
      "concat: shapes [2,3] and [2,4] differ outside axis 0",
    );
    expect(() => pg.concat([pg.zeros([2]), pg.zeros([2, 1])])).toThrow(
      "concat: shapes [2] and [2,1]",
    );
  });

  it("stack adds an axis", async () => {
    const parts = [tensor([1, 2]), tensor([3, 4]), tensor([5, 6])];
    expect(await pg.stack(parts).array()).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(await pg.stack(parts, 1).array()).toEqual([
      [1, 3, 5],
      [2, 4, 6],
    ]);
    expect(await pg.stack(parts, -1).array()).toEqual([
      [1, 3, 5],
      [2, 4, 6],
    ]);
    expect(await pg.stack([tensor(1), tensor(2)]).array()).toEqual([1, 2]);
  });
});

describe("broadcastTo, squeeze and expandDims", () => {
  it("broadcastTo repeats", async () => {
    expect(
      await tensor([[1], [2]])
        .broadcastTo([2, 2, 3])
        .array(),
    ).toEqual([
      [
        [1, 1, 1],
        [2, 2, 2],
      ],
      [
        [1, 1, 1],
        [2, 2, 2],
      ],
    ]);
    expect(tensor([1]).broadcastTo([0]).shape).toEqual([0]);
  });

  it("broadcastTo never shrinks", () => {
    expect(() => pg.zeros([2, 3]).broadcastTo([3])).toThrow(
      "broadcastTo: shape [2,3] does not broadcast to [3]",
    );
    expect(() => pg.zeros([3]).broadcastTo([1])).toThrow(
      "broadcastTo: shape [3] does not broadcast to [1]",
    );
    expect(() => pg.zeros([3]).broadcastTo([2])).toThrow(
      "broadcastTo: shapes [3] and [2] do not broadcast",
    );
  });

  it("sumTo is its adjoint", async () => {
    expect(
      await pg
        .sumTo(
          tensor([
            [1, 2],
            [3, 4],
          ]),
          [2],
        )
        .array(),
    ).toEqual([4, 6]);
    expect(
      await pg
        .sumTo(
          tensor([
            [1, 2],
            [3, 4],
          ]),
          [2, 1],
        )
        .array(),
    ).toEqual([[3], [7]]);
    expect(await pg.sumTo(pg.zeros([0, 3]), [1, 3]).array()).toEqual([[0, 0, 0]]);
  });

  it("squeeze drops axes of extent 1", () => {
    const x = pg.zeros([1, 2, 1]);
    expect(x.squeeze().shape).toEqual([2]);
    expect(x.squeeze(0).shape).toEqual([2, 1]);
    expect(x.squeeze([-1, 0]).shape).toEqual([2]);
    expect(() => x.squeeze(1)).toThrow("squeeze: axis 1 of [1,2,1] has extent 2, not 1");
  });

  it("expandDims adds one anywhere", () => {
    const x = pg.zeros([2, 3]);
    expect([0, 1, 2, -1, -3].map((axis) => x.expandDims(axis).shape)).toEqual([
      [1, 2, 3],
      [2, 1, 3],
      [2, 3, 1],
      [2, 3, 1],
      [1, 2, 3],
    ]);
    expect(() => x.expandDims(3)).toThrow("expandDims: axis 3 is out of range: axes are -3 … 2");
  });
});

describe("at", () => {
  it("is the part at positions of the leading axes, counted from either end", () =>
    forAll(
      [
        shapes({ minRank: 1, maxRank: 3, minExtent: 1 }).chain((shape) =>
          fc.tuple(
            arrayOf(shape),
            fc
              .integer({ min: 0, max: shape.length })
              .chain((count) =>
                fc.tuple(...shape.slice(0, count).map((n) => fc.integer({ min: -n, max: n - 1 }))),
              ),
          ),
        ),
      ],
      ([x, positions]) =>
        expectTensor(
          toTensor(x).at(...positions),
          build(x.shape.slice(positions.length), (index) =>
            at(x, [...positions.map((p, d) => (p < 0 ? p + x.shape[d]! : p)), ...index]),
          ),
        ),
    ));

  it("gives scalars and rows", async () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(await x.at(1, 0).item()).toBe(3);
    expect(await x.at(-1).array()).toEqual([3, 4]);
    expect(x.at()).toBe(x);
  });

  it("refuses positions outside, fractions, and more positions than axes", () => {
    const x = pg.zeros([3, 2]);
    expect(() => x.at(3)).toThrow("at: index 3 is out of range for axis 0 of extent 3");
    expect(() => x.at(0, -3)).toThrow("at: index -3 is out of range for axis 1 of extent 2");
    expect(() => x.at(0.5)).toThrow(/^at: index 0.5/);
    expect(() => x.at(0, 0, 0)).toThrow(/3 ranges for the 2 axes of \[3,2\]/);
  });
});

describe("split", () => {
  it("by size gives pieces that concat joins, the last as long as what is left", () =>
    forAll(
      [shapes({ minRank: 1, maxRank: 3 }), fc.nat(), fc.integer({ min: 1, max: 5 })],
      async (shape, pick, size) => {
        const axis = pick % shape.length;
        const x = counted(shape);
        const parts = pg.split(toTensor(x), size, axis);
        const extents = parts.map((part) => part.shape[axis]!);
        expect(extents.slice(0, -1).every((n) => n === size)).toBe(true);
        expect(extents.at(-1)).toBeLessThanOrEqual(size);
        await expectTensor(pg.concat(parts, axis), x);
      },
    ));

  it("by a list of sizes gives these", async () => {
    const parts = pg.split(tensor([1, 2, 3, 4, 5]), [2, 0, 3]);
    expect(await Promise.all(parts.map((part) => part.array()))).toEqual([[1, 2], [], [3, 4, 5]]);
    expect(pg.split(pg.zeros([2, 6]), 4, -1).map((part) => part.shape)).toEqual([
      [2, 4],
      [2, 2],
    ]);
  });

  it("refuses sizes that do not add up or are none", () => {
    const x = pg.zeros([5]);
    expect(() => pg.split(x, [2, 2])).toThrow(
      "split: sizes [2,2] do not add up to 5, the extent of axis 0",
    );
    for (const size of [0, -1, 2.5, Number.NaN])
      expect(() => pg.split(x, size)).toThrow(/^split: /);
    expect(() => pg.split(x, [6, -1])).toThrow(/^split: /);
    expect(() => pg.split(tensor(1), 1)).toThrow(/^split: axis 0 is out of range/);
  });
});

describe("repeat and repeatInterleave", () => {
  it("repeat tiles, and more numbers than axes add leading axes", () =>
    forAll(
      [
        shapes({ maxRank: 2, maxExtent: 3 }).chain((shape) =>
          fc.tuple(
            arrayOf(shape),
            fc.array(fc.nat(3), { minLength: shape.length, maxLength: shape.length + 1 }),
          ),
        ),
      ],
      ([x, repeats]) => {
        const shape = [...new Array(repeats.length - x.shape.length).fill(1), ...x.shape];
        return expectTensor(
          pg.repeat(toTensor(x), repeats),
          build(
            shape.map((extent, d) => extent * repeats[d]!),
            (index) =>
              at(
                { ...x, shape },
                index.map((i, d) => i % shape[d]!),
              ),
          ),
        );
      },
    ));

  it("repeatInterleave repeats each element in its place", () =>
    forAll(
      [shapes({ minRank: 1, maxRank: 3, maxExtent: 3 }), fc.nat(), fc.nat(3)],
      (shape, pick, count) => {
        const axis = pick % shape.length;
        const x = counted(shape);
        return expectTensor(
          pg.repeatInterleave(toTensor(x), count, axis),
          build(replaced(shape, axis, shape[axis]! * count), (index) =>
            at(x, replaced(index, axis, Math.floor(index[axis]! / count))),
          ),
        );
      },
    ));

  it("have PyTorch's meanings", async () => {
    const x = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(await pg.repeat(tensor([1, 2]), [2]).array()).toEqual([1, 2, 1, 2]);
    expect(await pg.repeat(tensor([1, 2]), [2, 1]).array()).toEqual([
      [1, 2],
      [1, 2],
    ]);
    expect(await pg.repeatInterleave(x, 2).array()).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
    expect(await pg.repeatInterleave(x, 2, 0).array()).toEqual([
      [1, 2],
      [1, 2],
      [3, 4],
      [3, 4],
    ]);
  });

  it("refuse fewer numbers than axes, and what is no number of copies", () => {
    expect(() => pg.repeat(pg.zeros([2, 2]), [2])).toThrow(
      "repeat: needs a number for each of the 2 axes, got 2",
    );
    for (const count of [-1, 0.5]) {
      expect(() => pg.repeat(pg.zeros([2]), [count])).toThrow(/integers ≥ 0/);
      expect(() => pg.repeatInterleave(pg.zeros([2]), count)).toThrow(/integers ≥ 0/);
    }
  });
});

describe("tril and triu", () => {
  it("keep what is on or below, on or above a diagonal", () =>
    forAll(
      [
        shapes({ minRank: 2, maxRank: 3 }).chain((shape) => arrayOf(shape)),
        fc.integer({ min: -4, max: 4 }),
      ],
      async (x, diagonal) => {
        const offset = (index: number[]): number => index.at(-1)! - index.at(-2)!;
        await expectTensor(
          pg.tril(toTensor(x), diagonal),
          build(x.shape, (index) => (offset(index) <= diagonal ? at(x, index) : 0)),
        );
        await expectTensor(
          pg.triu(toTensor(x), diagonal),
          build(x.shape, (index) => (offset(index) >= diagonal ? at(x, index) : 0)),
        );
      },
    ));

  it("keep the dtype, and NaN out of the other triangle", async () => {
    const x = tensor([
      [Number.NaN, Number.NaN],
      [1, 2],
    ]);
    expect(await pg.tril(x, -1).array()).toEqual([
      [0, 0],
      [1, 0],
    ]);
    expect(pg.triu(pg.ones([2, 2], { dtype: "bool" })).dtype).toBe("bool");
    expect(pg.tril(pg.ones([2, 2], { dtype: "int32" })).dtype).toBe("int32");
  });

  it("need matrices", () => {
    expect(() => pg.tril(pg.zeros([2]))).toThrow(/^tril: axis -2 is out of range/);
    expect(() => pg.triu(tensor(1))).toThrow(/^triu: axis -2 is out of range/);
  });
});
