/**
 * What holds on every device that is checked from afar: in a page, or on a GPU.
 * @module
 */

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { DESCENTS, TABULAR } from "../bilevel/oracles.js";
import { LOSS_TOLERANCE } from "../models/gptTraining.js";
import { data } from "../models/gptWorkload.js";
import { casesOf, KINDS, type OperationKind } from "./cases.js";
import type { Float } from "./check.js";
import { casesOfTwice } from "./computedTwice.js";
import { everyNth, type TestedDevice } from "./devices.js";
import { EMPTY } from "./empty.js";
import { GIVEN_UP } from "./givenUp.js";
import { LENGTHS, MILLION, PRODUCTS } from "./large.js";
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
export type RunSuite = (name: keyof Suites, values: unknown[]) => Promise<unknown>;

type Run = <Name extends keyof Suites>(
  name: Name,
  ...values: Parameters<Suites[Name]>
) => Promise<Awaited<ReturnType<Suites[Name]>>>;

const typed =
  (runSuite: RunSuite): Run =>
  async (name, ...values) =>
    (await runSuite(name, values)) as never;

/** Defines the tests that hold a device to the tables of `docs/devices.md`. */
export function describeGuarantees(device: TestedDevice, runSuite: RunSuite): void {
  const run = typed(runSuite);

  it("numbers are what the documentation says, which promises nothing else", async () => {
    const documented = guarantees(device);
    const errors = await run("accuracy", device);
    for (const [row, error] of Object.entries(errors)) {
      expect(documented[row], row).toMatch(/^\d+$/);
      expect(error, row).toBeLessThanOrEqual(Number(documented[row]));
    }
    const behaviours = await run("behaviours", device);
    for (const [row, holds] of Object.entries(behaviours)) {
      expect(documented[row], row).toMatch(/^(yes|no)$/);
      if (documented[row] === "yes") expect(holds, row).toBe(true);
    }
    const measured = Object.keys({ ...errors, ...behaviours });
    expect(Object.keys(documented).sort()).toEqual(measured.sort());
  });
}

/** Defines the tests of operations of one kind. */
export function describeOperations(
  device: TestedDevice,
  runSuite: RunSuite,
  kind: OperationKind,
): void {
  const run = typed(runSuite);
  for (const dtype of device.floats as readonly Float[]) {
    it(`${kind} have the interpreter's values in ${dtype}`, async () => {
      const { checked, failures } = await run("operations", device, dtype, kind);
      expect(failures).toEqual([]);
      expect(checked).toBe(casesOf(kind).length);
    });
  }
}

/** Defines the tests of what is no operation on a few floating-point numbers. */
export function describeGraphs(device: TestedDevice, runSuite: RunSuite): void {
  const run = typed(runSuite);
  for (const dtype of device.floats as readonly Float[]) {
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

  it("over no elements, sums are 0 and nothing is written", async () => {
    const { checked, failures } = await run("empty", device);
    expect(failures).toEqual([]);
    expect(checked).toBe(EMPTY.length);
  });

  it("results go into the memory of given-up tensors", async () => {
    const { checked, failures } = await run("givenUp", device);
    expect(failures).toEqual([]);
    expect(checked).toBe(GIVEN_UP.length);
  });

  it("no index or derivative depends on a value being computed twice to the same bits", async () => {
    const { checked, failures } = await run("twice", device);
    expect(failures).toEqual([]);
    expect(checked).toBe(casesOfTwice(device.comparisons).length);
  });

  it("rows of any length, and a million elements, are reduced and multiplied", async () => {
    const { checked, failures } = await run("large", device);
    expect(failures).toEqual([]);
    expect(checked).toBe(LENGTHS.length + MILLION.length + PRODUCTS.length);
  });
}

/** A GPT's losses, and how its log-probabilities are computed for each. */
const GPT_RUNS = [
  ["gpt-dpo", "packed"],
  ["gpt-spo", "plain"],
] as const;

/** Defines the tests of training: PyTorch's numbers, SPO's oracles, and memory. */
export function describeTraining(device: TestedDevice, runSuite: RunSuite): void {
  const run = typed(runSuite);
  const { gptSteps = 3, gptLosses, every = 1 } = device;

  for (const [name, form] of GPT_RUNS.slice(0, gptLosses)) {
    it(`a GPT has PyTorch's numbers: ${name}, ${form}`, async () => {
      const golden = data.results[name];
      const found = await run("gpt", device, name, form, gptSteps);
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

  it("SPO's oracles hold", async () => {
    const dtype = device.floats.includes("float64") ? "float64" : "float32";
    const { changes, ends } = await run("oracles", device, dtype);
    for (const [i, { change }] of TABULAR.entries()) {
      expectNear(changes[i]!, change, dtype === "float64" ? 1e-12 : 1e-6);
    }
    const descents = everyNth(DESCENTS, every);
    expect(ends).toHaveLength(descents.length);
    for (const [i, { end, tolerance }] of descents.entries()) {
      expectNear(ends[i]!, end, tolerance);
    }
  });

  it("what a loop no longer needs is freed", async () => {
    // Enough for several collections in a browser, which collects when it likes.
    const bytes = 4e6;
    const steps = 800;
    const { held, last } = await run("memory", device, bytes, steps);
    expect(last).toBe(steps);
    // Without any collection all of it is held at the end.
    expect(Math.max(...held)).toBeLessThan(0.5 * steps * bytes);
  });
}

/** Defines all tests of a device. */
export function describeDevice(device: TestedDevice, runSuite: RunSuite): void {
  for (const kind of KINDS) describeOperations(device, runSuite, kind);
  describeGraphs(device, runSuite);
  describeGuarantees(device, runSuite);
  describeTraining(device, runSuite);
}
