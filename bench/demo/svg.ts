/**
 * Figures that stand alone: an SVG with its own background, in light and in dark.
 * @module
 */

import { html } from "../../src/dynamics/chart.js";

/** Room around what is drawn. */
const EDGE = 10;

/** What a figure is. */
export interface SvgFigure {
  readonly title: string;
  /** Of what is drawn. */
  readonly width: number;
  readonly height: number;
  /** Rules of its own; colours are `--ink`, `--soft`, `--line`, `--panel`, and `--a` to `--d`. */
  readonly style: string;
  readonly body: string;
}

/** The text of a file. */
export function svgFile({ title, width, height, style, body }: SvgFigure): string {
  const [fullWidth, fullHeight] = [width + 2 * EDGE, height + 2 * EDGE];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${-EDGE} ${-EDGE} ${fullWidth} ${fullHeight}" role="img" aria-label="${html(title)}">
<title>${html(title)}</title>
<style>${COLOURS}${style}</style>
<rect class="page" x="${-EDGE}" y="${-EDGE}" width="${fullWidth}" height="${fullHeight}"/>
${body}
</svg>
`;
}

// Okabe and Ito's palette, lighter on dark.
const COLOURS = `
svg { font: 13px system-ui, sans-serif; --page: #fff; --panel: #f6f7f9; --ink: #1f2430; --soft: #5a6172; --line: #c6cbd5; --a: #0072b2; --b: #d55e00; --c: #009e73; --d: #a8508a; }
@media (prefers-color-scheme: dark) { svg { --page: #14171d; --panel: #1d212a; --ink: #e8eaf0; --soft: #a3abbb; --line: #4a5162; --a: #56b4e9; --b: #f08a3c; --c: #2fc79b; --d: #e08cc0; } }
.page { fill: var(--page); } .panel { fill: var(--panel); }
text { fill: var(--soft); } .name { fill: var(--ink); font-size: 15px; font-weight: 600; }
`;
