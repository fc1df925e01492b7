/**
 * The table of operations.
 */

import { describe, expect, it } from "vitest";
import * as prefgrad from "../../src/index.js";
import * as ops from "../../src/ops/index.js";
import { textOf } from "./files.js";

const page = textOf("docs/tensors.md");
const section = page.slice(page.indexOf("## Operations"), page.indexOf("## Gradients"));
const names = section
  .split("\n")
  .filter((line) => line.startsWith("|"))
  .flatMap((line) => [...line.split("|")[2]!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!));

/** Operations that are no methods: the first load of a page has all methods, and a function only where it is used. */
const FUNCTIONS = [
  "argmin",
  "ceil",
  "clamp",
  "concat",
  "cos",
  "einsum",
  "log1mexp",
  "logicalAnd",
  "logicalNot",
  "logicalOr",
  "norm",
  "oneHot",
  "reciprocal",
  "repeat",
  "repeatInterleave",
  "round",
  "rsqrt",
  "sin",
  "split",
  "stack",
  "std",
  "sumTo",
  "topK",
  "tril",
  "triu",
  "writeSlice",
];

describe("an operation", () => {
  it("is a method of tensors, or is known to be none", () => {
    const none = Object.keys(ops).filter((name) => !(name in prefgrad.Tensor.prototype));
    expect(none.sort()).toEqual(FUNCTIONS);
  });
});

describe("the table of operations", () => {
  it("has every operation, and names only what there is", () => {
    const listed = names.map((name) => name.replace(".", ""));
    expect(Object.keys(ops).filter((name) => !listed.includes(name))).toEqual([]);
    expect(listed.filter((name) => !(name in prefgrad))).toEqual([]);
    expect(new Set(listed).size).toBe(listed.length);
  });

  it("marks those that are methods, and no others", () => {
    const isMethod = (name: string): boolean => name in prefgrad.Tensor.prototype;
    const wrong = names.filter((name) => isMethod(name.replace(".", "")) !== name.startsWith("."));
    expect(wrong).toEqual([]);
  });
});
