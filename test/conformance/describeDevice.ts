/**
 * What holds on every device that is checked from afar: in a page, or on a GPU.
 * @module
 */

import { readFileSync } from "node:fs";
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

/** The column of a device in the tables of `docs/devices.md`, by row. */
function guarantees({ name, options }: TestedDevice): Readonly<Record<string, string>> {
  const backend = { webgpu: "WebGPU", webgl2: "WebGL2" }[options?.backend as string] ?? name;
  const page = readFileSync(new URL("../../docs/devices.md", import.meta.url), "utf8");
  const rows = page
    .slice(page.indexOf("## What is guaranteed"))
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) =>
      line
        .replaceAll("\\|", "¦")
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll("¦", "|")),
    );
  const column = rows[0]!.indexOf(backend);
  if (column < 0) throw new Error(`docs/devices.md has no column ${backend}`);
  const values = rows.filter(([name, value]) => !/^-+$/.test(name!) && value !== "wasm");
  return Object.fromEntries(values.map((cells) => [cells[0]!, cells[column]!]));
}

/** Runs a suite where the device is. */
type RunSuite = (name: keyof Suites, values: unknown[]) => Promise<unknown>;

/** Defines the tests that hold a device to the tables of `docs/devices.md`. */
export function describeGuarantees(device: TestedDevice, runSuite: RunSuite): void {
  const documented = guarantees(device);
  const accuracy = () => runSuite("accuracy", [device]) as Promise<Record<string, number>>;
  const behaviours = () => runSuite("behaviours", [device]) as Promise<Record<string, boolean>>;

  it("functions are as accurate as the documentation says", async () => {
    const found = await accuracy();
    for (const [row, error] of Object.entries(found)) {
      expect(documented[row], row).toMatch(/^\d+$/);
      expect(error, row).toBeLessThanOrEqual(Number(documented[row]));
    }
  });

  it("special numbers behave as the documentation says", async () => {
    const found = await behaviours();
    for (const [row, holds] of Object.entries(found)) {
      expect(documented[row], row).toMatch(/^(yes|no)$/);
      if (documented[row] === "yes") expect(holds, row).toBe(true);
    }
  });

  it("the documentation promises nothing else", async () => {
    const found = { ...(await accuracy()), ...(await behaviours()) };
    expect(Object.keys(documented).sort()).toEqual(Object.keys(found).sort());
  });
}

/** Defines the tests of a device. */
export function describeDevice(device: TestedDevice, runSuite: RunSuite): void {
  const { gptSteps = 3, everyDescent = 1 } = device.work ?? {};

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

  for (const name of gptSteps === 0 ? GPT_LOSSES.slice(0, 1) : GPT_LOSSES) {
    it(`a GPT has PyTorch's numbers: ${name}`, async () => {
      const golden = data.results[name];
      const found = await run("gpt", device, name, gptSteps);
      expectNear(found.chosen, golden.chosenLogps, 1e-3);
      expectNear(found.rejected, golden.rejectedLogps, 1e-3);
      for (const [key, { norm }] of Object.entries(golden.grads)) {
        expectNear([found.gradientNorms[key]!], [norm], 1e-5 * norm);
      }
      expect(found.losses).toHaveLength(gptSteps + 1);
      for (const [step, loss] of found.losses.entries()) {
        const expected = golden.losses[step]!;
        expectNear([loss], [expected], LOSS_TOLERANCE[name] * expected);
      }
      expectNear(found.meanMargins, golden.meanMargins.slice(0, gptSteps + 1), 1e-4);
    });
  }

  describeGuarantees(device, runSuite);

  it("what a loop no longer needs is freed", async () => {
    const bytes = 4e6;
    const steps = 800;
    const { held, last } = await run("memory", device, bytes, steps);
    expect(last).toBe(steps);
    // A browser collects when it likes; without any collection all of it is held at the end.
    expect(Math.max(...held)).toBeLessThan(0.5 * steps * bytes);
  });

  it("SPO's oracles hold", async () => {
    const dtype = device.floats.includes("float64") ? "float64" : "float32";
    const { changes, ends } = await run("oracles", device, dtype, everyDescent);
    for (const [i, { change }] of TABULAR.entries()) {
      expectNear(changes[i]!, change, dtype === "float64" ? 1e-12 : 1e-6);
    }
    for (const [i, { end, tolerance }] of DESCENTS.filter(
      (_, i) => i % everyDescent === 2 % everyDescent,
    ).entries()) {
      expectNear(ends[i]!, end, tolerance);
    }
  });
}
