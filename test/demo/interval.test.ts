import { expect, test } from "vitest";
import { intervalOf, MOST_VALUES } from "../../bench/demo/interval.js";
import { randomGenerator } from "../../src/index.js";

test("the interval of five values is that of Student's t with four degrees of freedom", () => {
  const [mean, half] = intervalOf([1, 2, 3, 4, 5]);
  expect(mean).toBe(3);
  // 2.776·√2.5/√5
  expect(half).toBeCloseTo(1.963, 3);
});

test.each([2, 3, 5, MOST_VALUES])("intervals of %i values cover the mean 19 times in 20", (n) => {
  const next = randomGenerator(`intervals ${n}`);
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  const samples = 20_000;
  let covered = 0;
  for (let i = 0; i < samples; i++) {
    const [mean, half] = intervalOf(Array.from({ length: n }, normal));
    if (Math.abs(mean) < half) covered++;
  }
  // The standard deviation of the share is .0015.
  expect(Math.abs(covered / samples - 0.95)).toBeLessThan(0.006);
});
