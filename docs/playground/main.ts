/**
 * The page: settings, a worker that trains, and curves of what it reports.
 * @module
 */

import "uplot/dist/uPlot.min.css";
import "../../bench/demo/page/charts.css";
import "./style.css";
import {
  type Chart,
  evaluationChart,
  lastFigures,
  type TrainingFigure,
  trainingChart,
} from "../../bench/demo/charts.js";
import { COLUMNS, columnsOf, phaseTitle, textOf } from "../../bench/demo/columns.js";
import type { Figures } from "../../bench/demo/evaluate.js";
import type { MetricsRow } from "../../bench/demo/metrics.js";
import { addPlot } from "../../bench/demo/page/plots.js";
import {
  type GeneratedTask,
  phasesOf,
  type Settings,
  settingsFor,
} from "../../bench/demo/settings.js";
import { verdict } from "../../bench/demo/verdict.js";
import { addDevices, DEVICES, offerDevices } from "./devicePicker.js";
import type { PageDevice } from "./devices.js";
import { download, element } from "./dom.js";
import { addLosses } from "./losses.js";
import { type PageChoices, type Report, type Request, settingsOf } from "./protocol.js";

const TASKS: Readonly<Record<GeneratedTask, string>> = {
  writers: "imperfect writers",
  clean: "right answers",
};

/** Charts are drawn this often at most, ms: steps can be faster than that. */
const REDRAW_INTERVAL = 120;

/** The pace is that of this many steps. */
const PACE_STEPS = 20;

const controls = element<HTMLFormElement>("controls");
const startButton = element<HTMLButtonElement>("start");
const stopButton = element<HTMLButtonElement>("stop");
const saveButton = element<HTMLButtonElement>("save");
const status = element("status");
/** For screen readers, which the steps would overwhelm. */
const announcement = element("announcement");
const progress = element<HTMLProgressElement>("progress");
const failure = element("failure");

/** The run on display. */
interface Run {
  readonly settings: Settings;
  readonly rows: MetricsRow[];
  readonly milliseconds: number[];
  /** Of the phase it is in. */
  steps: number;
  drawing: boolean;
}

let run: Run | null = null;
/** What trains. It keeps its device and its fine-tuned model from one run to the next. */
let trainer: { readonly device: PageDevice; readonly worker: Worker } | null = null;

// Settings

function fillControls(): void {
  addDevices(element("devices"));
  addLosses(field("base"));
  const tasks = field<HTMLSelectElement>("task");
  for (const [task, title] of Object.entries(TASKS)) tasks.add(new Option(title, task));
  tasks.onchange = () => setDefaults(["learningRate", "sftSteps", "steps"]);
  setDefaults(["base", "gamma", "hinge", "learningRate", "sftSteps", "steps"]);
}

/** Sets fields to what the demo has for the task. */
function setDefaults(names: readonly (keyof PageChoices)[]): void {
  const defaults = settingsFor({ task: field<HTMLSelectElement>("task").value as GeneratedTask });
  for (const name of names) {
    const input = field<HTMLInputElement>(name);
    const value = defaults[name];
    if (typeof value === "boolean") input.checked = value;
    else input.value = String(value);
  }
}

function field<T extends Element>(name: string): T {
  return controls.elements.namedItem(name) as unknown as T;
}

function choices(): PageChoices {
  const number = (name: string): number => field<HTMLInputElement>(name).valueAsNumber;
  return {
    task: field<HTMLSelectElement>("task").value as GeneratedTask,
    base: field<HTMLSelectElement>("base").value,
    gamma: number("gamma"),
    hinge: field<HTMLInputElement>("hinge").checked,
    learningRate: number("learningRate"),
    sftSteps: number("sftSteps"),
    steps: number("steps"),
  };
}

// The worker

function newWorker(): Worker {
  return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
}

function ask(worker: Worker, request: Request): void {
  worker.postMessage(request);
}

function trainerOn(device: PageDevice): Worker {
  if (trainer?.device !== device) {
    trainer?.worker.terminate();
    const worker = newWorker();
    worker.onmessage = ({ data }: MessageEvent<Report>) => heed(data);
    worker.onerror = ({ message }) => heed({ kind: "failure", message });
    trainer = { device, worker };
  }
  return trainer.worker;
}

function heed(report: Report): void {
  const { milliseconds, rows } = run!;
  if (report.kind === "reference") {
    say(`Scoring the pairs with the fine-tuned model: ${report.done} of ${report.pairs}`);
  }
  if (report.kind === "phase") {
    run!.steps = report.steps;
    milliseconds.length = 0;
    const name = phaseTitle(report.phase);
    announcement.textContent = name;
    if (report.done < report.steps) say(`${name}: compiling the first step`);
  }
  if (report.kind === "backend") element("backend").textContent = report.backend;
  if (report.kind === "row") {
    const { row } = report;
    rows.push(row);
    if (report.milliseconds !== undefined) milliseconds.push(report.milliseconds);
    if (row.kind === "step" && report.milliseconds !== undefined) {
      const measuring = report.measured ? "; measuring on held-out problems" : "";
      say(`${phaseTitle(row.phase)}: step ${row.step} of ${run!.steps}${measuring}`);
    }
    drawSoon(run!);
  }
  if (report.kind === "end") {
    draw(run!);
    if (report.finished) {
      element("verdict").textContent = verdict(run!.settings, lastFigures(run!.rows)).join(" ");
    }
    finish(report.finished ? "Done" : "Stopped");
  }
  if (report.kind === "failure") {
    failure.textContent = report.message;
    failure.hidden = false;
    trainer?.worker.terminate();
    trainer = null;
    finish("Failed");
  }
}

