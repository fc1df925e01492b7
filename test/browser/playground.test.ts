/**
 * The playground trains on every device in Chromium, draws what happens, and stays responsive.
 */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page, Worker } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { arithmeticTask } from "../../bench/demo/arithmeticTask.js";
import type { MetricsRow, StepRow } from "../../bench/demo/metrics.js";
import { train } from "../../bench/demo/train.js";
import { buildPlayground } from "../../docs/playground/build.js";
import type { PageDevice } from "../../docs/playground/devices.js";
import { type PageChoices, settingsOf } from "../../docs/playground/protocol.js";
import { launch, open, type WatchedPage, WITHOUT_GPU } from "./chromium.js";
import { type Site, serve } from "./server.js";

const directory = mkdtempSync(join(tmpdir(), "prefgrad-playground-"));
let browser: Browser;
let site: Site;
let url: string;

beforeAll(async () => {
  // In a folder, as in the documentation: the page's URLs are relative.
  await buildPlayground(join(directory, "playground"));
  site = await serve(directory);
  url = `${site.origin}/playground/`;
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  site?.close();
  rmSync(directory, { recursive: true, force: true });
});

const SHORT: PageChoices = {
  task: "writers",
  base: "dpo",
  gamma: 1,
  hinge: false,
  learningRate: 1e-3,
  sftSteps: 5,
  steps: 3,
};

/** The steps the demo makes in Node with these choices. */
async function stepsInNode(choices: PageChoices): Promise<StepRow[]> {
  const settings = settingsOf(choices);
  const rows: StepRow[] = [];
  await train(settings, arithmeticTask(settings), {
    step: (phase, step, values) => rows.push({ kind: "step", phase, step, ...values }),
  });
  return rows;
}

async function choose(page: Page, choices: Partial<PageChoices>): Promise<void> {
  for (const [name, value] of Object.entries(choices)) {
    const field = page.locator(`[name=${name}]`);
    if (typeof value === "boolean") await field.setChecked(value);
    else if (name === "base" || name === "task") await field.selectOption(String(value));
    else await field.fill(String(value));
  }
}

async function start(page: Page, device: PageDevice, choices: Partial<PageChoices>): Promise<void> {
  await page.check(`input[value=${device}]`);
  await choose(page, choices);
  await page.click("#start");
}

/** Waits until the run is over, and says how it ended and on what. */
async function ending(page: Page): Promise<string> {
  const over = page.locator("#status", { hasText: /^(Done|Stopped|Failed)$/ });
  await over.waitFor();
  const parts = ["status", "failure", "backend"].map((id) => page.locator(`#${id}`).innerText());
  return (await Promise.all(parts)).filter((text) => text !== "").join(": ");
}

/** What "Save numbers" saves of the steps. */
async function savedSteps(page: Page): Promise<StepRow[]> {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
  expect(download.suggestedFilename()).toBe("metrics.jsonl");
  const lines = readFileSync(await download.path(), "utf8")
    .trim()
    .split("\n");
  const rows = lines.map((line) => JSON.parse(line) as MetricsRow);
  return rows.filter((row): row is StepRow => row.kind === "step");
}

/** Kinds of a device's chunks that a thread has loaded: without any it computes nothing. */
async function computingChunks(thread: Pick<Worker, "evaluate">): Promise<string[]> {
  const loaded = await thread.evaluate(() =>
    performance.getEntriesByType("resource").map(({ name }) => name),
  );
  const kinds = loaded.map((name) => /\/(device|runtime|gpu)[^/]*\.js$/.exec(name)?.[1]);
  return kinds.filter((kind) => kind !== undefined);
}

/** For each chart, how many dots of the colour of each of its curves it has. */
async function dots(page: Page): Promise<number[][]> {
  return page.evaluate(() => {
    const styles = getComputedStyle(document.documentElement);
    return Array.from(document.querySelectorAll("#charts figure"), (figure) => {
      const canvas = figure.querySelector("canvas")!;
      // A copy is read: Chromium warns on the console of a chart whose own canvas is read again and again.
      const { width, height } = canvas;
      const copy = new OffscreenCanvas(width, height).getContext("2d", {
        willReadFrequently: true,
      })!;
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, width, height);
      const labels = Array.from(figure.querySelectorAll(".u-label"), (label) => label.textContent!);
      return labels.slice(1).map((label) => {
        const name = label.includes("SPO")
          ? "spo"
          : ({ SFT: "sft", "SFT on chosen": "chosen" }[label] ?? "base");
        const hex = styles.getPropertyValue(`--${name}`).trim();
        const [r, g, b] = [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16));
        let count = 0;
        for (let i = 0; i < data.length; i += 4) {
          if (data[i] === r && data[i + 1] === g && data[i + 2] === b) count++;
        }
        return count;
      });
    });
  });
}

const losses = (rows: readonly StepRow[], phase: string): number[] =>
  rows.filter((row) => row.phase === phase).map(({ loss }) => loss as number);

