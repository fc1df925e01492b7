/**
 * WebAssembly and WebGPU in Chromium, and the GPU that is taken where none is named.
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launch, open, WITHOUT_GPU } from "./chromium.js";
import { describeBrowser, preparePages, runIn } from "./describeBrowser.js";
import { BROWSER_DEVICES } from "./devices.js";
import { type Site, serve } from "./server.js";

describeBrowser(BROWSER_DEVICES);

describe('setDevice("gpu")', () => {
  const pages = preparePages();
  const device = { name: "gpu" };
  let site: Site;

  beforeAll(async () => {
    site = await serve(pages.directory);
  });
  afterAll(() => site?.close());

  it.each(["webgpu", "webgl2"])("takes %s where it is the best there is", async (backend) => {
    const opened = await open(pages.browser, `${site.origin}/`);
    if (backend === "webgl2") {
      await opened.page.evaluate(() => void Object.defineProperty(navigator, "gpu", {}));
    }
    await runIn(opened)("unawaited", [device, 3]);
    expect(await runIn(opened)("whatComputed", [])).toBe(backend);
    await opened.page.close();
  });

  it("says what it tried where there is none", async () => {
    const browser = await launch(WITHOUT_GPU);
    try {
      const opened = await open(browser, `${site.origin}/`);
      await expect(runIn(opened)("unawaited", [device, 3])).rejects.toThrow(
        /no GPU can be used here\. WebGPU: .+\. WebGL2: .+\. setDevice\("wasm"\) runs/,
      );
    } finally {
      await browser.close();
    }
  });
});
