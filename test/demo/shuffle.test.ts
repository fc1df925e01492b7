import fc from "fast-check";
import { expect, test } from "vitest";
import { dataOrder } from "../../bench/demo/shuffle.js";

test("every epoch visits every example once, each in its own order", () => {
  const order = dataOrder("seed", 20, 5);
  const epochs = [0, 1].map((epoch) => [0, 1, 2, 3].flatMap((i) => order(4 * epoch + i)));
  for (const epoch of epochs) {
    expect([...epoch].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  }
  expect(epochs[0]).not.toEqual(epochs[1]);
});

test("a batch depends on the seed and the step alone", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { minLength: 1 }), fc.nat(), (steps, seed) => {
      const order = dataOrder(seed, 7, 3);
      for (const step of steps) expect(order(step)).toEqual(dataOrder(seed, 7, 3)(step));
    }),
  );
});
