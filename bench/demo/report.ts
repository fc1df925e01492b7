/**
 * `report.html`: one file with what a run shows, its figures, answers and curves. It needs nothing
 * else: script and styles of `page/` are part of it.
 * @module
 */

import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { html } from "../../src/dynamics/chart.js";
import {
  evaluationChart,
  lastFigures,
  type PhaseKind,
  type TrainingFigure,
  trainingChart,
} from "./charts.js";
import { COLUMNS, columnsOf, duration, percent, phaseTitle, textOf } from "./columns.js";
import type { Figures } from "./evaluate.js";
import type { MetricsRow } from "./metrics.js";
import { phasesOf, type Settings } from "./settings.js";
import type { Sample } from "./task.js";
import { verdict } from "./verdict.js";

/** What a report is made from. */
export interface ReportData {
  readonly settings: Settings;
  readonly description: readonly string[];
  readonly samples: readonly Sample[];
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

/** A model of the run: the phase it comes from, and its figures, when it has any. */
interface Model {
  readonly phase: string;
  readonly kind: PhaseKind;
  readonly title: string;
  readonly figures: Figures;
}

/** The report as a page. */
export function reportHtml(data: ReportData): string {
  const { settings, description, rows } = data;
  const phases = phasesOf(settings);
  const figures = lastFigures(rows);
  const models = (["sft", "chosen", "base", "spo"] as const).flatMap((kind, i): Model[] => {
    const [phase, own] = [phases[i]!, figures.get(phases[i]!)];
    return own ? [{ phase, kind, title: phaseTitle(phase), figures: own }] : [];
  });
  const [sft, , base, spo] = phases.map(phaseTitle);
  const charts = [
    ...COLUMNS.map(({ key }) => evaluationChart(key, rows, phases)),
    ...TRAINING_FIGURES.map((figure) => trainingChart(figure, rows, phases)),
  ].filter(({ steps }) => steps.length > 0);
  const finished = rows.some((row) => row.kind === "samples" && row.phase === phases[3]);
  const { script, style } = page();
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${html(`${base} and ${spo}`)}</title>
<style>
${style}</style>
</head>
<body>
<main>
<p class="eyebrow">prefgrad, the demo</p>
<h1>${html(`${base} and ${spo} from one ${sft} checkpoint`)}</h1>
${finished ? `<p class="verdict">${verdict(settings, figures).map(html).join(" ")}</p>` : UNFINISHED}
${accuraciesHtml(models)}
<p class="data">${description.map(html).join("<br>")}</p>
${tableHtml(models, data)}
${samplesHtml(models, data)}
<h2>Curves</h2>
<p class="lead">Step 0 is the ${html(sft!)} checkpoint. All runs see the same batches in the same order.</p>
<section id="charts"></section>
<details><summary>Settings</summary><pre>${html(JSON.stringify(settings, null, 2))}</pre></details>
</main>
<script type="application/json" id="data">${embedded(charts)}</script>
<script>${script}</script>
</body>
</html>
`;
}

const UNFINISHED =
  '<p class="unfinished">This run was not finished; continue it with <code>--resume</code>.</p>';

/** A bar for each model in each accuracy; nothing where no answer is right or wrong. */
function accuraciesHtml(models: readonly Model[]): string {
  const cards = COLUMNS.filter(({ isAccuracy }) => isAccuracy).flatMap(({ key, title }) => {
    const bars = models.map(({ kind, title: name, figures }) =>
      figures[key] === null ? "" : barHtml(kind, name, figures[key]),
    );
    if (bars.join("") === "") return [];
    return [`<div class="card"><h3>${title}</h3><div class="bars">${bars.join("")}</div></div>`];
  });
  return cards.length === 0 ? "" : `<section class="accuracies">${cards.join("")}</section>`;
}

function barHtml(kind: PhaseKind, name: string, share: number): string {
  const bar = `<div class="bar" data-run="${kind}"><div style="width:${(100 * share).toFixed(1)}%"></div></div>`;
  return `<span>${nameHtml(name)}</span>${bar}<span>${percent(share)}</span>`;
}

/** The figures, a model a column. */
function tableHtml(models: readonly Model[], { seconds }: ReportData): string {
  const head = models.map(
    ({ kind, title }) =>
      `<th scope="col"><span class="dot" data-run="${kind}"></span>${nameHtml(title)}</th>`,
  );
  const row = (title: string, meaning: string, cells: readonly string[]): string =>
    `<tr><th scope="row">${title.replace("/", "/<wbr>")}<small>${html(meaning)}</small></th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  const body = columnsOf(models.map(({ figures }) => figures)).map((column) =>
    row(
      column.title,
      `${column.meaning}${column.unit === "share" ? "" : `, ${column.unit}`}`,
      models.map(({ figures }) => textOf(column, figures)),
    ),
  );
  const time = models.map(({ phase }) => duration(seconds[phase] ?? 0).replaceAll(" ", "&nbsp;"));
  return `<div class="card"><table class="figures"><thead><tr><th>held-out data</th>${head.join("")}</tr></thead>
<tbody>${body.join("")}${row("time", "of training and measuring", time)}</tbody></table></div>`;
}

/** What each model answers to a few held-out prompts. */
function samplesHtml(models: readonly Model[], { rows, samples }: ReportData): string {
  const answers = new Map(
    rows.flatMap((row) => (row.kind === "samples" ? [[row.phase, row.answers] as const] : [])),
  );
  const answered = models.filter(({ phase }) => answers.has(phase));
  if (answered.length === 0) return "";
  const cards = samples.map(({ prompt, right }, i) => {
    const lines = answered.map(({ phase, kind, title }) => {
      const answer = answers.get(phase)![i]!;
      const [mark, name] =
        right === null ? ["", ""] : answer === right ? ["✓", "right"] : ["✗", "wrong"];
      return (
        `<dt><span class="dot" data-run="${kind}"></span>${nameHtml(title)}</dt>` +
        `<dd class="${name}"><span class="text">${html(answer)}</span> <span title="${name}">${mark}</span></dd>`
      );
    });
    const solution =
      right === null ? "" : `<small>right: <span class="text">${html(right)}</span></small>`;
    return `<div class="card"><p class="prompt"><span class="text beginning">${html(prompt)}</span>${solution}</p><dl>${lines.join("")}</dl></div>`;
  });
  return `<h2>Answers</h2>
<p class="lead">The likeliest answer of each model to a few held-out prompts.</p>
<section class="samples">${cards.join("")}</section>`;
}

/** A model's name, which may wrap after a plus. */
function nameHtml(name: string): string {
  return html(name).replaceAll("+", "+<wbr>");
}

let built: { readonly script: string; readonly style: string } | null = null;

/** The script and the styles of the page. */
function page(): { readonly script: string; readonly style: string } {
  if (built) return built;
  const { outputFiles } = buildSync({
    entryPoints: [fileURLToPath(new URL("page/report.ts", import.meta.url))],
    outdir: "page",
    bundle: true,
    minify: true,
    format: "iife",
    platform: "browser",
    target: "es2022",
    write: false,
  });
  const textOf = (end: string): string => outputFiles.find(({ path }) => path.endsWith(end))!.text;
  built = { script: textOf(".js"), style: textOf(".css") };
  return built;
}

/** JSON that cannot end the script it stands in. */
function embedded(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}
