/**
 * The page: settings, a worker that trains, and curves of what it reports.
 * @module
 */

import "uplot/dist/uPlot.min.css";
import "./style.css";
import {
  type Chart,
  evaluationChart,
  type TrainingFigure,
  trainingChart,
} from "../../bench/demo/charts.js";
import { COLUMNS, columnsOf, phaseTitle, textOf } from "../../bench/demo/columns.js";
import type { Figures } from "../../bench/demo/evaluate.js";
import type { MetricsRow } from "../../bench/demo/metrics.js";
import { phasesOf, type Settings } from "../../bench/demo/settings.js";
import type { Obstacles, PageDevice } from "./devices.js";
import { addPlot } from "./plots.js";
import { type PageChoices, type Report, type Request, settingsOf } from "./protocol.js";

const DEVICES: Readonly<Record<PageDevice, readonly [title: string, note: string]>> = {
  wasm: ["WebAssembly", "SIMD on the processor"],
  webgpu: ["WebGPU", "compute shaders through gpu.js"],
  webgl2: ["WebGL2", "fragment shaders through gpu.js"],
};

const LOSSES = ["dpo", "ipo", "simpo", "cpo", "orpo", "dpop", "alphadpo"];

const DEFAULTS: PageChoices = {
  base: "dpo",
  gamma: 1,
  hinge: false,
  learningRate: 1e-3,
  sftSteps: 800,
  steps: 200,
};

/** Charts are drawn this often at most, ms: steps can be faster than that. */
const REDRAW_INTERVAL = 120;

/** The pace is that of this many steps. */
const PACE_STEPS = 20;

function element<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

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
  const devices = element("devices");
  for (const [device, [title, note]] of Object.entries(DEVICES)) {
    const label = devices.appendChild(document.createElement("label"));
    label.className = "device";
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "device", value: device, required: true });
    const [name, text] = [document.createElement("span"), document.createElement("small")];
    name.textContent = title;
    text.textContent = note;
    label.append(input, name, text);
  }
  const select = field<HTMLSelectElement>("base");
  for (const loss of LOSSES) select.add(new Option(phaseTitle(loss), loss));
  for (const [name, value] of Object.entries(DEFAULTS)) {
    const input = field<HTMLInputElement>(name);
    if (typeof value === "boolean") input.checked = value;
    else input.value = String(value);
  }
}

function field<T extends Element>(name: string): T {
  return controls.elements.namedItem(name) as unknown as T;
}

function deviceInput(device: PageDevice): HTMLInputElement {
  return controls.querySelector<HTMLInputElement>(`input[value="${device}"]`)!;
}

/** Disables the devices that are not there and says why; picks one, if the visitor has not yet. */
function offer(obstacles: Obstacles): void {
  for (const [device, obstacle] of Object.entries(obstacles) as [PageDevice, string | null][]) {
    const input = deviceInput(device);
    input.disabled = obstacle !== null;
    if (obstacle !== null) input.parentElement!.querySelector("small")!.textContent = obstacle;
  }
  const there = "input[name=device]:enabled";
  const first = controls.querySelector<HTMLInputElement>(there);
  if (first && !controls.querySelector(`${there}:checked`)) first.checked = true;
  startButton.disabled = first === null;
}

function choices(): PageChoices {
  const number = (name: string): number => field<HTMLInputElement>(name).valueAsNumber;
  return {
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
  const url = URL.createObjectURL(new Blob(lines, { type: "application/jsonl" }));
  Object.assign(document.createElement("a"), { href: url, download: "metrics.jsonl" }).click();
  setTimeout(() => URL.revokeObjectURL(url));
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

const plots = (
  [
    [ofTraining("sft/loss")],
    [ofTraining("loss")],
    [ofTraining("rewards/margins")],
    [ofTraining("logps/chosen")],
    [ofHeldOut("chosenPerToken")],
    [ofHeldOut("answerAccuracy"), { shares: true }],
  ] as const
).map(([chartOf, options]) => ({ chartOf, plot: addPlot(element("charts"), options) }));

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
  showFigures(rows);
  const recent = milliseconds.slice(-PACE_STEPS);
  if (recent.length > 0) element("pace").textContent = `${median(recent).toFixed(1)} ms`;
  const total = settings.sftSteps + 2 * settings.steps;
  progress.value = rows.filter(({ kind }) => kind === "step").length / total;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]!;
}

/** The table of each phase's last figures. */
function showFigures(rows: readonly MetricsRow[]): void {
  const figures = new Map<string, Figures>();
  for (const row of rows) if (row.kind === "evaluation") figures.set(row.phase, row);
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
const scout = newWorker();
scout.onmessage = ({ data }: MessageEvent<Report>) => {
  if (data.kind === "devices") offer(data.obstacles);
  scout.terminate();
};
scout.onerror = ({ message }) => {
  const obstacle = message || "the page's worker cannot be started";
  offer({ wasm: obstacle, webgpu: obstacle, webgl2: obstacle });
};
ask(scout, { kind: "find devices" });
