/**
 * What variants of a method come to, round by round: means over seeds with their intervals, and each seed.
 * @module
 */

import { html, number, pixel, scale, ticks } from "../../src/dynamics/chart.js";
import { intervalOf } from "./interval.js";
import { svgFile } from "./svg.js";

/** A variant's values: of each seed, before the first round and after each. */
export interface RoundSeries {
  readonly name: string;
  readonly seeds: readonly (readonly number[])[];
}

/** Axis and headings of the figure. */
export interface RoundsLabels {
  readonly title: string;
  /** What is measured. */
  readonly note: string;
  readonly headings: readonly string[];
}

const WIDTH = 640;
const HEIGHT = 300;
const FRAME = { left: 46, right: 10, top: 52, bottom: 34 } as const;
/** Between variants, so that their intervals do not cover each other. */
const APART = 11;
const COLOURS = ["a", "b", "c", "d"];

/** The figure, from 0 up. */
export function roundsFigure(
  { title, note, headings }: RoundsLabels,
  variants: readonly RoundSeries[],
): string {
  const places = headings.map((_, round) => {
    return variants.map(({ seeds }) => intervalOf(seeds.map((values) => values[round]!)));
  });
  const highest = places.flat().reduce((most, [mean, half]) => Math.max(most, mean + half), 0);
  const bottom = HEIGHT - FRAME.bottom;
  const y = scale(0, highest * 1.04, bottom, FRAME.top);
  const column = (WIDTH - FRAME.left - FRAME.right) / headings.length;
  const x = (round: number, variant: number): number =>
    FRAME.left + (round + 0.5) * column + (variant - (variants.length - 1) / 2) * APART;
  const grid = ticks(0, highest).map(
    (value) =>
      `<path class="grid" d="M${FRAME.left} ${pixel(y(value))}H${WIDTH - FRAME.right}"/><text x="${FRAME.left - 8}" y="${pixel(y(value) + 4)}" text-anchor="end">${number(value)}</text>`,
  );
  const names = headings.map(
    (heading, round) =>
      `<text x="${pixel(FRAME.left + (round + 0.5) * column)}" y="${bottom + 22}" text-anchor="middle">${html(heading)}</text>`,
  );
  const drawn = variants.map(({ name, seeds }, v) => {
    const means = places.map((of, round) => `${pixel(x(round, v))} ${pixel(y(of[v]![0]))}`);
    const bars = places.map((of, round) => {
      const [mean, half] = of[v]!;
      const [from, to] = [y(mean - half), y(mean + half)].map(pixel);
      return `M${pixel(x(round, v))} ${from}V${to}`;
    });
    const dots = headings.flatMap((_, round) =>
      seeds.map(
        (values) => `<circle cx="${pixel(x(round, v))}" cy="${pixel(y(values[round]!))}" r="2.2"/>`,
      ),
    );
    const key = FRAME.left + (v * (WIDTH - FRAME.left)) / variants.length;
    return `<g class="${COLOURS[v]}"><path d="M${means.join("L")}"/><path class="bar" d="${bars.join("")}"/>${dots.join("")}
<path d="M${pixel(key)} 37h20"/><text x="${pixel(key + 26)}" y="41">${html(name)}</text></g>`;
  });
  return svgFile({
    title: `${title}: ${note}`,
    width: WIDTH,
    height: HEIGHT,
    style: STYLE,
    body: `<text class="name" x="0" y="14">${html(title)}</text><text x="${WIDTH}" y="14" text-anchor="end">${html(note)}</text>
${grid.join("")}${names.join("")}
${drawn.join("\n")}`,
  });
}

const STYLE = `
.grid { stroke: var(--line); stroke-width: 1; stroke-opacity: .5; }
g path { fill: none; stroke: var(--own); stroke-width: 2; } g .bar { stroke-width: 5; stroke-opacity: .3; } g circle { fill: var(--own); }
${COLOURS.map((colour) => `.${colour} { --own: var(--${colour}); }`).join(" ")}
`;
