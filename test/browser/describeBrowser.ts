/**
 * The built library in Chromium, on devices that a page can have: what it computes is what it computes
 * anywhere else.
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeDevice } from "../conformance/describeDevice.js";
import { isFull } from "../conformance/devices.js";
import { A_FEW_MODELS, describeFamilies, FAMILY_MODELS, ON_GPUS } from "../models/families.js";
import { bundlePage } from "./bundle.js";
import { launch, open, type WatchedPage } from "./chromium.js";
import type { BrowserDevice } from "./devices.js";
import type { RunSuite } from "./page/main.js";
import type { Held } from "./page/textures.js";
import { type Site, serve } from "./server.js";

/** The page under test, and a browser for it, while a file's tests run. */
export function preparePages(): { readonly directory: string; readonly browser: Browser } {
  const directory = mkdtempSync(join(tmpdir(), "prefgrad-browser-"));
  let browser: Browser;

  beforeAll(async () => {
    await bundlePage(directory);
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return {
    directory,
    get browser() {
      return browser;
    },
  };
}

/** Has the page run a suite. */
export const runIn =
  ({ page }: WatchedPage): RunSuite =>
  (name, values) =>
    page.evaluate(
      ([name, values]) => (globalThis as unknown as { runSuite: RunSuite }).runSuite(name, values),
      [name, values] as const,
    );

/** Defines the tests of devices, in a browser of their own. */
export function describeBrowser(devices: readonly BrowserDevice[]): void {
  const pages = preparePages();

  for (const { headers, where, mayComplain, ...device } of devices) {
    describe(device.title, () => {
      let site: Site;
      let opened: WatchedPage;

      beforeAll(async () => {
        site = await serve(pages.directory, headers);
        opened = await open(pages.browser, `${site.origin}/${where === "worker" ? "?worker" : ""}`);
      });
      afterAll(async () => {
        await opened?.page.close();
        site?.close();
      });

      const run: RunSuite = (name, values) => runIn(opened)(name, values);

      it("what was uploaded is read as it was, before anything is computed", async () => {
        expect(await run("echo", [device, [1.5, -2, 0]])).toEqual([1.5, -2, 0]);
      });

      describeDevice(device, run);

      it(`what computed is ${device.expect}`, async () => {
        expect(await run("whatComputed", [])).toBe(device.expect);
      });

      if (device.options?.backend === "webgpu") {
        it("a command that is not taken rejects its evaluation; a new device works", async () => {
          const [refused, later] = (await run("refuseCommand", [device])) as string[];
          expect(refused).toMatch(/a command failed on the GPU .*setDevice\("gpu"\) makes a new/s);
          expect(later).toBe("no error: 2,3");
        });
      }

      if (device.options?.backend === "webgl2") {
        describe("models of several families", () => {
          describeFamilies(device, run, {
            dtype: "float32",
            names: isFull() ? FAMILY_MODELS : A_FEW_MODELS.slice(0, 1),
            accept: ON_GPUS,
          });
        });

        it("holds the textures of tensors, and no others; unused kernels are destroyed", async () => {
          const found = (await run("textureMemory", [device])) as Held[];
          const [full, disposed] = found as [Held, Held];
          expect(full.countedBytes - disposed.countedBytes).toBeGreaterThanOrEqual(40 * 4e6);
          for (const { textureBytes, countedBytes, programs } of found) {
            expect(textureBytes).toBe(countedBytes);
            // The kernels that are kept, and the program that writes parts of textures.
            expect(programs).toBeLessThanOrEqual(512 + 1);
          }
        });

        it("axes may be longer than a texture is wide", async () => {
          expect(await run("longAxes", [device])).toEqual({ "2 × 40000": 0, "40000 × 2": 0 });
        });

        it("steps need not be awaited one by one", async () => {
          let x = 0;
          for (let i = 0; i < 200; i++) x = i - 0.9 * x;
          for (const value of (await run("unawaited", [device, 200])) as number[]) {
            expect(value).toBeCloseTo(x, 3);
          }
        });

        it("small steps hold flat memory, their tensors left to garbage collection", async () => {
          const steps = 3000;
          const { held, last } = (await run("memory", [device, 200_000, steps])) as {
            held: number[];
            last: number;
          };
          expect(last).toBe(steps);
          // What collections leave. Without any it would be 300 MB more.
          const least = (from: number, to: number) => Math.min(...held.slice(from, to));
          expect(least(steps / 2, steps)).toBeLessThan(least(0, steps / 2) + 50e6);
        });

        it("more elements than float32 has integers are addressed exactly", async () => {
          const found = await run("beyondIntegers", [device]);
          expect(found).toEqual({ counted: 0, read: 0, beyond: 53_039 });
        });
      }

      if (device.name === "gpu") {
        it("a lost GPU rejects what waits and what follows; a new one works", async () => {
          const [reading, computing, later] = (await run("loseDevice", [device])) as string[];
          expect(reading).toMatch(/was lost.*setDevice\("gpu"\) makes a new one/);
          expect(computing).toBe(reading);
          expect(later).toBe("no error: 2,3");
        });
      }

      if (device.name === "wasm") {
        it("nothing of the GPU is loaded", async () => {
          const loaded = await opened.page.evaluate(() =>
            performance.getEntriesByType("resource").map(({ name }) => name),
          );
          expect(loaded.some((name) => name.endsWith(".js"))).toBe(true);
          expect(loaded.filter((name) => name.includes("gpu"))).toEqual([]);
        });
      }

      it("the page complains about nothing", () => {
        const unexpected = opened.complaints.filter((text) => !mayComplain?.test(text));
        expect(unexpected).toEqual([]);
      });

      if (device.name === "wasm" && mayComplain) {
        it("the page is told once that it may not start workers", () => {
          expect(opened.complaints).toHaveLength(1);
        });
      }

      if (device.name === "gpu") {
        it("what fails says so and spoils nothing", async () => {
          const found = (await run("failures", [device])) as Record<string, string>;
          expect(found.compile).toMatch(/the kernel of mul, exp, add could not be .* \/ 2,4$/s);
          for (const what of ["computed", "given"]) {
            expect(found[`no memory, ${what}`]).toMatch(/no memory left .*dispose\(\).* \/ 2,4$/);
          }
          expect(found["little memory, computed"]).toBe("no error: 12 / 2,4");
          expect(found["little memory, given"]).toBe("no error: 3 / 2,4");
          expect(found.size).toMatch(/20000.*more than the \d+ .*use setDevice\("wasm"\) \/ 2,4$/);
          for (const what of ["given", "filled", "added"]) {
            expect(found[`integer, ${what}`]).toMatch(/16777217.*exact up to 2\^24.* \/ 2,4$/);
          }
          expect(found.float64).toMatch(/float64.*use setDevice\("wasm"\) \/ 2,4$/);
          expect(found.bfloat16).toMatch(
            device.options?.backend === "webgpu"
              ? /^no error: 2,-2 \/ 2,4$/
              : /hold float32, and .* kept as bfloat16: .*WebGPU or setDevice\("wasm"\) \/ 2,4$/,
          );
          expect(found.after).toMatch(/^no error/);
        });

        it("nothing is read from a GPU process that has ended; a new device works", async () => {
          const said = run("computeUntilLost", [device]);
          await setTimeout(500);
          const session = await pages.browser.newBrowserCDPSession();
          await session.send("Browser.crashGpuProcess");
          expect(await said).toMatch(/was lost.*setDevice\("gpu"\) makes a new one/);
          expect(await run("echo", [device, [1, 2]])).toEqual([1, 2]);
        });
      }
    });
  }
}
