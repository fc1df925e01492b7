/**
 * The demo's report in Chromium: charts and tables stay within their cards at any width, as the page
 * is opened and without a resize, in both schemes.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Figures } from "../../bench/demo/evaluate.js";
import type { MetricsRow } from "../../bench/demo/metrics.js";
import { reportHtml } from "../../bench/demo/report.js";
import { phasesOf, settingsFor } from "../../bench/demo/settings.js";
import { launch } from "./chromium.js";

const settings = settingsFor({ steps: 40, sftSteps: 100 });
const phases = phasesOf(settings);

/** Figures that get better or worse in steps, of each phase. */
function figuresAt(phase: number, step: number): Figures {
  const done = step / settings.steps;
  return {
    chosenPerToken: -0.7 - 0.2 * phase * done,
    rejectedPerToken: -1.6 - phase * done,
    margin: 3 + phase * done,
    preferenceAccuracy: 1,
    rewardAccuracy: phase === 0 ? null : 0.9,
    leftBoth: 0.1 * phase * done,
    greedyAccuracy: 0.75 + 0.05 * done * phase,
    sampledAccuracy: 0.2 + 0.1 * done * phase,
  };
}

const rows = phases.flatMap((phase, p): MetricsRow[] => {
  const steps = Array.from({ length: p === 0 ? 100 : 40 }, (_, i) => i + 1);
  return [
    ...steps.map((step): MetricsRow => {
      const loss = 1 / step;
      const rewards = { "rewards/chosen": loss, "rewards/rejected": -loss };
      return { kind: "step", phase, step, loss, ...(p > 1 && rewards) };
    }),
    ...steps
      .filter((step) => step % 20 === 0)
      .map((step): MetricsRow => ({ kind: "evaluation", phase, step, ...figuresAt(p, step) })),
    { kind: "samples", phase, step: steps.length, answers: ["26", "x".repeat(300)] },
  ];
});

const html = reportHtml({
  settings,
  description: ["what was learnt from", `${"a/long/path".repeat(20)}.jsonl`],
  samples: [
    { prompt: "37+25=", right: "26" },
    { prompt: "y".repeat(300), right: null },
  ],
  rows,
  seconds: { sft: 12.3, dpo: 75 },
});

const directory = mkdtempSync(join(tmpdir(), "prefgrad-report-"));
const path = join(directory, "report.html");
let browser: Browser;

beforeAll(async () => {
  writeFileSync(path, html);
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  rmSync(directory, { recursive: true, force: true });
});

async function openAt(width: number, colorScheme: "light" | "dark" = "light"): Promise<Page> {
  const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
  await page.goto(pathToFileURL(path).href);
  // A frame after the charts were drawn.
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn))));
  return page;
}

/** Elements that reach out of the page or of their card, to the right of it. */
function outside(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    Array.from(document.querySelectorAll("main *")).flatMap((element) => {
      const card = element.parentElement!.closest("figure, .card");
      const limit = card ? card.getBoundingClientRect().right : innerWidth;
      const { right, width } = element.getBoundingClientRect();
      return width > 0 && right > limit + 0.5 ? [`${element.tagName} ${element.className}`] : [];
    }),
  );
}

describe.each([390, 700, 1000, 1280, 1920])("the report at %i px", (width) => {
  it("has every chart and table in its card, and nothing scrolls sideways", async () => {
    const page = await openAt(width);
    expect(await page.locator("figure canvas").count()).toBe(12);
    expect(await outside(page)).toEqual([]);
    const widths = await page.evaluate(() =>
      [document.documentElement, ...document.querySelectorAll("main *")]
        .filter(({ scrollWidth, clientWidth }) => clientWidth > 0 && scrollWidth > clientWidth + 1)
        .map(({ tagName, className }) => `${tagName} ${className}`),
    );
    expect(widths).toEqual([]);
    await page.close();
  });

  it("has charts as wide as their cards allow", async () => {
    const page = await openAt(width);
    const shares = await page.evaluate(() =>
      Array.from(document.querySelectorAll("figure"), (figure) => {
        const canvas = figure.querySelector("canvas")!;
        return canvas.getBoundingClientRect().width / figure.getBoundingClientRect().width;
      }),
    );
    for (const share of shares) expect(share).toBeGreaterThan(0.88);
    await page.close();
  });
});

describe("the report", () => {
  it("says in its legends the last value of every curve", async () => {
    const page = await openAt(1280);
    const legends = await page.locator("figure:first-child .u-value").allInnerTexts();
    expect(legends.slice(1)).toEqual(["0.75", "0.8", "0.85", "0.9"]);
    const all = await page.locator(".u-series:not(:first-child) .u-value").allInnerTexts();
    expect(all.filter((text) => !/\d/.test(text))).toEqual([]);
    await page.close();
  });

  it("has its verdict, the figures of four models and their answers", async () => {
    const page = await openAt(1280);
    expect(await page.locator(".verdict").innerText()).toContain(
      "DPO answers 85% of the held-out problems right, more than the 75% of the SFT model",
    );
    expect(await page.locator(".figures thead th").allInnerTexts()).toEqual([
      "held-out data",
      "SFT",
      "SFT on chosen",
      "DPO",
      "DPO+SPO",
    ]);
    const first = page.locator(".samples .card").first();
    expect(await first.locator("dd").allInnerTexts()).toEqual(Array(4).fill("26 ✓"));
    await page.close();
  });

  it("is dark where the system is, curves included", async () => {
    const brightness = async (scheme: "light" | "dark"): Promise<number> => {
      const page = await openAt(1280, scheme);
      const color = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      await page.close();
      return color.match(/\d+/g)!.reduce((sum, part) => sum + Number(part), 0) / (3 * 255);
    };
    expect(await brightness("light")).toBeGreaterThan(0.9);
    expect(await brightness("dark")).toBeLessThan(0.15);

    const page = await openAt(1280, "dark");
    const pixels = await page.evaluate(() => {
      const canvas = document.querySelector("canvas")!;
      const hex = getComputedStyle(document.documentElement).getPropertyValue("--spo").trim();
      const [r, g, b] = [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16));
      const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let i = 0; i < data.length; i += 4) {
        if (data[i] === r && data[i + 1] === g && data[i + 2] === b) count++;
      }
      return count;
    });
    expect(pixels).toBeGreaterThan(50);
    await page.close();
  });
});
