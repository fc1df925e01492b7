/**
 * The page a recorder gives: charts as inline SVG, a table of start and end.
 * @module
 */

import {
  CHART_STYLE,
  type Chart,
  type ChartPlace,
  type Curve,
  chartFigure,
  html,
  number,
  pixel,
} from "./chart.js";
import type { DynamicsRow } from "./recorder.js";

// Okabe and Ito's palette: told apart by everyone, in print too.
const CHOSEN = "#0072b2";
const REJECTED = "#d55e00";
const OTHERS = ["#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7f00"];
const REST = "#6b7280";

/** Responses with a curve of their own; more would be told apart by nobody. */
const SHOWN = 2 + OTHERS.length;
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
<style>${STYLE}${CHART_STYLE}</style>
</head>
<body>
<main>
<h1>${html(title)}</h1>
<p class="lead">${html(lead.filter(Boolean).join(" "))}</p>
<section>
${charts.map((chart) => chartFigure(chart, (place) => shaded(rows, place))).join("\n")}
</section>
${rows.length === 0 ? "" : table(responses, rows)}
</main>
</body>
</html>
`;
}

function chartsOf(responses: readonly string[], rows: readonly DynamicsRow[]): Chart[] {
  const [chosen, rejected] = responses as [string, string];
  const steps = rows.map(({ step }) => step);
  const color = (i: number): string => [CHOSEN, REJECTED, ...OTHERS][i]!;
  const each = (value: (row: DynamicsRow, name: string) => number | undefined): Curve[] =>
    responses.slice(0, SHOWN).map((name, i) => ({
      name,
      color: color(i),
      steps,
      values: rows.map((row) => value(row, name)),
    }));
  const one = (title: string, note: string, value: (row: DynamicsRow) => number | undefined) => ({
    title,
    note,
    curves: [{ name: title, color: CHOSEN, steps, values: rows.map(value) }],
  });
  const probability = each((row, name) => Math.exp(row.logProbs[name]!));
  const visible = probability.some(({ values }) => values.some((p) => p! > 0.001));
  const outside: Curve = {
    name: "all but the pair",
    color: REST,
    style: "dashed",
    steps,
    values: rows.map(({ logProbs }) =>
      Math.max(0, 1 - Math.exp(logProbs[chosen]!) - Math.exp(logProbs[rejected]!)),
    ),
  };
  const changes = [chosen, rejected].flatMap((name, i): Curve[] => {
    const predicted = rows.map((row) => row.predicted?.[name]);
    const observed = observedChanges(rows, name);
    return [
      { name: `${name}, observed`, color: color(i), style: "wide", steps, values: observed },
      { name: `${name}, predicted`, color: color(i), style: "dashed", steps, values: predicted },
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
      curves: [
        { name: "left both", color: REJECTED, steps, values: rows.map((row) => row.leftBoth) },
      ],
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

/** A band from each displacing step to the next recorded one. */
function shaded(rows: readonly DynamicsRow[], { x, top, bottom }: ChartPlace): string {
  const bands: string[] = [];
  for (let i = 0; i < rows.length; i++) {
    if (rows[i]!.displaced !== true) continue;
    const from = x(rows[i]!.step);
    while (rows[i + 1]?.displaced === true) i++;
    const to = x((rows[i + 1] ?? rows[i]!).step);
    bands.push(
      `<rect class="displaced" x="${pixel(from)}" y="${top}" width="${pixel(Math.max(to - from, 1))}" height="${bottom - top}"/>`,
    );
  }
  return bands.join("");
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
.chart .displaced { fill: var(--shade); }
table { border-collapse: collapse; width: 100%; margin-top: 16px; background: var(--card); border: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th, td { padding: 7px 14px; text-align: right; }
th:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
@media print { body { background: #fff; } figure { break-inside: avoid; } }
`;
