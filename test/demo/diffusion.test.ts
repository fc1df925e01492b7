/**
 * The demo's diffusion task: what it measures, by hand, and a run that is cut down.
 */

import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { samplesFigure } from "../../bench/demo/diffusion/figure.js";
import { asksForDiffusion } from "../../bench/demo/diffusion/main.js";
import { figuresOf, MODES, modeOf, type Point, STD } from "../../bench/demo/diffusion/mixture.js";
import { diffusionTable, diffusionVerdict } from "../../bench/demo/diffusion/report.js";
import { temporaryDirectory } from "./tiny.js";

const at = (mode: number, dx = 0): Point => [MODES[mode]![0] + dx, MODES[mode]![1]];

describe("figures of points", () => {
  test("a point is of the mode within three standard deviations", () => {
    expect(modeOf(at(3))).toBe(3);
    expect(modeOf(at(3, 2.9 * STD))).toBe(3);
    expect(modeOf(at(3, 3.1 * STD))).toBe(null);
    expect(modeOf([0, 0])).toBe(null);
  });

  test("shares, entropy and spread", () => {
    const { preferred, coverage, outside, spread } = figuresOf([
      at(0, STD),
      at(0, -STD),
      at(2, STD),
      at(2, -STD),
      at(1),
      at(7),
      [0, 0],
      [9, 9],
    ]);
    expect([preferred, outside]).toEqual([0.5, 0.25]);
    // Two of four preferred modes, each as often.
    expect(coverage).toBeCloseTo(0.5, 12);
    // One of two coordinates is a standard deviation off.
    expect(spread).toBeCloseTo(Math.SQRT1_2, 12);
    expect(figuresOf([0, 2, 4, 6].map((mode) => at(mode))).coverage).toBeCloseTo(1, 12);
    expect(figuresOf([[0, 0]])).toEqual({ preferred: 0, coverage: 0, outside: 1, spread: 0 });
  });
});

const NAMES = [
  "checkpoint",
  "chosen samples alone",
  "Diffusion-DPO",
  "Diffusion-DPO + SPO",
  "DMPO",
  "DMPO + SPO",
];
const modelsOf = (preferred: number) =>
  NAMES.map((name, i) => ({
    name,
    samples: [at(0), at(1), [0, 0]] as Point[],
    figures: { preferred: preferred + i / 100, coverage: 1 - i / 10, outside: 0, spread: 1 },
  }));

describe("the report", () => {
  test("has a row for each model, with intervals over seeds", () => {
    const lines = diffusionTable([modelsOf(0.4), modelsOf(0.5)]).split("\n");
    expect(lines).toHaveLength(2 + NAMES.length);
    // t(.975) of one degree of freedom times 0.05.
    expect(lines[2]).toBe(
      "| checkpoint | 0.450 ± 0.635 | 1.000 ± 0.000 | 0.000 ± 0.000 | 1.000 ± 0.000 |",
    );
    expect(diffusionTable([modelsOf(0.4)]).split("\n")[3]).toBe(
      "| chosen samples alone | 0.410 | 0.900 | 0.000 | 1.000 |",
    );
  });

  test("says what was seen, and where a difference says nothing", () => {
    const [seeking, spo] = diffusionVerdict([modelsOf(0.4), modelsOf(0.5)]);
    expect(seeking).toContain("coverage −0.200 ± 0.000");
    expect(seeking).toContain("in preferred modes +0.020 ± 0.000");
    expect(spo).toContain("SPO around Diffusion-DPO changed");
    const [noisy] = diffusionVerdict([
      modelsOf(0.4),
      modelsOf(0.4).map((model) =>
        model.name === "DMPO" ? { ...model, figures: { ...model.figures, coverage: 0.9 } } : model,
      ),
    ]);
    expect(noisy).toMatch(/coverage −0\.\d+ ± \d\.\d+, which says nothing/);
  });

  test("draws each point in the colour of its kind", () => {
    const figure = samplesFigure("Samples <1>", modelsOf(0.4));
    expect(figure).toContain("Samples &lt;1&gt;");
    expect(figure.match(/class="panel"/g)).toHaveLength(NAMES.length);
    expect(figure.match(/class="mode"/g)).toHaveLength(8 * NAMES.length);
    for (const kind of ["preferred", "other", "outside"]) {
      const paths = [...figure.matchAll(new RegExp(`<path class="${kind}" d="([^"]*)"`, "g"))];
      expect(paths).toHaveLength(NAMES.length);
      for (const [, path] of paths) expect(path!.match(/M/g)).toHaveLength(1);
    }
  });
});

const MAIN = fileURLToPath(new URL("../../bench/demo/main.ts", import.meta.url));
const demo = (...args: string[]) =>
  promisify(execFile)(process.execPath, ["--import", "tsx", MAIN, "--task", "diffusion", ...args]);

describe("npm run demo -- --task diffusion", () => {
  test("is asked for by its name alone", () => {
    expect(asksForDiffusion(["--task", "diffusion", "--quick"])).toBe(true);
    expect(asksForDiffusion(["--task=diffusion"])).toBe(true);
    expect(asksForDiffusion(["--task", "clean", "--out", "diffusion"])).toBe(false);
  });

  test("writes the figure and the numbers, the same for the same seed", async () => {
    const outs = [temporaryDirectory(), join(temporaryDirectory(), "new")];
    const { stdout } = await demo("--quick", "--seed", "3", "--out", outs[0]!);
    await demo("--quick", "--seed", "3", "--out", outs[1]!);
    for (const name of NAMES) expect(stdout).toContain(`| ${name} | 0.`);
    expect(stdout).toContain("DMPO less Diffusion-DPO");
    const files = ["diffusion.svg", "diffusion.json"];
    for (const file of files) {
      const [first, second] = outs.map((out) => readFileSync(join(out, file), "utf8"));
      expect(second).toBe(first);
    }
    const [run] = JSON.parse(readFileSync(join(outs[0]!, "diffusion.json"), "utf8"));
    expect(run.seed).toBe(3);
    expect(Object.keys(run.models)).toEqual(NAMES);
  }, 60_000);

  test.each([
    [["--seeds", "0"], "It must be an integer from 1 to 10."],
    [["--seed", "-1"], "It must be an integer from 0 to"],
    [["--base", "dpo"], "unknown option '--base'"],
  ])("%j is an error", async (args, message) => {
    const failed = await demo(...args).catch((error) => error);
    expect(failed.code).toBe(2);
    expect(failed.stderr).toContain(message);
  });

  test("a directory that cannot be made is an error", async () => {
    const file = join(temporaryDirectory(), "file");
    writeFileSync(file, "");
    const failed = await demo("--quick", "--out", join(file, "out")).catch((error) => error);
    expect([failed.code, existsSync(join(file, "out"))]).toEqual([2, false]);
    expect(failed.stderr).toContain("cannot be created");
  });
});
