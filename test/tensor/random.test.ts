/**
 * Seeded random tensors: reproducible, and distributed as they say.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { randomGenerator, randomNormal, randomUniform, setDevice } from "../../src/index.js";
import { total } from "../ops/reference.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

const moments = (
  values: ArrayLike<number>,
): [mean: number, std: number, skew: number, kurtosis: number] => {
  const list = Array.from(values);
  const mean = total(list) / list.length;
  const central = (order: number): number =>
    total(list.map((x) => (x - mean) ** order)) / list.length;
  const std = Math.sqrt(central(2));
  return [mean, std, central(3) / std ** 3, central(4) / std ** 4];
};

const COUNT = 40_000;

describe("randomNormal", () => {
  it("has the moments of a normal distribution", async () => {
    const [mean, std, skew, kurtosis] = moments(await randomNormal([COUNT], { seed: 1 }).data());
    expect(mean).toBeCloseTo(0, 1);
    expect(std).toBeCloseTo(1, 1);
    expect(skew).toBeCloseTo(0, 1);
    expect(kurtosis).toBeCloseTo(3, 0);
  });

  it("takes a mean and a standard deviation", async () => {
    const [mean, std] = moments(await randomNormal([COUNT], { seed: 2, mean: 5, std: 0.1 }).data());
    expect(mean).toBeCloseTo(5, 2);
    expect(std).toBeCloseTo(0.1, 2);
  });

  it("neighbours are independent", async () => {
    const x = await randomNormal([COUNT], { seed: 3, dtype: "float64" }).data();
    const products = Array.from(x.subarray(1), (value, i) => value * x[i]!);
    expect(Math.abs(total(products) / COUNT)).toBeLessThan(0.02);
  });
});

describe("randomUniform", () => {
  it("fills [low, high) evenly", async () => {
    const x = await randomUniform([COUNT], { seed: 4, low: -2, high: 6 }).data();
    const [mean, std] = moments(x);
    expect(mean).toBeCloseTo(2, 1);
    expect(std).toBeCloseTo(8 / Math.sqrt(12), 1);
    expect(Math.min(...x)).toBeGreaterThanOrEqual(-2);
    expect(Math.max(...x)).toBeLessThan(6);
  });

  it("defaults to [0, 1)", async () => {
    const x = await randomUniform([COUNT], { seed: 5 }).data();
    expect(Math.min(...x)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...x)).toBeLessThanOrEqual(1);
  });
});

describe("seeds", () => {
  it("determine the numbers, whatever the shape", async () => {
    const flat = await randomNormal([6], { seed: 7 }).data();
    expect(await randomNormal([2, 3], { seed: 7 }).data()).toEqual(flat);
    expect(await randomNormal([6], { seed: "7" }).data()).toEqual(flat);
    expect(await randomNormal([6], { seed: 8 }).data()).not.toEqual(flat);
    expect(await randomUniform([6], { seed: 7 }).data()).toEqual(
      await randomUniform([6], { seed: 7 }).data(),
    );
  });

  it("give the same numbers at every precision, rounded", async () => {
    const double = await randomNormal([5], { seed: 9, dtype: "float64" }).data();
    expect(await randomNormal([5], { seed: 9 }).data()).toEqual(Float32Array.from(double));
  });

  it("keep their numbers from release to release", async () => {
    const [first] = await randomUniform([1], { seed: 42, dtype: "float64" }).data();
    expect(first).toBe(randomGenerator(42)());
    expect(first).toBe(0.6848634963389486);
  });

  it("a generator continues its sequence", async () => {
    const generator = randomGenerator(10);
    const [a, b] = [
      randomUniform([3], { seed: generator }),
      randomUniform([3], { seed: generator }),
    ];
    const both = await randomUniform([6], { seed: 10 }).data();
    expect([...(await a.data()), ...(await b.data())]).toEqual([...both]);
  });

  it("empty tensors take no numbers", () => {
    expect(randomNormal([0, 3], { seed: 1 }).shape).toEqual([0, 3]);
    expect(() => randomNormal([-1], { seed: 1 })).toThrow(
      "randomNormal: a shape is an array of integers ≥ 0",
    );
    expect(() => randomUniform([-1], { seed: 1 })).toThrow(
      "randomUniform: a shape is an array of integers ≥ 0",
    );
  });
});
