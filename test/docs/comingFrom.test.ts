/**
 * The tables of names for people who come from other libraries.
 */

import { describe, expect, it } from "vitest";
import * as prefgrad from "../../src/index.js";
import { sources, textOf } from "./files.js";

/** Names of exported types: they leave no trace in a module. */
const types = new Set(
  sources()
    .filter((path) => path.endsWith("/index.ts") || path === "src/core.ts")
    .flatMap((path) => [
      ...textOf(path).matchAll(/\btype (\w+)/g),
      ...textOf(path).matchAll(/export type \{([^}]*)\}/g),
    ])
    .flatMap(([, names]) => names!.split(/[\s,]+/)),
);

const rows = textOf("docs/coming-from.md")
  .split("\n")
  .filter((line) => line.startsWith("|"))
  .map((line) => line.split(/ ?\| ?/).slice(1, -1))
  .filter(([first]) => !/^-+$/.test(first!));

const names = rows.flatMap(([, ours]) =>
  [...ours!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!),
);

describe("the tables of names", () => {
  it("are three, of what is called prefgrad in their second columns", () => {
    expect(rows.filter(([, ours]) => ours === "prefgrad").map(([theirs]) => theirs)).toEqual([
      "PyTorch",
      "JAX",
      "TRL",
    ]);
    expect(names.length).toBeGreaterThan(100);
  });

  it("name what the library exports, and methods of its tensors", () => {
    const missing = names.filter((name) =>
      name.startsWith(".")
        ? !(name.slice(1) in prefgrad.Tensor.prototype)
        : !(name in prefgrad) && !types.has(name),
    );
    expect(missing).toEqual([]);
  });
});
