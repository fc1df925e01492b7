/**
 * Checks the package as users receive it: the packed tarball is linted (publint, attw), installed
 * into fresh projects of each kind, run there, type-checked there, and bundled for the browser.
 * Run it after a build: `npm run check:package`.
 * @module
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { TINY, tinyFiles, writeFiles } from "../models/tinyCheckpoint.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";
import { bundleForBrowser } from "./browser.js";
import { execute, freshProject, pack, root } from "./project.js";

const bin = (name: string): string => join(root, "node_modules", ".bin", name);

function heading(text: string): void {
  console.log(`\n-- ${text}`);
}

/** The TypeScript blocks of the README: complete programs. */
function readmePrograms(): string[] {
  const blocks = readFileSync(join(root, "README.md"), "utf8").matchAll(/```ts\n([\s\S]*?)```/g);
  const programs = Array.from(blocks, ([, program]) => program!);
  assert(programs.length > 0, "README.md has no TypeScript program");
  return programs;
}

/** TypeScript takes classes of the same form for one another, so what is counted are declarations. */
function assertOneTensor(): void {
  const dist = join(root, "dist");
  for (const extension of [".d.ts", ".d.cts"]) {
    const files = readdirSync(dist).filter((name) => name.endsWith(extension));
    const declaring = files.filter((name) =>
      /^(?:export )?declare class Tensor\b/m.test(readFileSync(join(dist, name), "utf8")),
    );
    assert.equal(declaring.length, 1, `Tensor is declared in ${declaring}`);
    console.log(`${extension}: ${declaring} declares Tensor`);
  }
}

/** Relative links of the packed README and guides that lead to nothing in the package. */
function deadLinks(packed: string): string[] {
  const guides = readdirSync(join(packed, "docs")).filter((name) => name.endsWith(".md"));
  return ["README.md", ...guides.map((name) => join("docs", name))].flatMap((page) => {
    const text = readFileSync(join(packed, page), "utf8").replace(/```.*?```/gs, "");
    const links = Array.from(text.matchAll(/\]\(([^)\s]+)\)/g), ([, link]) => link!);
    return links
      .filter((link) => !/^(https?:|#)/.test(link))
      .filter((link) => !existsSync(join(packed, dirname(page), link.replace(/#.*/, ""))))
      .map((link) => `${page}: ${link}`);
  });
}

const directory = mkdtempSync(join(tmpdir(), "prefgrad-package-"));
try {
  heading("pack");
  const tarball = pack(directory);

  heading("publint");
  execute(root, bin("publint"), "run", tarball, "--strict");

  heading("attw");
  execute(root, bin("attw"), tarball, "--entrypoints", ".");
  // Older resolution knows no subpaths.
  execute(root, bin("attw"), tarball, "--profile", "node16");

  heading("declarations");
  assertOneTensor();

  heading("ESM project");
  const esm = freshProject(directory, "esm", tarball);
  execute(esm, process.execPath, "main.js");
  execute(esm, process.execPath, "subpaths.js");

  heading("links of the README and the guides");
  assert.deepEqual(deadLinks(join(esm, "node_modules", "prefgrad")), []);

  heading("command line");
  const model = join(directory, "model");
  await writeFiles(model, {
    ...(await tinyFiles({ ...TINY.qwen3, vocab_size: 257, eos_token_id: 256 })),
    ...tokenizerFiles(byteLevel({ added: [{ content: "<end>" }] })),
  });
  execute(esm, "npx", "prefgrad", "--help");
  execute(esm, "npx", "prefgrad", "info", "--model", model);
  execute(esm, "npx", "prefgrad", "generate", "--model", model, "--max-new-tokens", "8", "ab");

  heading("CommonJS project");
  const cjs = freshProject(directory, "cjs", tarball);
  execute(cjs, process.execPath, "main.js");
  execute(cjs, process.execPath, "subpaths.js");

  heading("TypeScript project, both module systems");
  const types = freshProject(directory, "types", tarball);
  execute(types, bin("tsc"), "--project", "tsconfig.json");
  execute(types, bin("tsc"), "--project", "tsconfig.bundler.json");

  heading("the README's programs");
  for (const program of readmePrograms()) {
    writeFileSync(join(types, "readme.mts"), program);
    execute(types, bin("tsc"), "--project", "tsconfig.readme.json");
    execute(types, process.execPath, "readme/readme.mjs");
  }

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
