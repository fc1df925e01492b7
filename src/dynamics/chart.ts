/**
 * A chart of curves as inline SVG, which needs no script.
 * @module
 */

/** A line. */
export interface Curve {
  readonly name: string;
  /** As CSS has it. */
  readonly color: string;
  readonly style?: "dashed" | "wide";
  /** In increasing order. */
  readonly steps: readonly number[];
  /** A value for each step; undefined where there is none. */
  readonly values: readonly (number | undefined)[];
}

/** Curves over steps. */
export interface Chart {
  readonly title: string;
  readonly note: string;
  readonly curves: readonly Curve[];
  /** A horizontal line that means something. */
  readonly level?: number;
}

/** Where a chart has its steps, for what is drawn under its curves. */
export interface ChartPlace {
  readonly x: (step: number) => number;
  readonly top: number;
  readonly bottom: number;
}

const WIDTH = 520;
const HEIGHT = 240;
const FRAME = { left: 58, right: 12, top: 10, bottom: 30 } as const;
/** Points of a curve: twice what the width can show. */
const POINTS = 2 * (WIDTH - FRAME.left - FRAME.right);

/** The chart with title and legend. Each curve has a step at least. */
export function chartFigure(
  { title, note, curves, level }: Chart,
  underlay: (place: ChartPlace) => string = () => "",
): string {
  const finite = [...curves.flatMap(({ values }) => values), level].filter(
    (v): v is number => v !== undefined && Number.isFinite(v),
  );
  const [first, last] = range(curves.flatMap(({ steps }) => [steps[0]!, steps.at(-1)!]));
  const x = scale(first, last, FRAME.left, WIDTH - FRAME.right);
  const [low, high] = padded(range(finite));
  const y = scale(low, high, HEIGHT - FRAME.bottom, FRAME.top);
  const bottom = HEIGHT - FRAME.bottom;
  const rightEnd = WIDTH - FRAME.right;
  const legend = curves
    .map(
      ({ name, values, ...look }) =>
        `<li><svg width="22" height="8"><path d="M1 4H21"${stroke(look)}/></svg>${html(name)} <b>${number(values.filter((v) => v !== undefined).at(-1))}</b></li>`,
    )
    .join("");
  const grid = ticks(low, high).map(
    (v) =>
      `<path class="grid" d="M${FRAME.left} ${pixel(y(v))}H${rightEnd}"/><text x="${FRAME.left - 6}" y="${pixel(y(v) + 4)}" text-anchor="end">${number(v)}</text>`,
  );
  const stepMarks = ticks(first, last).map(
    (v) => `<text x="${pixel(x(v))}" y="${bottom + 18}" text-anchor="middle">${number(v)}</text>`,
  );
  return `<figure><figcaption><h2>${html(title)}</h2><p>${html(note)}</p></figcaption>
<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${html(`${title}: ${note}`)}">
${underlay({ x, top: FRAME.top, bottom })}${grid.join("")}${stepMarks.join("")}
${level === undefined ? "" : `<path class="level" d="M${FRAME.left} ${pixel(y(level))}H${rightEnd}"/>`}
${curves.map(({ values, steps, ...look }) => `<path d="${line(values, steps, x, y)}"${stroke(look)}/>`).join("\n")}
</svg><ul>${legend}</ul></figure>`;
}

function stroke({ color, style }: Pick<Curve, "color" | "style">): string {
  if (style === "wide") return ` stroke="${color}" class="wide"`;
  return ` stroke="${color}"${style === "dashed" ? ' stroke-dasharray="5 4"' : ""}`;
}

/** The path of a curve, broken where values are missing. Of points that share a place the least and the greatest stay. */
function line(
  values: readonly (number | undefined)[],
  steps: readonly number[],
  x: (step: number) => number,
  y: (value: number) => number,
): string {
  const perBucket = Math.max(1, Math.ceil((2 * values.length) / POINTS));
  let path = "";
  let pen = "M";
  for (let from = 0; from < values.length; from += perBucket) {
    let least = -1;
    let greatest = -1;
    let gap = false;
    for (let i = from; i < Math.min(from + perBucket, values.length); i++) {
      const v = values[i];
      if (v === undefined || !Number.isFinite(v)) {
        gap = true;
        continue;
      }
      if (least < 0 || v < values[least]!) least = i;
      if (greatest < 0 || v > values[greatest]!) greatest = i;
    }
    const kept = least === greatest ? [least] : [least, greatest].sort((a, b) => a - b);
    for (const i of kept) {
      if (i < 0) continue;
      path += `${pen}${pixel(x(steps[i]!))} ${pixel(y(values[i]!))}`;
      pen = "L";
    }
    if (gap) pen = "M";
  }
  // A point without neighbours is a short line.
  return path.replaceAll(/M([\d.-]+ [\d.-]+)(?=M|$)/g, "M$1m-3 0h6");
}

/** The line through two places of an axis. */
export function scale(low: number, high: number, from: number, to: number): (v: number) => number {
  const span = high - low || 1;
  return (v) => from + ((v - low) / span) * (to - from);
}

function range(values: readonly number[]): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return [low, high];
}

/** Room above and below; a flat curve lies in the middle. */
function padded([low, high]: readonly [number, number]): [number, number] {
  const room = high > low ? (high - low) * 0.04 : Math.abs(low) * 0.1 || 1;
  return [low - room, high + room];
}

/** Four to eight round numbers of a range. */
export function ticks(low: number, high: number): number[] {
  if (!(high > low)) return [low];
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= 0.75 * rough)!;
  const first = Math.ceil(low / step);
  const marks = Array.from({ length: 10 }, (_, i) => (first + i) * step);
  return marks.filter((mark) => mark <= high);
}

/** A number in four digits, a real minus sign; small ones as 5e−5. */
export function number(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const rounded = Number(value.toPrecision(4));
  const isSmall = rounded !== 0 && Math.abs(rounded) < 1e-3;
  return (isSmall ? rounded.toExponential() : String(rounded)).replaceAll("-", "−");
}

/** A place in a chart. */
export function pixel(value: number): string {
  return String(Number(value.toFixed(1)));
}

/** Text in a page. */
export function html(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** The look of charts, in the page's colours: `--soft`, `--ink`, `--grid`. */
export const CHART_STYLE = `
.chart { display: block; width: 100%; height: auto; overflow: visible; }
.chart path, li path { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.chart .wide, li .wide { stroke-width: 5; stroke-opacity: 0.3; }
.chart .grid { stroke: var(--grid); stroke-width: 1; }
.chart .level { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 3; }
.chart text { fill: var(--soft); font-size: 11.5px; font-variant-numeric: tabular-nums; }
figure ul { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 6px 0 0; padding: 0; list-style: none; font-size: 13px; color: var(--soft); }
figure li svg { margin-right: 6px; vertical-align: middle; }
figure li b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
`;
