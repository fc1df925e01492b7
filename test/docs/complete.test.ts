/**
 * What the library exports stands in the guides, and what is checked for all of a kind has all of it.
 */

import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as prefgrad from "../../src/index.js";
import * as losses from "../../src/losses/index.js";
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

describe("the cases of optimizers", () => {
  it("have every optimizer", () => {
    const made = sources()
      .filter((path) => path.startsWith("src/optim/"))
      .flatMap((path) => [
        ...textOf(path).matchAll(/^export function (\w+)\([^)]*\): Optimizer</gm),
      ])
      .map(([, name]) => name!);
    expect(made).toContain("adamw");
    expect(missing(made, textOf("test/optim/optimizers.test.ts"))).toEqual([]);
  });
});

describe("the cases of losses", () => {
  it("have every loss of pairs", () => {
    const names = [...cases, ...detachedCases].map(({ name }) => name).join("\n");
    expect(missing(lossNames, names)).toEqual(["unpairedKtoLoss"]);
  });
});
