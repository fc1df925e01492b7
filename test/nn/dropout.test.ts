/**
 * Dropout: what is dropped, how the rest is scaled, and that a seed decides.
 */

import { describe, expect, it } from "vitest";
import {
  checkGradients,
  checkpoint,
  deviceStatistics,
  dropout,
  gradients,
  ones,
  randomNormal,
  realize,
  setDevice,
  tensor,
} from "../../src/index.js";
import { DEVICES } from "../conformance/devices.js";

const seed = "layer 1";

for (const device of DEVICES) {
  describe(`dropout on ${device.title}`, () => {
    const use = (): Promise<void> => setDevice(device.name, device.options);

    it("drops a share of about the rate and scales the rest, so that the mean stays", async () => {
      await use();
      const y = await dropout(ones([100, 100]), 0.2, { seed }).data();
      expect(new Set(y)).toEqual(new Set([0, Math.fround(1 / Math.fround(0.8))]));
      const dropped = y.filter((value) => value === 0).length;
      // Five standard deviations of a binomial distribution of 10,000.
      expect(Math.abs(dropped - 2000)).toBeLessThan(5 * Math.sqrt(10_000 * 0.2 * 0.8));
    });

    it("has the mask of its seed, and another for another", async () => {
      await use();
      const mask = async (s: number | string): Promise<string> =>
        String(
          await dropout(ones([64]), 0.5, { seed: s })
            .greater(0)
            .data(),
        );
      expect(await mask(7)).toBe(await mask(7));
      expect(await mask(7)).not.toBe(await mask(8));
      // The same on every device.
      const here = await mask("step 3");
      await setDevice("interpreter");
      expect(await mask("step 3")).toBe(here);
    });

    it("passes the gradient where the value passed, also where it is computed again", async () => {
      await use();
      const x = randomNormal([50], { seed: 1 });
      const drop = (t: typeof x): typeof x => dropout(t, 0.4, { seed });
      const kept = (await drop(ones([50])).data()).map((value) => Number(value > 0));
      for (const f of [drop, checkpoint(drop)]) {
        const [slope] = gradients(f(x), [x]);
        expect((await slope!.data()).map((value) => Number(value > 0))).toEqual(kept);
      }
    });
  });
}

describe("dropout", () => {
  it("with a new seed in every step compiles once", async () => {
    await setDevice("wasm");
    const x = await realize(randomNormal([8, 8], { seed: 1 }));
    const step = (i: number): Promise<unknown> =>
      realize(gradients(dropout(x.square(), 0.1, { seed: `step ${i}` }).sum(), [x]));
    await step(0);
    const { plansCompiled } = await deviceStatistics();
    for (let i = 1; i < 5; i++) await step(i);
    expect((await deviceStatistics()).plansCompiled).toBe(plansCompiled);
  });

  it("of rate 0 is the tensor, and NaN that is dropped is gone", async () => {
    const x = tensor([1, 2]);
    expect(dropout(x, 0, { seed })).toBe(x);
    const lost = await dropout(tensor(new Float32Array(64).fill(Number.NaN)), 0.5, { seed }).data();
    expect(lost.some((value) => value === 0)).toBe(true);
  });

  it("has first and second derivatives", async () => {
    await setDevice("interpreter");
    await checkGradients(
      (x) => dropout(x, 0.3, { seed }).square().mul(x),
      [randomNormal([7], { seed: 2, dtype: "float64" })],
      { order: 2, tolerance: 1e-5 },
    );
  });

  it("refuses rates outside [0, 1) and what is no seed", () => {
    const x = ones([2]);
    for (const rate of [-0.1, 1, Number.NaN]) {
      expect(() => dropout(x, rate, { seed })).toThrow(
        `dropout: rate must be a number in [0, 1), got ${rate}`,
      );
    }
    expect(() => dropout(x, 0.1, {} as never)).toThrow(/dropout: needs \{ seed \}/);
    expect(() => dropout(x, 0.1, undefined as never)).toThrow(/dropout: needs \{ seed \}/);
    expect(() => dropout(x, 0.1, { seed: Math.random } as never)).toThrow(/dropout: needs/);
    expect(() => dropout(x, 0.1, { seed, p: 1 } as never)).toThrow(/dropout: has no option `p`/);
  });
});
