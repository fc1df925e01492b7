/**
 * Applications that bundle the packed package with esbuild, Vite or webpack compute in a page what
 * Node computes, alone, with workers and on GPUs, and may load it twice.
 */

import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as esbuild from "esbuild";
import type { Browser, Page as BrowserPage } from "playwright-core";
import * as vite from "vite";
import { afterAll, beforeAll, expect, it } from "vitest";
import webpack from "webpack";
import type { GpuBackend } from "../../src/index.js";
import { freshProject, pack } from "../package/project.js";
import { launch, open } from "./chromium.js";
import { ISOLATED, WEBGL2 } from "./devices.js";
import { type Site, serve } from "./server.js";

const directory = mkdtempSync(join(tmpdir(), "prefgrad-bundlers-"));
let browser: Browser;
let project: string;

beforeAll(async () => {
  project = freshProject(directory, "browser", pack(directory));
  cpSync(fileURLToPath(new URL("application/", import.meta.url)), project, { recursive: true });
  await addWitness(join(project, "index.html"));
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Has a page watch what computes before it loads anything. */
async function addWitness(page: string): Promise<void> {
  const { outputFiles } = await esbuild.build({
    entryPoints: [fileURLToPath(new URL("page/witness.ts", import.meta.url))],
    bundle: true,
    format: "iife",
    globalName: "witness",
    write: false,
  });
  const script = `<script>${outputFiles[0]!.text}</script>`;
  writeFileSync(
    page,
    readFileSync(page, "utf8").replace("<script", () => `${script}<script`),
  );
}

const forEsbuild = () => ({
  absWorkingDir: project,
  entryPoints: ["page.js"],
  bundle: true,
  logLevel: "silent" as const,
});

/** Ways from the project to a site. */
const BUNDLERS: Record<string, (output: string) => Promise<Site>> = {
  async esbuild(output) {
    const { warnings } = await esbuild.build({
      ...forEsbuild(),
      outdir: output,
      splitting: true,
      minify: true,
      format: "esm",
    });
    expect(warnings).toEqual([]);
    copyFileSync(join(project, "index.html"), join(output, "index.html"));
    return serve(output);
  },

  async "esbuild in one file"(output) {
    const { warnings } = await esbuild.build({ ...forEsbuild(), outdir: output, format: "iife" });
    expect(warnings).toEqual([]);
    copyFileSync(join(project, "index.html"), join(output, "index.html"));
    return serve(output);
  },

  async Vite(output) {
    const warnings: string[] = [];
    const customLogger = {
      ...vite.createLogger("warn"),
      warn: (text: string) => warnings.push(text),
    };
    await vite.build({
      configFile: false,
      root: project,
      logLevel: "warn",
      customLogger,
      // Chunks loaded on demand may be large.
      build: { outDir: output, emptyOutDir: true, chunkSizeWarningLimit: 1000 },
    });
    expect(warnings).toEqual([]);
    return serve(output);
  },

  async "Vite's development server"(output) {
    const server = await vite.createServer({
      configFile: false,
      root: project,
      cacheDir: output,
      logLevel: "warn",
      server: { port: 0, host: "127.0.0.1" },
    });
    await server.listen();
    const { port } = server.httpServer!.address() as { port: number };
    return { origin: `http://localhost:${port}`, close: () => server.close() };
  },

  async webpack(output) {
    const compiler = webpack({
      context: project,
      mode: "production",
      entry: "./page.js",
      output: { path: output, filename: "page.js" },
      // Chunks loaded on demand may be large.
      performance: { hints: false },
    })!;
    const stats = await new Promise<webpack.Stats>((resolve, reject) =>
      compiler.run((error, stats) => (stats ? resolve(stats) : reject(error))),
    );
    const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
    expect(errors).toEqual([]);
    expect(warnings).toEqual([]);
    const html = readFileSync(join(project, "index.html"), "utf8");
    writeFileSync(join(output, "index.html"), html.replace('type="module"', "defer"));
    return serve(output);
  },
};

/** What the page says of itself. */
interface Page {
  readonly done: Promise<number[]>;
  readonly witness: { whatComputed(): string };
  onGpu(backend: GpuBackend): Promise<number[]>;
  inThreads(threads: number): Promise<number>;
}

/** How many of the scripts that a page has loaded hold gpu.js. */
const gpuScripts = (page: BrowserPage): Promise<number> =>
  page.evaluate(async () => {
    const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
    const scripts = [...new Set(loaded)].filter((name) => name.includes(".js"));
    const texts = await Promise.all(scripts.map(async (url) => (await fetch(url)).text()));
    return texts.filter((text) => text.includes("gpu.js [webgpu]")).length;
  });

const whatComputed = (page: BrowserPage): Promise<string> =>
  page.evaluate(() => (globalThis as unknown as Page).witness.whatComputed());

/** Fails unless workers help in what a bundler has written, where the page may share memory. */
async function expectHelp(output: string): Promise<void> {
  const site = await serve(output, ISOLATED);
  try {
    const { page, complaints } = await open(browser, `${site.origin}/`);
    // They take part once they have started.
    await expect
      .poll(
        async () => {
          const total = await page.evaluate(() => (globalThis as unknown as Page).inThreads(2));
          return `${total} by ${await whatComputed(page)}`;
        },
        { timeout: 600_000 },
      )
      .toBe("125000000 by wasm, 2 threads");
    expect(complaints).toEqual([]);
    await page.close();
  } finally {
    site.close();
  }
}

it.each(Object.keys(BUNDLERS))("%s", async (name) => {
  const { done } = (await import(pathToFileURL(join(project, "main.js")).href)) as Page;
  const output = join(directory, name);
  const site = await BUNDLERS[name]!(output);
  try {
    const { page, complaints } = await open(browser, `${site.origin}/`);
    const computed = (): Promise<number[]> =>
      page.evaluate(() => (globalThis as unknown as Page).done);
    expect(await computed()).toEqual(await done);

    await page.evaluate(() => {
      const { src, type } = document.querySelector<HTMLScriptElement>("script[src*='.js']")!;
      const again = Object.assign(document.createElement("script"), { src: `${src}?again`, type });
      Reflect.deleteProperty(globalThis, "done");
      return new Promise((loaded) => {
        again.onload = loaded;
        document.head.append(again);
      });
    });
    expect(await computed()).toEqual(await done);
    expect(complaints).toEqual([]);
    expect(await whatComputed(page)).toBe("wasm, 1 thread");

    const isOneFile = name.includes("one file");
    if (!isOneFile) expect(await gpuScripts(page)).toBe(0);
    for (const backend of ["webgpu", "webgl2"] as const) {
      const found = await page.evaluate(
        (backend) => (globalThis as unknown as Page).onGpu(backend),
        backend,
      );
      for (const [i, value] of (await done).entries()) expect(found[i]).toBeCloseTo(value, 6);
    }
    expect(await whatComputed(page)).toBe("wasm, 1 thread and webgpu and webgl2");
    expect(await gpuScripts(page)).toBeGreaterThan(0);
    expect(complaints.filter((text) => !WEBGL2.mayComplain!.test(text))).toEqual([]);
    await page.close();
    if (name === "Vite" || name === "webpack") await expectHelp(output);
  } finally {
    site.close();
  }
});
