/**
 * The figure of rounds: where means, intervals and seeds are drawn.
 */

import { describe, expect, test } from "vitest";
import { intervalText } from "../../bench/demo/interval.js";
import { roundsFigure } from "../../bench/demo/roundsFigure.js";

const labels = { title: "A & B", note: "share", headings: ["before", "round 1"] };
const variants = [
  {
    name: "one",
    seeds: [
      [0.2, 0.4],
      [0.2, 0.6],
    ],
  },
  {
    name: "two < one",
    seeds: [
      [0.2, 0.1],
      [0.2, 0.1],
    ],
  },
];

/** The place of a value on the axis, from the grid's own lines. */
function placeOf(figure: string): (value: number) => number {
  const lines = [
    ...figure.matchAll(/class="grid" d="M[\d.]+ ([\d.]+)H\d+"\/><text[^>]*>([\d.]+)</g),
  ];
  const [[, y0, v0], [, y1, v1]] = [lines[0]!, lines.at(-1)!] as unknown as string[][] as [
    string[],
    string[],
  ];
  const slope = (Number(y1) - Number(y0)) / (Number(v1) - Number(v0));
  return (value) => Number(y0) + (value - Number(v0)) * slope;
}

describe("the figure of rounds", () => {
  const figure = roundsFigure(labels, variants);
  const groups = [...figure.matchAll(/<g class="(\w)">(.*?)<\/g>/gs)].map(([, , body]) => body!);
  const y = placeOf(figure);

  test("has a line through the means of each variant", () => {
    expect(groups).toHaveLength(2);
    const heights = groups.map((body) => {
      const [, path] = /<path d="M([^"]+)"/.exec(body)!;
      return path!.split("L").map((point) => Number(point.split(" ")[1]));
    });
    for (const [v, wanted] of [
      [0.2, 0.5],
      [0.2, 0.1],
    ].entries()) {
      for (const [i, value] of wanted.entries()) expect(heights[v]![i]).toBeCloseTo(y(value), 0);
    }
  });

  test("has each seed as a dot, and the interval of Student's t", () => {
    const dots = [...groups[0]!.matchAll(/cy="([\d.]+)"/g)].map(([, at]) => Number(at));
    expect(dots).toHaveLength(4);
    expect(Math.min(...dots)).toBeCloseTo(y(0.6), 0);
    const [, bars] = /class="bar" d="([^"]+)"/.exec(groups[0]!)!;
    const [, from, to] = /M[\d.]+ ([-\d.]+)V([-\d.]+)$/.exec(bars!)!;
    // t(.975) of one degree of freedom is 12.706, the standard error 0.1.
    expect((Number(from) - Number(to)) / 2).toBeCloseTo(y(0) - y(1.2706), 0);
  });

  test("names the variants and rounds, and escapes them", () => {
    for (const text of ["A &amp; B", "two &lt; one", ">before<", ">round 1<"]) {
      expect(figure).toContain(text);
    }
  });
});

test("an interval as text", () => {
  expect(intervalText([-0.1, -0.3])).toBe("−0.200 ± 1.271");
});
