/**
 * What the library exports stands in the guides, and what is checked for all of a kind has all of it.
 */

import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as prefgrad from "../../src/index.js";
import * as losses from "../../src/losses/index.js";
import { LOSSES } from "../../src/losses/names/lossNames.js";
import * as ops from "../../src/ops/index.js";
import { cases, detachedCases } from "../losses/cases.js";
import { guides, sources, textOf } from "./files.js";

const lossNames = Object.keys(losses).filter((name) => name.endsWith("Loss"));

/** The names that do not stand in a text. */
const missing = (names: readonly string[], text: string): string[] =>
  names.filter((name) => !new RegExp(`\\b${name}\\b`).test(text));

describe("the guides", () => {
  it("are linked by the README, or by the page of losses", () => {
    const text = ["README.md", "docs/losses.md"].map(textOf).join("\n");
    const linked = (path: string): boolean =>
      text.includes(`(${path})`) || text.includes(`(${path.slice("docs/".length)})`);
    expect(guides().filter((path) => !linked(path))).toEqual([]);
  });

  it("name every function that the library exports", () => {
    const text = guides().map(textOf).join("\n");
    expect(missing(Object.keys(prefgrad), text)).toEqual([]);
  });

  it("have a section for every loss, and a row in the table of names", () => {
    const sections = guides()
      .filter((path) => path.startsWith("docs/losses-"))
      .flatMap((path) => [...textOf(path).matchAll(/^### (\w+)$/gm)].map(([, name]) => name!));
    // spoLoss has a guide of its own; completions without partners are a part of ktoLoss's section.
    const elsewhere = ["spoLoss", "unpairedKtoLoss"];
    expect(lossNames.filter((name) => !sections.includes(name)).sort()).toEqual(elsewhere.sort());
    const rows = textOf("docs/losses.md")
      .split("\n")
      .filter((line) => /^\| `\w+Loss`/.test(line));
    expect(missing(lossNames, rows.join("\n"))).toEqual(["unpairedKtoLoss"]);
  });
});

describe("the README", () => {
  it("names every subpath of the package", () => {
    const { exports } = JSON.parse(textOf("package.json")) as { exports: Record<string, unknown> };
    const rooms = Object.keys(exports).flatMap((path) => /^\.\/(\w+)$/.exec(path)?.[1] ?? []);
    expect(rooms.length).toBeGreaterThan(8);
    const text = textOf("README.md");
    expect(rooms.filter((room) => !new RegExp(`\`(prefgrad)?/${room}\``).test(text))).toEqual([]);
  });
});

describe("the size limits", () => {
  it("have every subpath of the package", () => {
    const { exports } = JSON.parse(textOf("package.json")) as { exports: Record<string, unknown> };
    const rooms = Object.keys(exports).flatMap((path) => /^\.\/(\w+)$/.exec(path)?.[1] ?? []);
    const text = textOf(".size-limit.js");
    expect(rooms.filter((room) => !text.includes(`subpath("${room}", `))).toEqual([]);
  });
});

describe("the losses", () => {
  it("have a file each", () => {
    const several = sources()
      .filter((path) => /^src\/losses\/\w+\.ts$/.test(path) && !path.endsWith("index.ts"))
      .map(
        (path) =>
          [
            path,
            lossNames.filter((name) => textOf(path).includes(`export function ${name}`)),
          ] as const,
      )
      .filter(([, functions]) => functions.length > 1);
    expect(several).toEqual([]);
  });
});

describe("CONTRIBUTING", () => {
  it("names files that are there", () => {
    const named = [...textOf("CONTRIBUTING.md").matchAll(/`((?:src|test|docs|\.ci)\/[\w./-]*)`/g)]
      .map(([, path]) => path!)
      .filter((path) => !path.includes("NAME"));
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((path) => !existsSync(path))).toEqual([]);
  });
});

describe("the guide to models", () => {
  it("has a row for every family", () => {
    const types = sources()
      .filter((path) => path.startsWith("src/models/families/"))
      .flatMap((path) => [...textOf(path).matchAll(/modelType: "(\w+)"/g)])
      .map(([, type]) => `| \`${type}\` `);
    expect(types.length).toBeGreaterThan(10);
    const text = textOf("docs/models.md");
    expect(types.filter((row) => !text.includes(row))).toEqual([]);
  });
});

describe("the cases of conformance", () => {
  it("have every operation", () => {
    const text = textOf("test/conformance/cases.ts");
    // Each of these is an operation that has cases, at one value or under another shape.
    const others = ["dot", "expandDims", "reciprocal", "squeeze", "sumTo"];
    expect(missing(Object.keys(ops), text).sort()).toEqual(others);
  });
});

describe("the tests of operations", () => {
  it("name every operation", () => {
    const text = readdirSync("test/ops")
      .map((name) => textOf(`test/ops/${name}`))
      .join("\n");
    expect(missing(Object.keys(ops), text)).toEqual([]);
  });
});

describe("the lists of functions", () => {
  const [, union] = /type UnaryOperation =([^;]*);/.exec(textOf("src/kernels/kernel.ts"))!;
  const all = [...union!.matchAll(/"(\w+)"/g)].map(([, name]) => name!);
  const exact = ["neg", "abs", "sign", "floor", "ceil", "round", "not"];
  const rounded = all.filter((name) => !exact.includes(name));

  it.each([
    ["test/conformance/accuracy.test.ts", ["cos"]], // Those of an angle are held to guarantees.ts.
    ["test/conformance/computedTwice.ts", []],
    ["test/conformance/guarantees.ts", []],
    ["test/tensor/dtypes.test.ts", []],
    ["test/autograd/secondDerivatives.test.ts", []],
  ])("of %s have every scalar function that rounds", (path, others) => {
    expect(rounded.length).toBeGreaterThan(8);
    expect(missing(rounded, textOf(path))).toEqual(others);
  });
});

describe("the cases of optimizers", () => {
  const made = sources()
    .filter((path) => path.startsWith("src/optim/"))
    .flatMap((path) =>
      [...textOf(path).matchAll(/^export function (\w+)\([^)]*\): Optimizer</gm)].map(
        ([, name]) => ({ path, name: name! }),
      ),
    );
  const names = made.map(({ name }) => name);

  it.each([
    "test/optim/optimizers.test.ts",
    "test/conformance/givenUp.ts",
    "docs/optimizers.md",
    "docs/coming-from.md",
  ])("are in %s", (path) => {
    expect(names).toContain("adamw");
    expect(missing(names, textOf(path))).toEqual([]);
  });

  it("come with the types of their options and their state", () => {
    const types = made.flatMap(({ path }) =>
      [...textOf(path).matchAll(/^export interface (\w+)/gm)].map(([, type]) => type!),
    );
    expect(types).toContain("AdamWState");
    expect(missing(types, textOf("src/optim/index.ts"))).toEqual([]);
  });
});

describe("the cases of losses", () => {
  const text = textOf("test/losses/cases.ts");
  const divergent = /const divergent[^;]*;/.exec(text)![0];

  it("have every loss of pairs", () => {
    const names = [...cases, ...detachedCases].map(({ name }) => name).join("\n");
    expect(missing(lossNames, names)).toEqual(["unpairedKtoLoss"]);
  });

  it("have options that could overflow, of every loss whose options could", () => {
    const extremes = textOf("test/losses/extremes.test.ts");
    // Margins of these are among the others', or their options do not multiply them.
    const others = ["alphaDpo", "aspo", "offsetDpo", "rso", "sft", "sgdpo", "slic", "spo", "tdpo"];
    expect(missing(lossNames, divergent + extremes)).toEqual(
      [...others, "wpo"].map((name) => `${name}Loss`),
    );
  });

  it("and the guide know every loss that takes an f-divergence", () => {
    const taking = sources()
      .filter(
        (path) => path.startsWith("src/losses/") && /\bFDivergenceOptions\b/.test(textOf(path)),
      )
      .flatMap((path) => lossNames.filter((name) => textOf(path).includes(`function ${name}(`)));
    expect(taking).toContain("ipoLoss");
    expect(missing(taking, divergent)).toEqual([]);
    const [list] = /Losses that take it:[^;]*?\. /.exec(textOf("docs/losses.md"))!;
    expect(missing(taking, list)).toEqual([]);
  });

  it("have names that the comment of lossByName lists", () => {
    const [comment] = /The loss of a name:[^;]*?Options are TRL's/.exec(
      textOf("src/losses/names/lossByName.ts"),
    )!;
    expect(missing(Object.keys(LOSSES), comment)).toEqual([]);
  });
});
