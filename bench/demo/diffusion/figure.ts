/**
 * Samples of models as points beside each other: an SVG that stands alone.
 * @module
 */

import { html, pixel } from "../../../src/dynamics/chart.js";
import { percent } from "../columns.js";
import { svgFile } from "../svg.js";
import { MODES, modeOf, type Point, PREFERRED, STD } from "./mixture.js";
import type { DiffusionModelRun } from "./task.js";

const PANEL = 220;
const GAP = 16;
const HEAD = 44;
const FOOT = 26;
const COLUMNS = 3;
/** Half of the plane's width that is shown. */
const EXTENT = 2.3;
/** Points of a panel; more would hide each other. */
const SHOWN = 600;

/** Panels of the models, three in a row. */
export function samplesFigure(title: string, models: readonly DiffusionModelRun[]): string {
  const rows = Math.ceil(models.length / COLUMNS);
  const width = COLUMNS * PANEL + (COLUMNS - 1) * GAP;
  const height = rows * (HEAD + PANEL) + FOOT;
  const panels = models.map((model, i) =>
    panel(model, (i % COLUMNS) * (PANEL + GAP), Math.floor(i / COLUMNS) * (HEAD + PANEL)),
  );
  const key = Object.entries(NAMES).map(
    ([kind, name], i) =>
      `<circle class="${kind}" cx="${6 + 160 * i}" cy="${height - 9}" r="4"/><text x="${16 + 160 * i}" y="${height - 5}">${name}</text>`,
  );
  return svgFile({
    title,
    width,
    height,
    style: STYLE,
    body: `${panels.join("\n")}\n${key.join("")}`,
  });
}

const NAMES: Readonly<Record<string, string>> = {
  preferred: "in a preferred mode",
  other: "in another mode",
  outside: "in no mode",
};

function kindOf(point: Point): string {
  const mode = modeOf(point);
  if (mode === null) return "outside";
  return PREFERRED.includes(mode) ? "preferred" : "other";
}

function panel({ name, figures, samples }: DiffusionModelRun, left: number, top: number): string {
  const unit = PANEL / (2 * EXTENT);
  const x = (value: number): string => pixel(left + (value + EXTENT) * unit);
  const y = (value: number): string => pixel(top + HEAD + (EXTENT - value) * unit);
  const shown = samples
    .slice(0, SHOWN)
    .filter((point) => point.every((coordinate) => Math.abs(coordinate) < EXTENT));
  const dots = Object.keys(NAMES).map((kind) => {
    const points = shown.filter((point) => kindOf(point) === kind);
    return `<path class="${kind}" d="${points.map(([px, py]) => `M${x(px)} ${y(py)}h0`).join("")}"/>`;
  });
  const modes = MODES.map(
    ([cx, cy]) => `<circle class="mode" cx="${x(cx)}" cy="${y(cy)}" r="${pixel(3 * STD * unit)}"/>`,
  );
  return `<g><rect class="panel" x="${left}" y="${top + HEAD}" width="${PANEL}" height="${PANEL}"/>
<text class="name" x="${left}" y="${top + 19}">${html(name)}</text>
<text x="${left}" y="${top + 36}">preferred ${percent(figures.preferred)}, in no mode ${percent(figures.outside)}</text>
${modes.join("")}
${dots.join("\n")}</g>`;
}

const STYLE = `
svg { --preferred: var(--a); --other: var(--b); --outside: var(--soft); }
.mode { fill: none; stroke: var(--line); }
path { fill: none; stroke-width: 2.6; stroke-linecap: round; stroke-opacity: .75; }
path.preferred { stroke: var(--preferred); } path.other { stroke: var(--other); } path.outside { stroke: var(--outside); }
circle.preferred { fill: var(--preferred); } circle.other { fill: var(--other); } circle.outside { fill: var(--outside); }
`;
