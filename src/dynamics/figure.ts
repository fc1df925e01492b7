/**
 * The page a recorder gives: charts as inline SVG, a table of start and end.
 * @module
 */

import type { DynamicsRow } from "./recorder.js";

interface Curve {
  readonly name: string;
  readonly color: string;
  readonly style?: "dashed" | "wide";
  /** A value for each row; undefined where there is none. */
  readonly values: readonly (number | undefined)[];
}

interface Chart {
  readonly title: string;
  readonly note: string;
  readonly curves: readonly Curve[];
  /** A horizontal line that means something. */
  readonly level?: number;
}

// Okabe and Ito's palette: told apart by everyone, in print too.
const CHOSEN = "#0072b2";
const REJECTED = "#d55e00";
const OTHERS = ["#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7f00"];
const REST = "#6b7280";

/** Responses with a curve of their own; more would be told apart by nobody. */
const SHOWN = 2 + OTHERS.length;
const WIDTH = 520;
const HEIGHT = 240;
const FRAME = { left: 58, right: 12, top: 10, bottom: 30 } as const;
/** Points of a curve: twice what the width can show. */
const POINTS = 2 * (WIDTH - FRAME.left - FRAME.right);

/** The page. Responses 0 and 1 are the pair. */
export function dynamicsFigure(
  title: string,
  responses: readonly string[],
  rows: readonly DynamicsRow[],
): string {
  const displaced = rows.filter((row) => row.displaced === true).length;
  const judged = rows.filter((row) => row.displaced !== undefined).length;
  const lead = [
    rows.length === 0
      ? "Nothing was recorded."
      : `${rows.length} recorded steps, ${rows[0]!.step} to ${rows.at(-1)!.step}.`,
    judged === 0
      ? ""
      : displaced === 0
        ? `No step lowers the probability of ${responses[0]}, to first order.`
        : `${displaced} of ${judged} lower the probability of ${responses[0]}, to first order: the shaded steps.`,
  ];
  const charts = rows.length === 0 ? [] : chartsOf(responses, rows);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${html(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${html(title)}</h1>
<p class="lead">${html(lead.filter(Boolean).join(" "))}</p>
<section>
${charts.map((chart) => figure(chart, rows)).join("\n")}
</section>
${rows.length === 0 ? "" : table(responses, rows)}
</main>
</body>
</html>
`;
}

function chartsOf(responses: readonly string[], rows: readonly DynamicsRow[]): Chart[] {
  const [chosen, rejected] = responses as [string, string];
  const color = (i: number): string => [CHOSEN, REJECTED, ...OTHERS][i]!;
  const each = (value: (row: DynamicsRow, name: string) => number | undefined): Curve[] =>
    responses.slice(0, SHOWN).map((name, i) => ({
      name,
      color: color(i),
      values: rows.map((row) => value(row, name)),
    }));
  const one = (title: string, note: string, value: (row: DynamicsRow) => number | undefined) => ({
    title,
    note,
    curves: [{ name: title, color: CHOSEN, values: rows.map(value) }],
  });
  const probability = each((row, name) => Math.exp(row.logProbs[name]!));
  const visible = probability.some(({ values }) => values.some((p) => p! > 0.001));
  const outside: Curve = {
    name: "all but the pair",
    color: REST,
    style: "dashed",
    values: rows.map(({ logProbs }) =>
      Math.max(0, 1 - Math.exp(logProbs[chosen]!) - Math.exp(logProbs[rejected]!)),
    ),
  };
  const changes = [chosen, rejected].flatMap((name, i): Curve[] => {
    const predicted = rows.map((row) => row.predicted?.[name]);
    const observed = observedChanges(rows, name);
    return [
      { name: `${name}, observed`, color: color(i), style: "wide", values: observed },
      { name: `${name}, predicted`, color: color(i), style: "dashed", values: predicted },
    ];
  });
  const metrics = [...new Set(rows.flatMap((row) => Object.keys(row.metrics ?? {})))];
  const charts: (Chart | undefined)[] = [
    visible
      ? { title: "Probability", note: "of each response", curves: [...probability, outside] }
      : undefined,
    {
      title: "Log-probability",
      note: "of each response, nats",
      curves: each((row, name) => row.logProbs[name]),
    },
    {
      title: "Change per step",
      note: "of log-probability, nats: what the step did, and what the gradient said it would do",
      curves: changes,
      level: 0,
    },
    {
      ...one(
        "Overlap of the gradients",
        `⟨g_w, g_l⟩/‖g_w‖². Above 1, raising the margin lowers ${chosen}`,
        (row) => row.overlap,
      ),
      level: 1,
    },
    {
      title: "Left both responses",
      note: "share of the pair's probability at the first recorded step that has gone elsewhere",
      curves: [{ name: "left both", color: REJECTED, values: rows.map((row) => row.leftBoth) }],
    },
    one("Loss", "of the pair", (row) => row.loss),
    ...metrics.map((name) => one(name, "", (row) => row.metrics?.[name])),
  ];
  return charts.flatMap((chart) => {
    const curves = chart?.curves.filter(({ values }) => values.some(Number.isFinite)) ?? [];
    return chart && curves.length > 0 ? [{ ...chart, curves }] : [];
  });
}

/** Per step, between this record and the next. */
function observedChanges(rows: readonly DynamicsRow[], name: string): (number | undefined)[] {
  return rows.map((row, i) => {
    const next = rows[i + 1];
    return next && (next.logProbs[name]! - row.logProbs[name]!) / (next.step - row.step);
  });
}

function figure({ title, note, curves, level }: Chart, rows: readonly DynamicsRow[]): string {
  const finite = [...curves.flatMap(({ values }) => values), level].filter(
    (v): v is number => v !== undefined && Number.isFinite(v),
  );
  const steps = rows.map(({ step }) => step);
  const x = scale(steps[0]!, steps.at(-1)!, FRAME.left, WIDTH - FRAME.right);
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
  const stepMarks = ticks(steps[0]!, steps.at(-1)!).map(
    (v) => `<text x="${pixel(x(v))}" y="${bottom + 18}" text-anchor="middle">${number(v)}</text>`,
  );
  return `<figure><figcaption><h2>${html(title)}</h2><p>${html(note)}</p></figcaption>
<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${html(`${title}: ${note}`)}">
${shaded(rows, x, bottom)}${grid.join("")}${stepMarks.join("")}
${level === undefined ? "" : `<path class="level" d="M${FRAME.left} ${pixel(y(level))}H${rightEnd}"/>`}
${curves.map(({ values, ...look }) => `<path d="${line(values, steps, x, y)}"${stroke(look)}/>`).join("\n")}
</svg><ul>${legend}</ul></figure>`;
}

function stroke({ color, style }: Pick<Curve, "color" | "style">): string {
  if (style === "wide") return ` stroke="${color}" class="wide"`;
  return ` stroke="${color}"${style === "dashed" ? ' stroke-dasharray="5 4"' : ""}`;
}

/** A band from each displacing step to the next recorded one. */
function shaded(rows: readonly DynamicsRow[], x: (step: number) => number, bottom: number): string {
  const bands: string[] = [];
  for (let i = 0; i < rows.length; i++) {
    if (rows[i]!.displaced !== true) continue;
    const from = x(rows[i]!.step);
    while (rows[i + 1]?.displaced === true) i++;
    const to = x((rows[i + 1] ?? rows[i]!).step);
    bands.push(
      `<rect class="displaced" x="${pixel(from)}" y="${FRAME.top}" width="${pixel(Math.max(to - from, 1))}" height="${bottom - FRAME.top}"/>`,
    );
  }
  return bands.join("");
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
  return path;
}

function scale(low: number, high: number, from: number, to: number): (v: number) => number {
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
function ticks(low: number, high: number): number[] {
  if (!(high > low)) return [low];
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= 0.75 * rough)!;
  const first = Math.ceil(low / step);
  const marks = Array.from({ length: 10 }, (_, i) => (first + i) * step);
  return marks.filter((mark) => mark <= high);
}

function table(responses: readonly string[], rows: readonly DynamicsRow[]): string {
  const [first, last] = [rows[0]!, rows.at(-1)!];
  const body = responses.map((name) => {
    const [from, to] = [first.logProbs[name]!, last.logProbs[name]!];
    const cells = [from, to, to - from, Math.exp(from), Math.exp(to)].map(number);
    return `<tr><th>${html(name)}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  const head = [
    "response",
    `log π, step ${number(first.step)}`,
    `log π, step ${number(last.step)}`,
    "change",
    `π, step ${number(first.step)}`,
    `π, step ${number(last.step)}`,
  ];
  return `<table><thead><tr>${head.map((cell) => `<th>${cell}</th>`).join("")}</tr></thead><tbody>
${body.join("\n")}
</tbody></table>`;
}

/** Four digits, a real minus sign. */
function number(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  return String(Number(value.toPrecision(4))).replaceAll("-", "−");
}

function pixel(value: number): string {
  return String(Number(value.toFixed(1)));
}

function html(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

const STYLE = `
:root { color-scheme: light; --page: #f6f7f9; --card: #fff; --ink: #1f2430; --soft: #5a6172; --line: #e2e5ea; --grid: #eceef2; --shade: rgb(213 94 0 / 9%); }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 24px; margin: 0 0 4px; }
h2 { font-size: 15px; margin: 0; }
.lead { margin: 0 0 20px; color: var(--soft); }
section { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 16px; }
figure { margin: 0; padding: 14px 16px 10px; background: var(--card); border: 1px solid var(--line); min-width: 0; }
figcaption p { margin: 0 0 6px; color: var(--soft); font-size: 13px; min-height: 1.5em; }
.chart { display: block; width: 100%; height: auto; }
.chart path, li path { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.chart .wide, li .wide { stroke-width: 5; stroke-opacity: 0.3; }
.chart .grid { stroke: var(--grid); stroke-width: 1; }
.chart .level { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 3; }
.chart .displaced { fill: var(--shade); }
.chart text { fill: var(--soft); font-size: 11.5px; font-variant-numeric: tabular-nums; }
ul { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 6px 0 0; padding: 0; list-style: none; font-size: 13px; color: var(--soft); }
li svg { margin-right: 6px; vertical-align: middle; }
li b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; margin-top: 16px; background: var(--card); border: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th, td { padding: 7px 14px; text-align: right; }
th:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
@media print { body { background: #fff; } figure { break-inside: avoid; } }
`;
