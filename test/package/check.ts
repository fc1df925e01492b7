/**
 * Checks the package as users receive it: the packed tarball is linted (publint, attw), installed
 * into fresh projects of each kind, run there, type-checked there, and bundled for the browser.
 * Run it after a build: `npm run check:package`.
 * @module
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleForBrowser } from "./browser.js";
import { execute, freshProject, pack, root } from "./project.js";

const bin = (name: string): string => join(root, "node_modules", ".bin", name);

function heading(text: string): void {
  console.log(`\n-- ${text}`);
}

/** The first TypeScript block of the README. */
function readmeExample(): string {
  const example = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, "README.md"), "utf8"))?.[1];
  if (example === undefined) throw new Error("README.md has no TypeScript example");
  return example;
}

const directory = mkdtempSync(join(tmpdir(), "prefgrad-package-"));
try {
  heading("pack");
  const tarball = pack(directory);

  heading("publint");
  execute(root, bin("publint"), "run", tarball, "--strict");

  heading("attw");
  execute(root, bin("attw"), tarball);

  heading("ESM project");
  execute(freshProject(directory, "esm", tarball), process.execPath, "main.js");

  heading("CommonJS project");
  execute(freshProject(directory, "cjs", tarball), process.execPath, "main.js");

  heading("TypeScript project, both module systems");
  const types = freshProject(directory, "types", tarball);
  execute(types, bin("tsc"), "--project", "tsconfig.json");
  execute(types, bin("tsc"), "--project", "tsconfig.bundler.json");

  heading("the README's example");
  writeFileSync(join(types, "readme.mts"), readmeExample());
  execute(types, bin("tsc"), "--project", "tsconfig.readme.json");
  execute(types, process.execPath, "readme/readme.mjs");

  heading("browser bundle");
  const browser = freshProject(directory, "browser", tarball);
  await bundleForBrowser(browser);
  execute(
    browser,
    process.execPath,
    "--experimental-vm-modules",
    "--no-warnings",
    fileURLToPath(new URL("page.js", import.meta.url)),
    join(browser, "bundle", "main.js"),
  );

  console.log("\npackage checks passed");
} finally {
  rmSync(directory, { recursive: true, force: true });
}
