/**
 * Pages on runs in Chromium: that of `--live` follows a run to its end; it and the reports stay within their cards at any
 * width, in both schemes.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { livePage } from "../../src/cli/live.js";
import { runReport } from "../../src/training/report/report.js";
import { type RunRecord, readRun, writeAnswers } from "../../src/training/runFiles.js";
import { settingsText } from "../../src/training/runSettings.js";
import { launch, open } from "./chromium.js";

const STEPS = 40;
const folder = mkdtempSync(join(tmpdir(), "prefgrad-pages-"));
let browser: Browser;

beforeAll(async () => {
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The log of a run up to a step, as `metrics.jsonl` has it. */
function logTo(last: number): string {
  const rows = Array.from({ length: last / 10 + 1 }, (_, i) => {
    const step = 10 * i;
    const metrics = (prefix: string, off: number) => ({
      [`${prefix}loss`]: Math.LN2 - step / 100 + off,
      [`${prefix}rewards/margins`]: step / 10,
      [`${prefix}rewards/accuracies`]: 0.5 + step / 100,
      [`${prefix}logps/chosen`]: -246.71 - step / 4,
      [`${prefix}logps/rejected`]: -1250.5 - step,
    });
    const training = { step, epoch: i, ...metrics("", 0), learning_rate: 5e-5 * (1 - step / 50) };
    const evaluation = { step, epoch: i, ...metrics("eval_", 0.05) };
    return step === 0 ? [evaluation] : [training, evaluation];
  });
  return `${rows
    .flat()
    .map((row) => JSON.stringify(row))
    .join("\n")}\n`;
}

/** Begins a run in a directory of its own; what writes its log up to a step, and what ends it. */
function begun(name: string) {
  const directory = mkdtempSync(join(folder, `${name}-`));
  const fit = { steps: STEPS, batchSize: 8 };
  const settings = { command: "align", spo: false, model: { source: "a/long/path/".repeat(12) } };
  writeFileSync(
    join(directory, "settings.json"),
    settingsText({ settings, fit, weights: "adapter" }),
  );
  const writeTo = (step: number) => writeFileSync(join(directory, "metrics.jsonl"), logTo(step));
  const end = async () => {
    const prompt = `Question: ${"How many? ".repeat(40)}`;
    await writeAnswers(directory, [{ prompt, before: "x".repeat(200), after: `${name}'s answer` }]);
    writeFileSync(join(directory, "trainer_state.json"), "{}");
  };
  return { directory, writeTo, end };
}

/** What reaches out of the page, of its card, or of a chart that cuts it off. */
const outside = (page: Page): Promise<string[]> =>
  page.evaluate(() =>
    Array.from(document.querySelectorAll("main *")).flatMap((element) => {
      const svg = element.parentElement!.closest("svg");
      const isClipped = svg && getComputedStyle(svg).overflow !== "visible";
      const card = isClipped ? svg : element.parentElement!.closest("figure, .card");
      const limit = card ? card.getBoundingClientRect() : { left: 0, right: innerWidth };
      const { left, right, width } = element.getBoundingClientRect();
      // What scrolls by itself may be wider.
      if (width === 0 || element.closest("pre, .scroll table")) return [];
      const isOut = right > limit.right + 0.5 || left < limit.left - 0.5;
      return isOut ? [`${element.tagName} ${element.textContent}`] : [];
    }),
  );

/** Waits until a page hears of what is new: an event has replaced its contents. */
async function listens(page: Page, live: { update(): Promise<void> }): Promise<void> {
  await page.evaluate(() => document.querySelector("main")!.setAttribute("data-old", ""));
  await live.update();
  await page.waitForSelector("main:not([data-old])");
}

describe("the page of --live", () => {
  it("follows the run, keeps open what was opened, and has the answers in the end", async () => {
    const { directory, writeTo, end } = begun("live");
    const live = await livePage(directory);
    const { page, complaints } = await open(browser, live.url);
    const eyebrow = page.locator(".eyebrow");
    expect(await eyebrow.innerText()).toBe("The run begins");
    await listens(page, live);
    await page.locator("summary").click();
    writeTo(20);
    await live.update();
    await page.getByText("Running: step 20 of 40").waitFor();
    expect(await page.locator("figure").count()).toBe(6);
    expect(await page.locator("details").getAttribute("open")).toBe("");
    writeTo(STEPS);
    await end();
    await live.close();
    await page.getByText("live's answer").waitFor();
    expect(await eyebrow.innerText()).toBe("prefgrad");
    // The page itself ends its stream.
    expect(complaints.filter((text) => !text.includes("/events: net::ERR_ABORTED"))).toEqual([]);
    await page.close();
  });

  it("says so of a run that was stopped", async () => {
    const { directory, writeTo } = begun("stopped");
    const live = await livePage(directory);
    const { page } = await open(browser, live.url);
    await listens(page, live);
    writeTo(10);
    await live.close();
    await page.getByText("The run was not finished: --resume goes on with it.").waitFor();
    await page.close();
  });

  it("says so where the process is gone", async () => {
    const live = await livePage(begun("gone").directory);
    const page = await browser.newPage();
    await page.route("**/events", (route) => route.abort());
    await page.goto(live.url);
    await page.getByText("The run's process is gone.").waitFor();
    await live.close();
    await page.close();
  });
});

describe.each([
  [390, "light"],
  [390, "dark"],
  [1280, "light"],
  [1280, "dark"],
] as const)("reports at %i px, %s", (width, colorScheme) => {
  it("have everything in its card, of one run and of two", async () => {
    const names = ["one", "two"].map((name) => `${name}-${width}-${colorScheme}`);
    const runs: RunRecord[] = [];
    for (const name of names) {
      const { directory, writeTo, end } = begun(name);
      writeTo(STEPS);
      await end();
      runs.push(await readRun(directory, name));
    }
    for (const shown of [runs.slice(0, 1), runs]) {
      const path = join(folder, "report.html");
      writeFileSync(path, runReport(shown));
      const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
      await page.goto(pathToFileURL(path).href);
      expect(await outside(page)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
      await page.close();
    }
  });
});
