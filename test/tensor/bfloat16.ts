/**
 * Tensors held as bfloat16: every device has the numbers of the widened ones, bit for bit.
 * @module
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  argsort,
  cast,
  concat,
  type DeviceName,
  type DeviceOptions,
  deviceStatistics,
  explain,
  gather,
  grad,
  matmul,
  ones,
  randomNormal,
  realize,
  realizeInto,
  scatterAdd,
  setDevice,
  slice,
  storeAs,
  sum,
  swapAxes,
  type Tensor,
  tensor,
  writeSlice,
  zeros,
} from "../../src/index.js";

/** A tensor in both forms: held as bfloat16, and its widened numbers held as float32. */
export async function pair(shape: number[], seed = 1): Promise<{ narrow: Tensor; wide: Tensor }> {
  const narrow = await storeAs("bfloat16", randomNormal(shape, { seed }));
  return { narrow, wide: tensor(await narrow.data(), { shape }) };
}

/** The same numbers from both forms of the same tensors, bit for bit. */
export async function expectSame(
  f: (t: Tensor) => Tensor,
  shape: number[],
  seed?: number,
): Promise<void> {
  const { narrow, wide } = await pair(shape, seed);
  expect(narrow.storage).toBe("bfloat16");
  expect(await f(narrow).data()).toEqual(await f(wide).data());
}

/** Defines the tests of a device. */
export function describeBFloat16(name: DeviceName, options: DeviceOptions): void {
  describe(`tensors held as bfloat16 on ${name}`, () => {
    beforeAll(() => setDevice(name, options));
    afterAll(() => setDevice("wasm"));

    it("take 2 bytes an element, and say so", async () => {
      const before = (await deviceStatistics()).bytes;
      const { narrow } = await pair([3, 5]);
      // A GPU's memory is in words.
      expect((await deviceStatistics()).bytes - before).toBe(name === "gpu" ? 32 : 30);
      expect(narrow.dtype).toBe("float32");
      expect(String(narrow)).toBe("Tensor bfloat16[3,5]");
      expect((await explain(narrow.add(1))).inputBytes).toBe(30);
    });

    it("are what rounding gives, and trees keep what is not float32", async () => {
      const given = { a: tensor([1, 1.001, -Math.PI]), b: tensor([1, 2], { dtype: "int32" }) };
      const { a, b } = await storeAs("bfloat16", given);
      expect(await a.array()).toEqual([1, 1, -3.140625]);
      expect(b).toBe(given.b);
      expect((await storeAs("bfloat16", a)) === a).toBe(true);
    });

    it.each([[[7]], [[4, 8]], [[3, 5]], [[2, 3, 9]]])(
      "are read by loops, of shape %j",
      async (shape) => {
        const last = shape.at(-1)!;
        await expectSame((t) => t.add(1).mul(t), shape);
        await expectSame((t) => sum(t, -1), shape);
        await expectSame((t) => sum(t, 0), shape);
        await expectSame((t) => swapAxes(t, 0, -1).add(1), shape);
        await expectSame((t) => slice(swapAxes(t, 0, -1), [0, last, 2]), shape);
        await expectSame((t) => concat([t, t], 0), shape);
        await expectSame((t) => t.reshape([-1, 1]).add(tensor([1, 2, 3])), shape);
      },
    );

    if (name === "wasm") {
      it("are read beside float64", async () => {
        await expectSame((t) => cast(t, "float64").mul(cast(t, "float64").add(0.1)), [3, 7]);
      });
    }

    it("are no kernel's copy: products and their gradients read them where they are", async () => {
      const { narrow } = await pair([8, 12]);
      const x = await realize(randomNormal([5, 8], { seed: 2 }));
      const kernelsOf = async (t: Tensor) => (await explain(t)).kernels.map(({ kind }) => kind);
      expect(await kernelsOf(matmul(x, narrow))).toEqual(["matmul"]);
      const y = await realize(randomNormal([5, 12], { seed: 3 }));
      const lossOf = (own: Tensor) => matmul(own, narrow).mul(y).sum();
      expect(await kernelsOf(grad(lossOf)(x))).toEqual(["matmul"]);
    });

    it("are gathered, scattered, sorted and written into", async () => {
      const ids = tensor([2, 0, 2, 1], { dtype: "int32" });
      await expectSame((t) => gather(t, ids), [3, 6]);
      await expectSame((t) => gather(t, ids, 1), [3, 7]);
      await expectSame((t) => scatterAdd(zeros([3, 5]), ids, t), [4, 5]);
      await expectSame((t) => scatterAdd(t, ids, ones([4, 5])), [3, 5]);
      await expectSame((t) => argsort(t), [3, 6]);
      await expectSame((t) => writeSlice(t, tensor([[9, 8, 7, 6, 5, 4]]), 1), [3, 6]);
      await expectSame(
        (t) => writeSlice(t.reshape([6, 3]), tensor([[9, 8, 7]]), tensor(4, { dtype: "int32" })),
        [3, 6],
      );
    });

    it.each([
      [1, 8, 8],
      [1, 7, 12],
      [1, 9, 5],
      [2, 16, 12],
      [5, 8, 8],
      [5, 9, 7],
      [17, 40, 33],
      [70, 300, 50],
    ])("are read by products of %i × %i × %i", async (m, k, n) => {
      const x = tensor(await randomNormal([m, k], { seed: 2 }).data(), { shape: [m, k] });
      await expectSame((t) => matmul(x, t), [k, n]);
      await expectSame((t) => matmul(x, swapAxes(t, 0, 1)), [n, k]);
      await expectSame((t) => matmul(t, swapAxes(x, 0, 1)), [n, k]);
      await expectSame((t) => matmul(swapAxes(t, 0, 1), swapAxes(x, 0, 1)), [k, n]);
      await expectSame((t) => matmul(x, t).add(1).tanh(), [k, n]);
      await expectSame((t) => matmul(t, swapAxes(t, 0, 1)), [m, k]);
    });

    it("are read by products of vectors and batches", async () => {
      const x = tensor(await randomNormal([3, 4, 12], { seed: 2 }).data(), { shape: [3, 4, 12] });
      await expectSame((t) => matmul(x, t), [3, 12, 5]);
      await expectSame((t) => matmul(x, t), [12, 6]);
      await expectSame((t) => matmul(x, t), [12]);
      await expectSame((t) => matmul(swapAxes(x, 1, 2), t), [3, 4, 7]);
    });

    it("have gradients of the widened numbers, in float32", async () => {
      const f = (t: Tensor) =>
        matmul(t, swapAxes(t, 0, 1))
          .tanh()
          .sum();
      await expectSame(grad(f), [4, 6]);
    });

    it("give up memory only to results that fit", async () => {
      const { narrow, wide } = await pair([4, 4]);
      const expected = await wide.mul(2).data();
      const doubled = await realizeInto(narrow, narrow.mul(2));
      expect(doubled.storage).toBe("float32");
      expect(await doubled.data()).toEqual(expected);
      await expect(narrow.data()).rejects.toThrow(/given up/);
    });

    it("have a copy held as float32", async () => {
      const { narrow } = await pair([4, 4]);
      const copy = await storeAs("float32", narrow);
      expect(copy.storage).toBe("float32");
      expect(await copy.data()).toEqual(await narrow.data());
    });
  });
}
