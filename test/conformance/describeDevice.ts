/**
 * What holds on every device that is checked from afar: in a page, or on a GPU.
 * @module
 */

import { expect, it } from "vitest";
import { DESCENTS, TABULAR } from "../bilevel/oracles.js";
import { GPT_LOSSES, LOSS_TOLERANCE } from "../nn/gptTraining.js";
import { data } from "../nn/gptWorkload.js";
import type { Float } from "./check.js";
import type { TestedDevice } from "./devices.js";
import type { Suites } from "./suites.js";

function expectNear(found: readonly number[], expected: readonly number[], tolerance: number) {
  expect(found).toHaveLength(expected.length);
  const errors = expected.map((value, i) => Math.abs(found[i]! - value));
  expect(Math.max(...errors), `${found} against ${expected}`).toBeLessThanOrEqual(tolerance);
}

/** Steps of training that are compared. */
const GPT_STEPS = 3;

/** Defines the tests of a device; `runSuite` runs a suite where the device is. */
export function describeDevice(
  device: TestedDevice,
  runSuite: (name: keyof Suites, values: unknown[]) => Promise<unknown>,
): void {
  async function run<Name extends keyof Suites>(
    name: Name,
    ...values: Parameters<Suites[Name]>
  ): Promise<Awaited<ReturnType<Suites[Name]>>> {
    return (await runSuite(name, values)) as Awaited<ReturnType<Suites[Name]>>;
  }

  for (const dtype of device.floats as readonly Float[]) {
    it(`every operation has the interpreter's values in ${dtype}`, async () => {
      const { checked, failures } = await run("operations", device, dtype);
      expect(failures).toEqual([]);
      expect(checked).toBeGreaterThan(200);
    });

    it(`random graphs have the interpreter's values in ${dtype}`, async () => {
      const { checked, failures } = await run("graphs", device, dtype, 60);
      expect(failures).toEqual([]);
      expect(checked).toBe(60);
    });
  }

  it("integers and booleans are exact", async () => {
    const { checked, failures } = await run("exact", device);
    expect(failures).toEqual([]);
    expect(checked).toBeGreaterThan(10);
  });

  it("a million elements are reduced and multiplied", async () => {
    const { checked, failures } = await run("large", device);
    expect(failures).toEqual([]);
    expect(checked).toBeGreaterThan(5);
  });

  for (const name of GPT_LOSSES) {
    it(`a GPT has PyTorch's numbers: ${name}`, async () => {
      const golden = data.results[name];
      const found = await run("gpt", device, name, GPT_STEPS);
      expectNear(found.chosen, golden.chosenLogps, 1e-3);
      expectNear(found.rejected, golden.rejectedLogps, 1e-3);
      for (const [key, { norm }] of Object.entries(golden.grads)) {
        expectNear([found.gradientNorms[key]!], [norm], 1e-5 * norm);
      }
      expect(found.losses).toHaveLength(GPT_STEPS + 1);
      for (const [step, loss] of found.losses.entries()) {
        const expected = golden.losses[step]!;
        expectNear([loss], [expected], LOSS_TOLERANCE[name] * expected);
      }
      expectNear(found.meanMargins, golden.meanMargins.slice(0, GPT_STEPS + 1), 1e-4);
    });
  }

  it("SPO's oracles hold", async () => {
    const dtype = device.floats.includes("float64") ? "float64" : "float32";
    const { changes, ends } = await run("oracles", device, dtype);
    for (const [i, { change }] of TABULAR.entries()) {
      expectNear(changes[i]!, change, dtype === "float64" ? 1e-12 : 1e-6);
    }
    for (const [i, { end, tolerance }] of DESCENTS.entries()) {
      expectNear(ends[i]!, end, tolerance);
    }
  });
}