controls.onsubmit = (event) => {
  event.preventDefault();
  const device = new FormData(controls).get("device") as PageDevice;
  const chosen = choices();
  run = {
    settings: settingsOf(chosen),
    rows: [],
    milliseconds: [],
    steps: 0,
    drawing: false,
  };
  running(true);
  failure.hidden = true;
  element("verdict").textContent = "";
  element("run").hidden = false;
  element("backend").textContent = element("pace").textContent = "–";
  say(`Starting ${DEVICES[device][0]}`);
  progress.value = 0;
  draw(run);
  ask(trainerOn(device), { kind: "start", device, choices: chosen });
};

stopButton.onclick = () => {
  if (!trainer) return;
  stopButton.disabled = true;
  announcement.textContent = status.textContent = "Stopping after this step";
  ask(trainer.worker, { kind: "stop" });
};

saveButton.onclick = () => {
  const rows: MetricsRow[] = [{ kind: "run", settings: run!.settings }, ...run!.rows];
  const lines = rows.map((row) => `${JSON.stringify(row)}\n`);
  download("metrics.jsonl", new Blob(lines, { type: "application/jsonl" }));
};

/** Says what the run is at, unless it is stopping. */
function say(text: string): void {
  if (!stopButton.disabled) status.textContent = text;
}

function running(on: boolean): void {
  for (const group of controls.querySelectorAll("fieldset")) group.disabled = on;
  startButton.disabled = on;
  stopButton.disabled = !on;
  saveButton.disabled = on;
}

function finish(how: string): void {
  announcement.textContent = status.textContent = how;
  running(false);
}

// What is shown

type ChartOf = (rows: readonly MetricsRow[], phases: ReturnType<typeof phasesOf>) => Chart;

const ofTraining =
  (figure: TrainingFigure): ChartOf =>
  (rows, phases) =>
    trainingChart(figure, rows, phases);

const ofHeldOut =
  (key: keyof Figures): ChartOf =>
  (rows, phases) => {
    const chart = evaluationChart(key, rows, phases);
    return { ...chart, title: `${chart.title}, held-out problems` };
  };

const plots = [
  ofTraining("sft/loss"),
  ofTraining("loss"),
  ofTraining("rewards/margins"),
  ofHeldOut("chosenPerToken"),
  ofHeldOut("greedyAccuracy"),
  ofHeldOut("sampledAccuracy"),
].map((chartOf) => ({ chartOf, plot: addPlot(element("charts")) }));

function drawSoon(of: Run): void {
  if (of.drawing) return;
  of.drawing = true;
  setTimeout(() => {
    of.drawing = false;
    if (of === run) draw(of);
  }, REDRAW_INTERVAL);
}

function draw({ settings, rows, milliseconds }: Run): void {
  const phases = phasesOf(settings);
  for (const { chartOf, plot } of plots) plot.show(chartOf(rows, phases));
  const figures = lastFigures(rows);
  showFigures(figures);
  const recent = milliseconds.slice(-PACE_STEPS);
  if (recent.length > 0) element("pace").textContent = `${median(recent).toFixed(1)} ms`;
  const total = settings.sftSteps + (phases.length - 1) * settings.steps;
  progress.value = rows.filter(({ kind }) => kind === "step").length / total;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]!;
}

/** The table of each phase's last figures. */
function showFigures(figures: ReadonlyMap<string, Figures>): void {
  const columns = figures.size > 0 ? columnsOf(figures.values()) : COLUMNS;
  const table = document.createElement("table");
  table.id = "figures";
  table.createCaption().textContent = "On held-out problems, as last measured";
  const head = table.createTHead().insertRow();
  for (const [i, { title, meaning }] of [{ title: "model", meaning: "" }, ...columns].entries()) {
    const cell = head.appendChild(document.createElement("th"));
    Object.assign(cell, { scope: "col", textContent: title, title: i > 0 ? meaning : "" });
  }
  const body = table.createTBody();
  for (const [phase, own] of figures) {
    const row = body.insertRow();
    const name = row.appendChild(document.createElement("th"));
    Object.assign(name, { scope: "row", textContent: phaseTitle(phase) });
    for (const column of columns) row.insertCell().textContent = textOf(column, own);
  }
  table.hidden = figures.size === 0;
  element("figures").replaceWith(table);
}

element("unscripted").hidden = true;
controls.hidden = false;
fillControls();
startButton.disabled = true;
offerDevices(element("devices"), newWorker()).then((any) => {
  startButton.disabled = !any;
});
