/**
 * What variants come to in the end: a row each, with the mean over seeds, its interval, and each seed.
 * @module
 */

import { html, number, pixel, scale, ticks } from "../../src/dynamics/chart.js";
import { intervalOf } from "./interval.js";
import { largest } from "./largest.js";
import { svgFile } from "./svg.js";

/** A variant's value of each seed. */
export interface VariantValues {
  readonly name: string;
  readonly seeds: readonly number[];
  /** Has the second colour. */
  readonly marked: boolean;
}

/** Headings of the figure, and a level to compare with. */
export interface VariantsLabels {
  readonly title: string;
  /** What is measured. */
  readonly note: string;
  readonly level: { readonly name: string; readonly value: number };
}

const WIDTH = 640;
const FRAME = { left: 196, right: 14, top: 52, bottom: 30 } as const;
const ROW = 34;

/** The figure. Thin lines join the values of a seed. */
export function variantsFigure(
  { title, note, level }: VariantsLabels,
  variants: readonly VariantValues[],
): string {
  const intervals = variants.map(({ seeds }) => intervalOf(seeds));
  const ends = intervals.flatMap(([mean, half]) => [mean - half, mean + half]);
  const all = [level.value, ...ends, ...variants.flatMap(({ seeds }) => seeds)];
  const [low, high] = [-largest(all.map((value) => -value)), largest(all)];
  const x = scale(low, high, FRAME.left + 10, WIDTH - FRAME.right - 10);
  const bottom = FRAME.top + variants.length * ROW;
  const y = (variant: number): number => FRAME.top + (variant + 0.5) * ROW;
  const grid = ticks(low, high).map(
    (value) =>
      `<path class="grid" d="M${pixel(x(value))} ${FRAME.top}V${bottom}"/><text x="${pixel(x(value))}" y="${bottom + 20}" text-anchor="middle">${number(value)}</text>`,
  );
  const at = pixel(x(level.value));
  const compared = `<path class="level" d="M${at} ${FRAME.top - 6}V${bottom}"/><text x="${at}" y="${FRAME.top - 11}" text-anchor="middle">${html(level.name)}</text>`;
  const joined = variants[0]!.seeds.map((_, seed) => {
    const points = variants.map(({ seeds }, v) => `${pixel(x(seeds[seed]!))} ${pixel(y(v))}`);
    return `<path class="seed" d="M${points.join("L")}"/>`;
  });
  const drawn = variants.map(({ name, seeds, marked }, v) => {
    const [mean, half] = intervals[v]!;
    const [from, middle, to] = [mean - half, mean, mean + half].map((value) => pixel(x(value)));
    const dots = seeds.map(
      (value) => `<circle cx="${pixel(x(value))}" cy="${pixel(y(v))}" r="3"/>`,
    );
    return `<g class="${marked ? "b" : "a"}"><text x="${FRAME.left - 10}" y="${pixel(y(v) + 4)}" text-anchor="end">${html(name)}</text><path class="bar" d="M${from} ${pixel(y(v))}H${to}"/><path class="mean" d="M${middle} ${pixel(y(v) - 9)}v18"/>${dots.join("")}</g>`;
  });
  return svgFile({
    title: `${title}: ${note}`,
    width: WIDTH,
    height: bottom + FRAME.bottom,
    style: STYLE,
    body: `<text class="name" x="0" y="14">${html(title)}</text><text x="${WIDTH}" y="14" text-anchor="end">${html(note)}</text>
${grid.join("")}${compared}
${joined.join("")}
${drawn.join("\n")}`,
  });
}

const STYLE = `
.grid { stroke: var(--line); stroke-width: 1; stroke-opacity: .5; } .level { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 5 4; }
.seed { fill: none; stroke: var(--line); stroke-width: 1; }
g path { fill: none; stroke: var(--own); } g .bar { stroke-width: 8; stroke-opacity: .3; } g .mean { stroke-width: 2.5; } g circle { fill: var(--own); }
.a { --own: var(--a); } .b { --own: var(--b); }
`;
