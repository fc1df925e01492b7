/**
 * Headless Chromium, and pages whose complaints are kept.
 * @module
 */

import { type Browser, chromium, type Page } from "playwright-core";

/** Has Chromium come without WebGPU and WebGL2. */
export const WITHOUT_GPU = ["--disable-gpu", "--disable-software-rasterizer"];

/** For what hangs, ms: a busy machine takes many times as long as an idle one. */
const HANGS = 600_000;

/** Starts Chromium: the one of the environment variable CHROMIUM, or Debian's. */
export function launch(more: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    timeout: HANGS,
    args: [
      // WebGPU on machines without a GPU, too.
      "--enable-unsafe-webgpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...more,
    ],
  });
}

/** A page and all that it and its workers complained about. */
export interface WatchedPage {
  readonly page: Page;
  /** Warnings and errors of the console, errors nobody caught, and loads that failed. */
  readonly complaints: readonly string[];
}

/** Opens a page. */
export async function open(browser: Browser, url: string): Promise<WatchedPage> {
  const page = await browser.newPage();
  page.setDefaultTimeout(HANGS);
  const complaints: string[] = [];
  page.on("console", (message) => {
    const type = message.type();
    if (type === "warning" || type === "error") complaints.push(`${type}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.stack ?? error}`));
  page.on("crash", () => complaints.push("the page crashed"));
  page.on("requestfailed", (request) =>
    complaints.push(`failed to load ${request.url()}: ${request.failure()?.errorText}`),
  );
  await page.goto(url, { waitUntil: "load" });
  return { page, complaints };
}
