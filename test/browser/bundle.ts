/**
 * Bundles the page under test with the built library: what the page imports from the sources comes
 * from `dist`.
 * @module
 */

import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

export const root = fileURLToPath(new URL("../../", import.meta.url));
const sources = join(root, "src") + sep;
export const library = join(root, "dist", "index.js");

/** Takes what is imported from the sources from `dist`, but for what imports nothing and is not exported. */
export const builtLibrary: Plugin = {
  name: "built library",
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ path, resolveDir }) => {
      const file = resolve(resolveDir, path);
      const isOfLibrary = file.startsWith(sources) && !file.endsWith("/training/turn.js");
      return isOfLibrary ? { path: library } : undefined;
    });
  },
};

/** Writes `index.html`, `main.js` and its chunks. */
export async function bundlePage(directory: string): Promise<void> {
  if (!existsSync(library)) throw new Error("dist/index.js is missing: run `npm run build` first");
  await build({
    entryPoints: [join(root, "test/browser/page/main.ts")],
    outdir: directory,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    sourcemap: true,
    plugins: [builtLibrary],
    logLevel: "warning",
    // Chunks import each other for order only, and have no side effects.
    logOverride: { "ignored-bare-import": "silent" },
  });
  await writeFile(
    join(directory, "index.html"),
    '<!doctype html><title>prefgrad</title><script type="module" src="/main.js"></script>\n',
  );
}
