/**
 * `report.html`: one file with the table and the curves of a run, drawn by uPlot, which is part of
 * the file.
 * @module
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Curve, evaluationChart, type TrainingFigure, trainingChart } from "./charts.js";
import { COLUMNS, columnsOf, duration, phaseTitle, textOf } from "./columns.js";
import type { Figures } from "./evaluate.js";
import type { MetricsRow } from "./metrics.js";
import { phasesOf, type Settings } from "./settings.js";

/** What a report is made from. */
export interface ReportData {
  readonly settings: Settings;
  readonly description: readonly string[];
  readonly rows: readonly MetricsRow[];
  /** Seconds of computing by phase. */
  readonly seconds: Readonly<Record<string, number>>;
}

/** What is shown of the training batches. */
const TRAINING_FIGURES: readonly TrainingFigure[] = [
  "rewards/chosen",
  "rewards/rejected",
  "loss",
  "sft/loss",
];

/** Colours of the runs. */
const COLORS: Readonly<Record<Curve["run"], string>> = {
  sft: "#6b7280",
  base: "#d55e00",
  spo: "#0072b2",
};

/** The report as a page. */
export function reportHtml(data: ReportData): string {
  const { settings, description, rows, seconds } = data;
  const phases = phasesOf(settings);
  const [sft, base, spo] = phases.map(phaseTitle);
  const figures = new Map<string, Figures>();
  for (const row of rows) if (row.kind === "evaluation") figures.set(row.phase, row);
  const charts = [
    ...COLUMNS.map(({ key }) => evaluationChart(key, rows, phases)),
    ...TRAINING_FIGURES.map((figure) => trainingChart(figure, rows, phases)),
  ]
    .filter(({ steps }) => steps.length > 0)
    .map((chart) => ({
      ...chart,
      curves: chart.curves.map((curve) => ({ ...curve, color: COLORS[curve.run] })),
    }));
  const finished = figures.has(phases[2]) && lastStep(rows, phases[2]) === settings.steps;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${html(`${base} and ${spo}`)}</title>
<style>
${asset("uPlot.min.css")}
${STYLE}
</style>
</head>
<body>
<main>
<h1>${html(`${base} and ${spo} from one ${sft} checkpoint`)}</h1>
<p class="lead">${description.map(html).join("<br>")}</p>
${finished ? "" : '<p class="unfinished">This run was not finished; continue it with <code>--resume</code>.</p>'}
${tableHtml(figures, seconds)}
<section id="charts"></section>
<details><summary>What the figures mean</summary>
<dl>${COLUMNS.map(({ title, meaning }) => `<dt>${title}</dt><dd>${html(meaning)}</dd>`).join("")}</dl>
<p>All are measured on held-out pairs. ${html(`${base} and ${spo}`)} start from the same model and see the same batches in the same order.</p>
</details>
<details><summary>Settings</summary><pre>${html(JSON.stringify(settings, null, 2))}</pre></details>
</main>
<script>${asset("uPlot.iife.min.js")}</script>
<script>const charts = ${embedded(charts)};
${SCRIPT}</script>
</body>
</html>
`;
}

function lastStep(rows: readonly MetricsRow[], phase: string): number {
  return Math.max(
    0,
    ...rows.map((row) => (row.kind === "evaluation" && row.phase === phase ? row.step : 0)),
  );
}

function tableHtml(
  figures: ReadonlyMap<string, Figures>,
  seconds: Readonly<Record<string, number>>,
): string {
  const columns = columnsOf(figures.values());
  const head = ["held-out data", ...columns.map(({ title }) => title), "time"];
  const body = Array.from(figures, ([phase, own]) => [
    phaseTitle(phase),
    ...columns.map((column) => textOf(column, own)),
    duration(seconds[phase] ?? 0),
  ]);
  const row = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell, i) => (i === 0 ? `<th>${html(cell)}</th>` : `<${tag}>${html(cell)}</${tag}>`)).join("")}</tr>`;
  return `<table class="figures"><thead>${row(head, "th")}</thead><tbody>${body.map((cells) => row(cells, "td")).join("")}</tbody></table>`;
}

function asset(name: string): string {
  return readFileSync(createRequire(import.meta.url).resolve(`uplot/dist/${name}`), "utf8");
}

function html(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** JSON that cannot end the script it stands in. */
function embedded(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}

const STYLE = `
body { margin: 0; background: #f6f7f9; color: #1f2430; font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 24px; margin: 0 0 8px; }
h2 { font-size: 15px; margin: 0; }
.lead { margin: 0 0 24px; color: #4b5263; }
.unfinished { background: #fff4e5; border-left: 4px solid #d55e00; padding: 8px 12px; }
.figures { border-collapse: collapse; width: 100%; background: #fff; border: 1px solid #e2e5ea; font-variant-numeric: tabular-nums; }
.figures th, .figures td { padding: 8px 14px; text-align: right; }
.figures th:first-child { text-align: left; }
.figures thead th { font-weight: 600; color: #4b5263; border-bottom: 1px solid #e2e5ea; }
#charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(460px, 1fr)); gap: 16px; margin: 24px 0; }
figure { margin: 0; padding: 14px 16px 8px; background: #fff; border: 1px solid #e2e5ea; min-width: 0; }
figcaption { margin-bottom: 8px; }
figcaption p { margin: 0; color: #6b7280; font-size: 13px; min-height: 39px; }
.u-legend { font-size: 13px; font-variant-numeric: tabular-nums; }
details { margin: 8px 0; } dt { font-weight: 600; } dd { margin: 0 0 8px; }
pre { background: #fff; border: 1px solid #e2e5ea; padding: 12px; overflow: auto; }
`;

const SCRIPT = `
const number = (v) => v === null || v === undefined ? "–" : Number(v.toPrecision(4)).toString().replace("-", "−");
const plots = charts.map(({ title, note, steps, curves }) => {
  const figure = document.createElement("figure");
  const caption = figure.appendChild(document.createElement("figcaption"));
  caption.appendChild(document.createElement("h2")).textContent = title;
  caption.appendChild(document.createElement("p")).textContent = note;
  document.getElementById("charts").appendChild(figure);
  const axis = { stroke: "#4b5263", grid: { stroke: "#eceef2", width: 1 }, ticks: { stroke: "#d5d9e0", width: 1 } };
  const plot = new uPlot({
    width: figure.clientWidth - 32,
    height: 240,
    scales: { x: { time: false } },
    legend: { markers: { fill: (_, i) => (i > 0 ? curves[i - 1].color : null) } },
    cursor: { sync: { key: steps[0] === 0 ? "evaluation" : title } },
    axes: [{ ...axis }, { ...axis, size: 58, values: (_, ticks) => ticks.map(number) }],
    series: [
      { label: "step" },
      ...curves.map(({ name, color, dashed }) => ({
        label: name,
        stroke: color,
        width: dashed ? 1.5 : 2,
        dash: dashed ? [6, 5] : undefined,
        points: { show: false },
        value: (_, v) => number(v),
      })),
    ],
  }, [steps, ...curves.map(({ values }) => values)], figure);
  return { plot, figure };
});
addEventListener("resize", () => {
  for (const { plot, figure } of plots) plot.setSize({ width: figure.clientWidth - 32, height: 240 });
});
`;
