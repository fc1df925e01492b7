/**
 * Bundles the browser project the way an application's bundler does, and checks what a page loads
 * before it asks for a value: no device, no compiler, no gpu.js.
 * @module
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build, type Metafile } from "esbuild";

/** Original source files that only `import()` may reach. */
const LAZY = /src\/(?:compiler|devices\/(?:wasm|gpu|interpreter))\//;
const WEBASSEMBLY_DEVICE = /src\/devices\/wasm\//;

/** The entry and every output it reaches by static imports. */
function firstLoad(outputs: Metafile["outputs"], entry: string): string[] {
  const reached = new Set([entry]);
  for (const path of reached) {
    for (const { path: target, kind, external } of outputs[path]?.imports ?? []) {
      if (kind === "import-statement" && external !== true) reached.add(target);
    }
  }
  return [...reached];
}

/** Original sources of the package's files: each part of a file says where it is from. */
function sourcesOf(path: string): string[] {
  const headings = readFileSync(path, "utf8").matchAll(/^\/\/ (src\/\S+)$/gm);
  return Array.from(headings, ([, source]) => source!);
}

/** Writes `bundle/main.js` and its lazy chunks; throws when the first load holds what it must not. */
export async function bundleForBrowser(project: string): Promise<void> {
  const { metafile } = await build({
    absWorkingDir: project,
    entryPoints: ["main.js"],
    outdir: "bundle",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    metafile: true,
    logLevel: "warning",
  });
  const at = (path: string): string => resolve(project, path);
  const outputs = Object.keys(metafile.outputs).filter((path) => path.endsWith(".js"));
  const first = firstLoad(metafile.outputs, join("bundle", "main.js"));
  const later = outputs.filter((path) => !first.includes(path));

  const code = first.map((path) => readFileSync(at(path), "utf8"));
  const sourcesIn = (paths: readonly string[]): string[] =>
    paths
      .flatMap((path) => Object.entries(metafile.outputs[path]!.inputs))
      .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
      .flatMap(([input]) => sourcesOf(at(input)));
  const misplaced = sourcesIn(first).filter((source) => LAZY.test(source));
  assert.deepEqual(misplaced, [], "the first load holds code that belongs to lazy chunks");
  for (const text of code) {
    assert.doesNotMatch(text, /\bWebAssembly\b/, "the first load holds WebAssembly code");
    assert.doesNotMatch(text, /["']gpu\.js["']/, "the first load names gpu.js");
  }
  assert.ok(
    sourcesIn(later).some((source) => WEBASSEMBLY_DEVICE.test(source)),
    "no lazy chunk holds the WebAssembly device: the checks above see nothing",
  );

  console.log(`first load: ${first.join(", ")}`);
  console.log(`on demand: ${later.join(", ")}`);
}
