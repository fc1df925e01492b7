/**
 * Runs a session in Chromium: the one of the environment variable CHROMIUM, or Debian's. The variable
 * CHROMIUM_FLAGS adds flags, by spaces; WebGPU on a GPU of Linux needs
 * `--enable-features=Vulkan --use-angle=vulkan`.
 */

import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serve } from "../../test/browser/server.js";
import { bench } from "../runner/paths.js";
import type { PageGlobals } from "./page.js";
import type { GpuCaseReport, SessionOptions, SessionStart } from "./session.js";

/** Clocks of other pages are coarse. */
const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** Runs a session in a page; returns the browser's name and version. */
export async function runInBrowser(
  options: SessionOptions,
  started: (start: SessionStart) => void,
  done: (report: GpuCaseReport) => void,
): Promise<string> {
  const site = await serve(fileURLToPath(new URL("dist/page/", bench)), ISOLATED);
  try {
    const flags = (process.env.CHROMIUM_FLAGS ?? "").split(" ").filter((flag) => flag !== "");
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--enable-unsafe-webgpu", "--js-flags=--expose-gc", "--no-first-run", ...flags],
    });
    try {
      const page = await browser.newPage();
      page.on("pageerror", (error) => console.error(`the page failed: ${error}`));
      await page.exposeFunction("started", started);
      await page.exposeFunction("done", done);
      await page.goto(`${site.origin}/`, { waitUntil: "load" });
      await page.evaluate(
        (options) => (globalThis as unknown as PageGlobals).runGpuSession(options),
        options,
      );
      return `Chromium ${browser.version()}`;
    } finally {
      await browser.close();
    }
  } finally {
    site.close();
  }
}
