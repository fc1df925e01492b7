/**
 * Who imports one loss gets one loss, also from a library bundled into a single file.
 */

import { build } from "esbuild";
import { beforeAll, expect, it } from "vitest";
import * as losses from "../../src/losses/index.js";

const root = new URL("../../src/index.ts", import.meta.url).pathname;
const names = Object.keys(losses).filter((name) => name.endsWith("Loss"));
let library = "";

async function bundle(contents: string, isLibrary: boolean): Promise<string> {
  const single = {
    name: "library",
    setup(plugins: import("esbuild").PluginBuild) {
      plugins.onResolve({ filter: /^library$/ }, () => ({ path: "library", namespace: "memory" }));
      plugins.onLoad({ filter: /.*/, namespace: "memory" }, () => ({ contents: library }));
    },
  };
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: new URL(".", import.meta.url).pathname },
    bundle: true,
    write: false,
    format: "esm",
    external: ["seedrandom/lib/alea.js"],
    plugins: isLibrary ? [] : [single],
    logLevel: "silent",
  });
  return outputFiles[0]!.text;
}

beforeAll(async () => {
  library = await bundle(`export * from ${JSON.stringify(root)}`, true);
});

/** The losses whose code is in what importing a name leads to. */
async function found(name: string): Promise<string[]> {
  const code = await bundle(`import { ${name} } from "library"; console.log(${name});`, false);
  return names.filter((other) => code.includes(`function ${other}(`));
}

it.each(names)("%s comes alone", async (name) => {
  const expected = name === "spoLoss" || name === "wpoLoss" ? ["dpoLoss", name] : [name];
  expect((await found(name)).sort()).toEqual(expected.sort());
});

it("lossByName brings them all", async () => {
  const paired = names.filter((name) => name !== "unpairedKtoLoss");
  expect((await found("lossByName")).sort()).toEqual(paired.sort());
});
