/**
 * Reductions and products large enough for every thread and every tile, against plain sums.
 */

import { beforeAll, describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import { setDevice, type Tensor, tensor } from "../../src/index.js";
import { DEVICES } from "./devices.js";

const SIDE = 1000;
const next = pg.randomGenerator(1);
const values = Float32Array.from({ length: SIDE * SIDE }, () => next());

const rows = new Float64Array(SIDE);
const columns = new Float64Array(SIDE);
const largest = new Float64Array(SIDE).fill(-1);
for (const [i, value] of values.entries()) {
  rows[Math.floor(i / SIDE)]! += value;
  columns[i % SIDE]! += value;
  largest[i % SIDE] = Math.max(largest[i % SIDE]!, value);
}

async function expectRelative(
  t: Tensor,
  expected: ArrayLike<number>,
  tolerance = 1e-5,
): Promise<void> {
  const found = await t.data();
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    worst = Math.max(worst, Math.abs(found[i]! / expected[i]! - 1));
  }
  expect(found.length).toBe(expected.length);
  expect(worst).toBeLessThanOrEqual(tolerance);
}

for (const device of DEVICES) {
  describe(`a million elements on ${device.title}`, () => {
    beforeAll(() => setDevice(device.name, device.options));
    const x = (): Tensor => tensor(values, { shape: [SIDE, SIDE] });

    it("sum to 1e-5 over all, rows and columns", async () => {
      await expectRelative(x().sum(), [rows.reduce((a, b) => a + b)]);
      await expectRelative(x().sum(1), rows);
      await expectRelative(x().sum(0), columns);
      await expectRelative(x().transpose().sum(1), columns);
      await expectRelative(x().reshape([10, 100, SIDE]).sum([0, 1]), columns);
      await expectRelative(
        x()
          .reshape([SIDE * SIDE])
          .sum(),
        [rows.reduce((a, b) => a + b)],
      );
    });

    it("sum to 1e-5 where all are equal, which rounds worst", async () => {
      await expectRelative(pg.add(x().mul(0), 0.1).sum(), [0.1 * SIDE * SIDE]);
    });

    it("have their maxima", async () => {
      await expectRelative(x().max(0), largest, 0);
    });

    it("are computed with one by one", async () => {
      await expectRelative(
        x().mul(2).add(1),
        Float64Array.from(values, (value) => 2 * value + 1),
        1e-6,
      );
    });
  });
}

for (const device of DEVICES.filter(({ name }) => name !== "interpreter")) {
  describe(`large products on ${device.title}`, () => {
    beforeAll(() => setDevice(device.name, device.options));

    for (const [m, k, n] of [
      [256, 256, 256],
      [257, 131, 193],
      [1, 1000, 1000],
      [1000, 1000, 1],
      [700, 3, 900],
    ] as const) {
      it(`[${m},${k}] × [${k},${n}]`, async () => {
        const [a, b] = [
          values.subarray(0, m * k),
          values
            .subarray(0, k * n)
            .slice()
            .reverse(),
        ];
        const found = await pg
          .matmul(tensor(a, { shape: [m, k] }), tensor(b, { shape: [k, n] }))
          .data();
        const turned = await pg
          .matmul(tensor(b, { shape: [n, k] }), tensor(a, { shape: [k, m] }))
          .transpose()
          .data();
        // A sample of the elements: all of the first and last rows and columns, and a diagonal.
        for (let i = 0; i < m; i++) {
          for (let j = 0; j < n; j += i === 0 || i === m - 1 ? 1 : Math.max(1, n - 1)) {
            let [sum, other] = [0, 0];
            for (let l = 0; l < k; l++) {
              sum += a[i * k + l]! * b[l * n + j]!;
              other += b[j * k + l]! * a[l * m + i]!;
            }
            if (!(Math.abs(found[i * n + j]! / sum - 1) < 1e-5))
              expect(found[i * n + j], `${i},${j}`).toBe(sum);
            if (!(Math.abs(turned[i * n + j]! / other - 1) < 1e-5))
              expect(turned[i * n + j], `${i},${j}`).toBe(other);
          }
        }
      });
    }
  });
}