/** Relative differences from what Node computes: of the first step, and of the phases' last. */
const TOLERANCES: Readonly<Record<PageDevice, readonly [first: number, last: number]>> = {
  wasm: [1e-6, 1e-4],
  webgpu: [1e-5, 1e-2],
  webgl2: [1e-5, 1e-2],
};

describe.each(Object.entries(TOLERANCES) as [PageDevice, readonly [number, number]][])(
  "the playground on %s",
  (device, [first, last]) => {
    let opened: WatchedPage;

    beforeAll(async () => {
      opened = await open(browser, url);
    });
    afterAll(() => opened?.page.close());

    it("makes the demo's steps in a worker and draws them", async () => {
      const { page, complaints } = opened;
      await start(page, device, SHORT);
      expect(await ending(page)).toBe(`Done: ${device}`);
      expect(await page.locator("#pace").innerText()).toMatch(/^\d+\.\d ms$/);

      // It can answer: nothing computes on its own thread.
      expect(page.workers()).toHaveLength(1);
      expect(await computingChunks(page.workers()[0]!)).toContain("device");
      expect(await computingChunks(page)).toEqual([]);

      const rows = await savedSteps(page);
      const expected = await stepsInNode(SHORT);
      expect(rows.map(({ phase, step }) => [phase, step])).toEqual(
        expected.map(({ phase, step }) => [phase, step]),
      );
      for (const phase of ["sft", "sft-chosen", "dpo", "dpo+spo"]) {
        const [found, wanted] = [losses(rows, phase), losses(expected, phase)];
        expect(Math.abs(found.at(-1)! / wanted.at(-1)! - 1)).toBeLessThanOrEqual(last);
      }
      const [found, wanted] = [losses(rows, "sft"), losses(expected, "sft")];
      expect(Math.abs(found[0]! / wanted[0]! - 1)).toBeLessThanOrEqual(first);
      expect(found.at(-1)).toBeLessThan(found[0]!);

      const drawn = await dots(page);
      expect(drawn.map((curves) => curves.length)).toEqual([1, 2, 2, 4, 4, 4]);
      // Where curves coincide only the last is seen: at these few steps no answer is right.
      for (const curves of drawn.slice(0, 4)) expect(Math.min(...curves)).toBeGreaterThan(20);
      expect(await page.locator("#figures tbody tr").count()).toBe(4);
      expect(await page.locator("#verdict").innerText()).toMatch(/^DPO answers \d+%/);
      expect(complaints).toEqual([]);
    });
  },
);

describe("the playground", () => {
  it("stops, and runs again from the model it has fine-tuned", async () => {
    const { page, complaints } = await open(browser, url);
    // So many that the run is under way however late this looks.
    const steps = 2000;
    await start(page, "wasm", { ...SHORT, steps });
    await page.locator("#status", { hasText: /^DPO.*: step [1-9]/ }).waitFor();
    // Curves are drawn while it trains.
    const isDrawn = async () => (await dots(page)).slice(0, 4).map(([first]) => first! > 20);
    await expect.poll(isDrawn, { timeout: 600_000 }).toEqual([true, true, true, true]);
    expect(await page.locator("#status").innerText()).toMatch(/^DPO.*: step/);
    await page.click("#stop");
    expect(await ending(page)).toBe("Stopped: wasm");
    const before = await savedSteps(page);
    expect(losses(before, "dpo+spo").length).toBeLessThan(steps);

    await start(page, "wasm", { base: "simpo", steps: 2, hinge: true });
    expect(await ending(page)).toBe("Done: wasm");
    const after = await savedSteps(page);
    expect(losses(after, "sft")).toEqual(losses(before, "sft"));
    expect(losses(after, "simpo+spo")).toHaveLength(2);
    expect(await page.locator("#figures tbody th").allInnerTexts()).toEqual([
      "SFT",
      "SFT on chosen",
      "SimPO",
      "SimPO+SPO",
    ]);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it("leaves a device picked that was picked before it knew which are there", async () => {
    const { page } = await open(browser, url);
    let answer = (): void => {};
    const picked = new Promise<void>((resolve) => {
      answer = resolve;
    });
    await page.route("**/worker.js", async (route) => {
      await picked;
      await route.continue();
    });
    await page.reload();
    await page.check("input[value=webgl2]");
    expect(await page.locator("#start").isEnabled()).toBe(false);
    answer();
    await page.locator("#start:enabled").waitFor();
    expect(await page.locator("input[value=webgl2]").isChecked()).toBe(true);
    await page.close();
  });

  it("says why a device is not there", async () => {
    const lacking = await launch(WITHOUT_GPU);
    try {
      const { page } = await open(lacking, url);
      await page.locator("input[value=wasm]:checked").waitFor();
      for (const device of ["webgpu", "webgl2"]) {
        const option = page.locator(`label:has(input[value=${device}])`);
        expect(await option.locator("input").isDisabled()).toBe(true);
        expect(await option.innerText()).toMatch(/WebG(PU|L2).*(no|has|finds)/s);
      }
      expect(await page.locator("#start").isEnabled()).toBe(true);
    } finally {
      await lacking.close();
    }
  });
});
