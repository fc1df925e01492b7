/**
 * A page on one run or several: what they show, their curves over each other, answers before and after, settings. It needs
 * nothing else, no script and no network.
 * @module
 */

import { CHART_STYLE, type Curve, chartFigure, html } from "../../dynamics/chart.js";
import type { RunRecord } from "../runFiles.js";
import { figuresOf, type MetricSeries, type Series, seriesOf } from "./figures.js";
import { STYLE } from "./style.js";
import { verdict } from "./verdict.js";

/** Runs that have a colour of their own. */
const COLOURS = 6;
const colourOf = (run: number): string => `var(--run-${run % COLOURS})`;

/** What stands over a report. */
const EYEBROW = "prefgrad";

/** The page. @param head What to add to the page's head, a script for instance. */
export function runReport(runs: readonly RunRecord[], eyebrow = EYEBROW, head = ""): string {
  const title = runs.map(({ name }) => name).join(", ");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${html(title)}</title>
<style>${CHART_STYLE}${STYLE}</style>
${head}</head>
<body>
${reportMain(runs, eyebrow)}
</body>
</html>
`;
}

/** What of the page changes as runs go on. */
export function reportMain(runs: readonly RunRecord[], eyebrow = EYEBROW): string {
  const metrics = runs.map(({ rows }) => seriesOf(rows));
  const names = [...new Set(metrics.flatMap((own) => own.map(({ name }) => name)))];
  const charts = names.map((name) =>
    chartOf(
      metrics.map((own) => own.find((series) => series.name === name)),
      runs,
    ),
  );
  return `<main>
<p class="eyebrow">${html(eyebrow)}</p>
<h1>${runs.map(({ name }, i) => `${dot(i, runs.length)}${html(name)}`).join("<br>")}</h1>
${runs.map((run, i) => `<p class="verdict">${dot(i, runs.length)}${html(verdict(run).join(" "))}</p>`).join("\n")}
${tableOf(runs)}
<h2>Curves</h2>
<p class="lead">Lines are training batches; dashed lines are held-out rows.</p>
<section class="charts">
${charts.join("\n")}
</section>
${answersOf(runs)}
${runs.map(settingsOf).join("\n")}
</main>`;
}

/** A run's colour, where there are several. */
const dot = (run: number, count: number): string =>
  count > 1 ? `<span class="dot" style="background:${colourOf(run)}"></span>` : "";

function chartOf(all: readonly (MetricSeries | undefined)[], runs: readonly RunRecord[]): string {
  const curves = all.flatMap((series, run): Curve[] => {
    if (!series) return [];
    const name = runs.length > 1 ? runs[run]!.name : "";
    const color = colourOf(run);
    const curve = ({ steps, values }: Series, what: string, own: Partial<Curve>) =>
      steps.length === 0 ? [] : [{ name: `${name} ${what}`.trim(), color, steps, values, ...own }];
    return [
      ...curve(series.training, "training", {}),
      ...curve(series.heldOut, "held out", { style: "dashed" }),
    ];
  });
  const { title, note } = all.find((series) => series !== undefined)!;
  return chartFigure({ title, note, curves });
}

/** The figures, a run a pair of columns. */
function tableOf(runs: readonly RunRecord[]): string {
  const figures = runs.map(({ rows }) => figuresOf(rows));
  const names = [...new Set(figures.flatMap((own) => own.map(({ name }) => name)))];
  if (names.length === 0) return "";
  const head = runs.map(
    ({ name }, i) =>
      `<th colspan="2" scope="colgroup">${dot(i, runs.length)}${runs.length > 1 ? html(name) : ""}</th>`,
  );
  const rows = names.map((name) => {
    const cells = figures.map((own) => {
      const found = own.find((figure) => figure.name === name);
      return `<td>${found?.first ?? "–"}</td><td>${found?.last ?? "–"}</td>`;
    });
    return `<tr><th scope="row">${html(name).replaceAll(/[/_]/g, "$&<wbr>")}</th>${cells.join("")}</tr>`;
  });
  const ends = runs.map(() => "<th>begin</th><th>end</th>").join("");
  const several = runs.length > 1 ? `<tr><th></th>${head.join("")}</tr>` : "";
  return `<div class="card scroll"><table><thead>${several}<tr><th></th>${ends}</tr></thead>
<tbody>${rows.join("\n")}</tbody></table></div>`;
}

/** What the models answered. The beginnings are the same where the prompt is. */
function answersOf(runs: readonly RunRecord[]): string {
  const prompts = [...new Set(runs.flatMap(({ answers }) => answers.map(({ prompt }) => prompt)))];
  if (prompts.length === 0) return "";
  const cards = prompts.map((prompt) => {
    const entries = runs.flatMap(({ name, answers }, i) => {
      const own = answers.find((answer) => answer.prompt === prompt);
      if (!own) return [];
      const after = runs.length > 1 ? html(name) : "after";
      const before = `<dt>before</dt><dd class="text">${html(own.before)}</dd>`;
      return [
        ...(i === 0 || runs[0]!.answers.length === 0 ? [before] : []),
        `<dt>${dot(i, runs.length)}${after}</dt><dd class="text">${html(own.after)}</dd>`,
      ];
    });
    return `<div class="card"><p class="prompt text">${html(prompt)}</p><dl>${entries.join("")}</dl></div>`;
  });
  return `<h2>Answers</h2>
<p class="lead">Greedy answers to held-out prompts, 64 tokens at most.</p>
<section class="answers">${cards.join("\n")}</section>`;
}

function settingsOf({ name, settings, fit }: RunRecord): string {
  const text = JSON.stringify({ ...settings, fit }, null, 2);
  return `<details><summary>Settings of ${html(name)}</summary><pre>${html(text)}</pre></details>`;
}
