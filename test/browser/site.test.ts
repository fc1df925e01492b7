/**
 * The documentation site, which `npm run docs` builds, in Chromium: it is built without a warning, nothing is missing,
 * pages fit their windows, and its search finds prose.
 */

import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildPlayground } from "../../docs/playground/build.js";
import { launch, open } from "./chromium.js";
import { type Site, serve } from "./server.js";

const directory = mkdtempSync(join(tmpdir(), "prefgrad-site-"));
let browser: Browser;
let site: Site;
let guides: string[];

beforeAll(async () => {
  await promisify(execFile)("npx", ["typedoc", "--out", directory]);
  await buildPlayground(join(directory, "playground"));
  guides = readdirSync(join(directory, "guides")).map((file) => `guides/${file}`);
  site = await serve(directory);
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  site?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Pages of the reference that stand for all of their kind. */
const REFERENCE = ["api/core.html", "api/losses.html", "api/losses/spoLoss.html"];

/** What is wider than the room it has: the page itself, and formulas in their columns. */
const overflowing = (page: Page): Promise<{ page: number; formulas: string[] }> =>
  page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    const formulas = Array.from(document.querySelectorAll(".formula"))
      .filter((box) => box.scrollWidth > box.clientWidth + 1)
      .map((box) => box.textContent ?? "");
    return { page: Math.max(0, scrollWidth - clientWidth), formulas };
  });

describe("every guide", () => {
  it.each([390, 1300])("fits a window of %i pixels and loads all it names", async (width) => {
    expect(guides.length).toBeGreaterThan(15);
    const { page, complaints } = await open(browser, `${site.origin}/index.html`);
    await page.setViewportSize({ width, height: 900 });
    for (const path of ["index.html", ...guides, ...REFERENCE]) {
      await page.goto(`${site.origin}/${path}`, { waitUntil: "load" });
      const { page: beyond, formulas } = await overflowing(page);
      expect([path, beyond]).toEqual([path, 0]);
      // On a phone a wide formula scrolls in its own box.
      if (width === 1300) expect([path, formulas]).toEqual([path, []]);
    }
    // Going to the next page ends what this one still loads.
    expect(complaints.filter((text) => !text.includes("ERR_ABORTED"))).toEqual([]);
    await page.close();
  });

  it("keeps code in the headings of its table of contents", async () => {
    const { page } = await open(
      browser,
      `${site.origin}/guides/stable-preference-optimization.html`,
    );
    const headings = await page.locator(".tsd-page-navigation a").allInnerTexts();
    expect(headings).toContain("Penalty: spoLoss");
    expect(headings).toContain("Barrier and look-ahead: bilevelStep");
    await page.close();
  });

  it("links to pages that are there, the playground among them", async () => {
    const { page } = await open(browser, `${site.origin}/index.html`);
    const missing: string[] = [];
    for (const path of ["index.html", ...guides]) {
      await page.goto(`${site.origin}/${path}`, { waitUntil: "load" });
      const links = await page.evaluate(() =>
        Array.from(document.querySelectorAll<HTMLAnchorElement>("a[href]"), (link) => link.href),
      );
      for (const link of new Set(links)) {
        const { origin, pathname } = new URL(link);
        if (origin !== site.origin) continue;
        if (!existsSync(join(directory, decodeURIComponent(pathname)))) {
          missing.push(`${path}: ${pathname}`);
        }
      }
    }
    expect(missing).toEqual([]);
    await page.close();
  });
});

describe("the navigation", () => {
  it("is in reading order, and the reference by module and topic", async () => {
    const { page } = await open(browser, `${site.origin}/api/core.html`);
    await page.locator("#tsd-nav-container a").first().waitFor();
    const names = await page.locator("#tsd-nav-container > li > details > summary").allInnerTexts();
    expect(names).toEqual(["Begin", "Guides", "Run", "Inside", "Reference"]);
    const links = await page.locator("#tsd-nav-container a").allTextContents();
    const order = ["Getting started", "Tensors, gradients, plans", "Losses", "The demo", "core"];
    const places = order.map((name) => links.indexOf(name));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places).not.toContain(-1);
    const topics = await page.locator(".tsd-member-group h2").allInnerTexts();
    expect(topics).toEqual(expect.arrayContaining(["Creation", "Elementwise", "Reductions"]));
    expect(topics).not.toContain("Other");
    await page.close();
  });
});

describe("the search", () => {
  it.each([
    ["saving and loading", "Saving and loading"],
    ["safe region", "Stable preference optimization"],
    ["TRL", "Coming from PyTorch, JAX or TRL"],
    ["getting started", "Getting started"],
  ])("for %s finds %s", async (words, found) => {
    const { page } = await open(browser, `${site.origin}/index.html`);
    await page.click("#tsd-search-trigger");
    await page.fill("#tsd-search-input", words);
    const results = page.locator("#tsd-search-results li");
    await results.first().waitFor();
    expect((await results.allInnerTexts()).map((text) => text.trim())).toContain(found);
    await page.close();
  });
});
