/**
 * What `setDevice("gpu")` says in Node where there is no GPU to be had, by the built library in
 * processes of its own; they go on with the device they had.
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

const directory = mkdtempSync(join(tmpdir(), "prefgrad-no-gpu-"));
const installed = join(directory, "node_modules", "webgpu");
const formats = { esm: "prefgrad.mjs", cjs: "prefgrad.cjs" } as const;

beforeAll(async () => {
  for (const [format, file] of Object.entries(formats)) {
    await build({
      entryPoints: [fileURLToPath(new URL("../../../src/index.ts", import.meta.url))],
      bundle: true,
      platform: "node",
      format: format as keyof typeof formats,
      outfile: join(directory, file),
    });
  }
});
beforeEach(() => rmSync(installed, { recursive: true, force: true }));
afterAll(() => rmSync(directory, { recursive: true }));

/** Installs a package `webgpu`. */
function install(source: string): void {
  mkdirSync(installed, { recursive: true });
  writeFileSync(join(installed, "package.json"), '{ "type": "module", "main": "index.js" }');
  writeFileSync(join(installed, "index.js"), source);
}

/** The error of `setDevice("gpu")` after a prologue, and what a tensor is on the device in use then. */
function attempt(format: keyof typeof formats, prologue = ""): string {
  const script = join(directory, "script.mjs");
  writeFileSync(
    script,
    `${prologue}
    const pg = await import("./${formats[format]}").then((m) => m.setDevice ? m : m.default);
    await pg.setDevice("interpreter");
    const { message } = await pg.setDevice("gpu").catch((error) => error);
    console.log(message, "/", pg.currentDevice(), await pg.tensor([1, 2]).add(1).array());`,
  );
  const { stdout, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8" });
  expect(stderr).toBe("");
  return stdout;
}

const rest =
  /WebGL2: there is none outside browsers\. setDevice\("wasm"\) runs on any processor\. \/ interpreter \[ 2, 3 \]/;

describe.each(["esm", "cjs"] as const)('setDevice("gpu") in Node, %s', (format) => {
  it("without the package webgpu says how to install it", () => {
    const said = attempt(format);
    expect(said).toMatch(
      /^setDevice: no GPU can be used here\. WebGPU: .*npm install webgpu\. WebG/,
    );
    expect(said).toMatch(rest);
  });

  it.each([
    ["throws", 'throw new Error("built for another system");', /built for another system/],
    ["lacks a file", 'import "./dawn.node";', /Cannot find module .*dawn\.node/],
    ["cannot start", 'export const create = () => { throw new Error("no Vulkan"); };', /no Vulkan/],
  ])("with a package webgpu that %s says what is wrong with it", (_, source, reason) => {
    install(source);
    const said = attempt(format);
    expect(said).toMatch(/WebGPU: the package webgpu could not be loaded: /);
    expect(said).toMatch(reason);
    expect(said).not.toMatch(/npm install/);
    expect(said).toMatch(rest);
  });

  it("with the interface and no adapter behind it says what may be missing", () => {
    const said = attempt(
      format,
      `Object.defineProperty(globalThis, "navigator", {
        value: { gpu: { requestAdapter: async () => null } },
      });`,
    );
    expect(said).toMatch(
      /WebGPU: there is the interface but no GPU behind it; a driver may be missing/,
    );
    expect(said).toMatch(rest);
  });
});
