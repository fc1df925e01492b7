/**
 * Who imports one loss gets one loss, also from a library bundled into a single file.
 */

import { type BuildOptions, build, type Plugin } from "esbuild";
import { beforeAll, expect, it } from "vitest";
import * as losses from "../../src/losses/index.js";

const root = new URL("../../src/index.ts", import.meta.url).pathname;
const names = Object.keys(losses).filter((name) => name.endsWith("Loss"));
const imported = [...names, "lossByName"];
/** The code that importing a name leads to, by name. */
const code: Record<string, string> = {};

const common = {
  bundle: true,
  write: false,
  format: "esm",
  external: ["seedrandom/lib/alea.js"],
  logLevel: "silent",
} satisfies BuildOptions;

beforeAll(async () => {
  const { outputFiles } = await build({ ...common, entryPoints: [root] });
  const library = outputFiles[0]!.text;
  /** Each entry is a program that imports one name from the library in a single file. */
  const programs: Plugin = {
    name: "programs",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /.*/ }, ({ path, kind }) => {
        if (path === "library") return { path, namespace: "library" };
        return kind === "entry-point" ? { path, namespace: "program" } : undefined;
      });
      onLoad({ filter: /.*/, namespace: "library" }, () => ({ contents: library }));
      onLoad({ filter: /.*/, namespace: "program" }, ({ path: name }) => ({
        contents: `import { ${name} } from "library"; console.log(${name});`,
      }));
    },
  };
  const made = await build({ ...common, entryPoints: imported, outdir: "/", plugins: [programs] });
  for (const [i, { text }] of made.outputFiles.entries()) code[imported[i]!] = text;
});

/** The losses whose code is in what importing a name leads to. */
function found(name: string): string[] {
  expect(code[name]).toContain(`console.log(${name})`);
  return names.filter((other) => code[name]!.includes(`function ${other}(`)).sort();
}

it.each(names)("%s comes alone", (name) => {
  const expected = name === "spoLoss" || name === "wpoLoss" ? ["dpoLoss", name] : [name];
  expect(found(name)).toEqual(expected.sort());
});

it("lossByName brings them all", () => {
  const paired = names.filter((name) => name !== "unpairedKtoLoss");
  expect(found("lossByName")).toEqual(paired.sort());
});
