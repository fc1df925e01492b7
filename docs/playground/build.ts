/**
 * Builds the playground's pages into the documentation site, with the built library.
 * @module
 */

import { existsSync } from "node:fs";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { builtLibrary, library, root } from "../../test/browser/bundle.js";

/** Writes the pages and all they load, in relative URLs. */
export async function buildPlayground(directory: string): Promise<void> {
  if (!existsSync(library)) throw new Error("dist/index.js is missing: run `npm run build` first");
  await mkdir(directory, { recursive: true });
  for (const page of ["index.html", "generate.html", "align.html"]) {
    await copyFile(join(root, "docs/playground", page), join(directory, page));
  }
  await build({
    entryPoints: ["main", "worker", "generate", "generateWorker", "align", "alignWorker"].map(
      (name) => join(root, `docs/playground/${name}.ts`),
    ),
    outdir: directory,
    bundle: true,
    // gpu.js is a chunk of its own, loaded with the first GPU device.
    splitting: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    plugins: [builtLibrary],
    logLevel: "warning",
    // The library's chunks have no side effects.
    logOverride: { "ignored-bare-import": "silent" },
  });
}

if (process.argv[1] === import.meta.filename) {
  await buildPlayground(join(root, "docs/site/playground"));
}
