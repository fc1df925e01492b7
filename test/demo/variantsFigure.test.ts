/**
 * The figure of variants: where means, intervals, seeds and the level are drawn; and what SPO changed, in words.
 */

import { describe, expect, test } from "vitest";
import { spoChanges } from "../../bench/demo/spoChanges.js";
import { variantsFigure } from "../../bench/demo/variantsFigure.js";

const labels = { title: "A & B", note: "share", level: { name: "before", value: 0.2 } };
const variants = [
  { name: "one", seeds: [0.4, 0.6], marked: false },
  { name: "two < one", seeds: [0.5, 0.52], marked: true },
];

describe("the figure of variants", () => {
  const figure = variantsFigure(labels, variants);
  const groups = [...figure.matchAll(/<g class="(\w)">(.*?)<\/g>/gs)];
  const bodies = groups.map(([, , body]) => body!);
  const lines = [...figure.matchAll(/class="grid" d="M([\d.]+) .*?>([\d.−]+)</g)].map(
    ([, at, value]) => [Number(at), Number(value!.replace("−", "-"))] as const,
  );
  const [[x0, v0], [x1, v1]] = [lines[0]!, lines.at(-1)!];
  const x = (value: number): number => x0 + ((value - v0) / (v1 - v0)) * (x1 - x0);
  const places = (text: string, pattern: RegExp): number[] =>
    [...text.matchAll(pattern)].map(([, at]) => Number(at));

  test("has each seed as a dot, the mean and the interval of Student's t", () => {
    expect(groups.map(([, colour]) => colour)).toEqual(["a", "b"]);
    for (const [i, { seeds }] of variants.entries()) {
      const dots = places(bodies[i]!, /cx="([\d.]+)"/g);
      expect(dots).toHaveLength(2);
      for (const [s, value] of seeds.entries()) expect(dots[s]).toBeCloseTo(x(value), 0);
      const mean = (seeds[0]! + seeds[1]!) / 2;
      expect(places(bodies[i]!, /class="mean" d="M([\d.]+)/g)[0]).toBeCloseTo(x(mean), 0);
    }
    const [, from, to] = /class="bar" d="M([\d.]+) [\d.]+H([\d.]+)"/.exec(bodies[0]!)!;
    // t(.975) of one degree of freedom is 12.706, the standard error 0.1.
    expect((Number(to) - Number(from)) / 2).toBeCloseTo(x(1.2706) - x(0), 0);
  });

  test("joins the values of a seed, and has the level", () => {
    const paths = [...figure.matchAll(/class="seed" d="M([^"]+)"/g)].map(([, path]) =>
      path!.split("L").map((point) => Number(point.split(" ")[0])),
    );
    expect(paths).toHaveLength(2);
    for (const [s, path] of paths.entries()) {
      for (const [i, at] of path.entries()) expect(at).toBeCloseTo(x(variants[i]!.seeds[s]!), 0);
    }
    expect(places(figure, /class="level" d="M([\d.]+)/g)[0]).toBeCloseTo(x(0.2), 0);
  });

  test("names the variants and the level, and escapes them", () => {
    for (const text of ["A &amp; B", ">two &lt; one<", ">before<"]) expect(figure).toContain(text);
  });
});

test("changes are differences of each seed, of variants that are there with the suffix and without", () => {
  const values = new Map([
    ["one", [0.1, 0.4]],
    ["one + SPO", [0.2, 0.7]],
    ["two", [0.3, 0.3]],
  ]);
  expect(spoChanges(values, " + SPO")).toEqual(["SPO around one: 0.200 ± 1.271, seed by seed"]);
});
