/**
 * Applications that bundle the packed package with esbuild, Vite or webpack compute in a page what
 * Node computes, and may load it twice.
 */

import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as esbuild from "esbuild";
import type { Browser } from "playwright-core";
import * as vite from "vite";
import { afterAll, beforeAll, expect, it } from "vitest";
import webpack from "webpack";
import { freshProject, pack } from "../package/project.js";
import { launch, open } from "./chromium.js";
import { type Site, serve } from "./server.js";

const directory = mkdtempSync(join(tmpdir(), "prefgrad-bundlers-"));
let browser: Browser;
let project: string;

beforeAll(async () => {
  project = freshProject(directory, "browser", pack(directory));
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  rmSync(directory, { recursive: true, force: true });
});

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

interface Page {
  readonly done: Promise<number[]>;
}

it.each(Object.keys(BUNDLERS))("%s", async (name) => {
  const { done } = (await import(pathToFileURL(join(project, "main.js")).href)) as Page;
  const site = await BUNDLERS[name]!(join(directory, name));
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
    await page.close();
  } finally {
    site.close();
  }
});
