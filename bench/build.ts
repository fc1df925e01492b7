/**
 * Builds what the benchmarks run: the library, if its sources are newer than `dist/`, and the
 * benchmarks themselves as plain JavaScript, so that no loader stands between Node and what is
 * measured.
 */

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

const bench = fileURLToPath(new URL(".", import.meta.url));
const root = join(bench, "..");

/** The latest modification of a file or of any file below a folder; 0 if there is none. */
function modified(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return 0;
  if (!found.isDirectory()) return found.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => modified(join(path, name))));
}

const sources = ["src", "package.json", "tsup.config.ts", "tsconfig.json", "tsconfig.build.json"];
const newest = Math.max(...sources.map((name) => modified(join(root, name))));
const outputs = ["dist/index.js", "dist/index.d.ts"].map((name) => modified(join(root, name)));
if (Math.min(...outputs) < newest) {
  execFileSync("npm", ["run", "build"], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
}

/** `runner/files.ts` for a page: contents instead of files. */
const filesOfPage: Plugin = {
  name: "files in the bundle",
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]runner[\\/]files\.ts$/ }, () => {
      const paths = [
        "package.json",
        "node_modules/gpu.js/package.json",
        "bench/node_modules/@jax-js/jax/package.json",
        "test/data/gpt-dpo.json",
      ];
      const contents = paths.map((path) => [
        path,
        JSON.parse(readFileSync(join(root, path), "utf8")),
      ]);
      const files = JSON.stringify(Object.fromEntries(contents));
      return {
        contents: `const files = ${files};\nexport const readJson = (path) => files[path];`,
      };
    });
  },
};

rmSync(join(bench, "dist"), { recursive: true, force: true });
await build({
  absWorkingDir: bench,
  entryPoints: { main: "main.ts", probe: "probe.ts", modelWorker: "models/worker.ts" },
  outdir: "dist",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  packages: "external",
  logLevel: "warning",
  plugins: [
    {
      name: "the built library, from where the bundle is",
      setup({ onResolve }) {
        onResolve({ filter: /^(\.\.\/)+dist\/\w+\.js$/ }, ({ path }) => ({
          path: `../../dist/${basename(path)}`,
          external: true,
        }));
      },
    },
  ],
});

await build({
  absWorkingDir: bench,
  entryPoints: { main: "gpu/page.ts" },
  outdir: "dist/page",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  logLevel: "warning",
  // Chunks import each other for order only, and have no side effects.
  logOverride: { "ignored-bare-import": "silent" },
  plugins: [filesOfPage],
});
writeFileSync(
  join(bench, "dist", "page", "index.html"),
  '<!doctype html><title>prefgrad</title><script type="module" src="/main.js"></script>\n',
);
