/**
 * The page: a model directory, pairs, a worker that aligns, and what it makes of them.
 * @module
 */

import "uplot/dist/uPlot.min.css";
import "../../bench/demo/page/charts.css";
import "./style.css";
import "./model.css";
import "./align.css";
import { addPlot } from "../../bench/demo/page/plots.js";
import type { Answer, LogRow } from "../../src/index.js";
import { chartsOf } from "./alignCharts.js";
import type { AlignChoices, Report, Request, RunFigures } from "./alignProtocol.js";
import { writtenPairs } from "./arithmetic.js";
import { addDevices, DEVICES, offerDevices } from "./devicePicker.js";
import type { PageDevice } from "./devices.js";
import { download, element } from "./dom.js";
import { offerPicking } from "./filePicker.js";
import { ADAPTER, arithmeticFiles, keptFiles } from "./keptRun.js";
import { addLosses } from "./losses.js";
import { lack } from "./modelDirectory.js";

/** Charts are drawn this often at most, ms: steps can be faster than that. */
const REDRAW_INTERVAL = 120;

/** The pace is that of this many steps. */
const PACE_STEPS = 20;

const controls = element<HTMLFormElement>("controls");
const startButton = element<HTMLButtonElement>("start");
const resumeButton = element<HTMLButtonElement>("resume");
const learnButton = element<HTMLButtonElement>("learn");
const stopButton = element<HTMLButtonElement>("stop");
const saveButton = element<HTMLButtonElement>("save");
const progress = element<HTMLProgressElement>("progress");
const status = element("status");
/** For screen readers, which the steps would overwhelm. */
const announcement = element("announcement");
const failure = element("failure");

/** What was picked; empty or null until then. */
let model: readonly File[] = [];
let pairs: File | null = null;
let hasDevice = false;
/** What this browser keeps of the last run. */
let kept: ReadonlyMap<string, File> = new Map();

/** The run that is going on. Before its first step nothing is lost with its worker. */
let trainer: { readonly worker: Worker; steps: number } | null = null;
/** Whether it makes the arithmetic model. */
let isLearning = false;
let rows: LogRow[] = [];
let milliseconds: number[] = [];
let drawing = false;

function newWorker(): Worker {
  return new Worker(new URL("./alignWorker.js", import.meta.url), { type: "module" });
}

function field<T extends Element = HTMLInputElement>(name: string): T {
  return controls.elements.namedItem(name) as unknown as T;
}

function show(texts: Readonly<Record<string, string>>): void {
  for (const [id, text] of Object.entries(texts)) element(id).textContent = text;
}

function say(text: string, share = progress.value): void {
  status.textContent = text;
  progress.value = share;
}

/** Says how something ended or what it is now, to everybody. */
function announce(text: string): void {
  status.textContent = announcement.textContent = text;
}

function fail(message: string): void {
  failure.textContent = message;
  failure.hidden = false;
  failure.scrollIntoView({ block: "nearest" });
}

/** Enables what can be done now. */
function settle(): void {
  const isBusy = trainer !== null;
  const isComplete = !isBusy && hasDevice && model.length > 0 && pairs !== null;
  for (const group of controls.querySelectorAll("fieldset")) group.disabled = isBusy;
  startButton.disabled = !isComplete;
  resumeButton.disabled = !(isComplete && kept.has("settings.json") && !isOver());
  learnButton.disabled = isBusy || !hasDevice;
  stopButton.disabled = !isBusy;
  saveButton.disabled = isBusy || !ADAPTER.every((name) => kept.has(name));
}

const isOver = (): boolean => kept.has("trainer_state.json");

// What is picked

const bytes = new Intl.NumberFormat("en", {
  notation: "compact",
  style: "unit",
  unit: "byte",
  unitDisplay: "narrow",
  maximumSignificantDigits: 3,
});

function takePairs(file: File): void {
  pairs = file;
  show({ "taken-pairs": `${file.name}, ${bytes.format(file.size)}` });
}

function takeModel(files: readonly File[]): void {
  const wrong = lack(files);
  model = wrong === null ? files : [];
  const size = files.reduce((sum, file) => sum + file.size, 0);
  const found = wrong === null ? `${files.length} files, ${bytes.format(size)}` : "none yet";
  show({ "taken-model": found });
  if (wrong !== null) fail(wrong);
}

/** Models have none of these, but files of JSON, of which one alone is pairs. */
const isPairs = ({ name }: File): boolean => /\.(jsonl|parquet|gz)$/.test(name);

function take(files: readonly File[]): void {
  if (trainer) return;
  failure.hidden = true;
  const isAlone = files.length === 1 && files[0]!.name !== "config.json";
  const found = isAlone ? files[0] : files.find(isPairs);
  const others = files.filter((file) => file !== found && !isPairs(file));
  if (found) takePairs(found);
  if (!found || others.length > 0) takeModel(others);
  settle();
}

offerPicking({ isBusy: () => trainer !== null, take, fail });
element("pairs").onchange = ({ target }) => {
  const input = target as HTMLInputElement;
  const [file] = input.files ?? [];
  // The same one can be picked again.
  if (file) take([file]);
  input.value = "";
};

// The settings, which the browser keeps with the run

const SETTINGS = "prefgrad align";

function choices(): AlignChoices {
  const number = (name: string): number => field(name).valueAsNumber;
  return {
    loss: field<HTMLSelectElement>("loss").value,
    spo: field("spo").checked,
    rank: number("rank"),
    steps: number("steps"),
    batchSize: number("batchSize"),
    learningRate: number("learningRate"),
    maxLength: number("maxLength"),
  };
}

function setChoices(chosen: Partial<AlignChoices>): void {
  for (const [name, value] of Object.entries(chosen)) {
    if (typeof value === "boolean") field(name).checked = value;
    else field(name).value = String(value);
  }
}

// The run

function start(resume: boolean): void {
  localStorage.setItem(SETTINGS, JSON.stringify(choices()));
  element("kept").hidden = true;
  begin((device) => ({ kind: "start", device, model, pairs: pairs!, choices: choices(), resume }));
}

/** Starts a worker on the device that is picked. */
function begin(request: (device: PageDevice) => Request): void {
  const device = new FormData(controls).get("device") as PageDevice;
  const worker = newWorker();
  worker.onmessage = ({ data }: MessageEvent<Report>) => heed(data);
  worker.onerror = ({ message }) => heed({ kind: "failure", message });
  trainer = { worker, steps: 0 };
  [rows, milliseconds] = [[], []];
  failure.hidden = true;
  element("run").hidden = false;
  element("notices").replaceChildren();
  show({ size: "–", rows: "–", memory: "–", backend: "–", pace: "–" });
  announce(`Starting ${DEVICES[device][0]}`);
  progress.value = 0;
  draw();
  settle();
  ask(worker, request(device));
}

function ask(worker: Worker, request: Request): void {
  worker.postMessage(request);
}

controls.onsubmit = (event) => {
  event.preventDefault();
  start(false);
};
resumeButton.onclick = () => {
  if (controls.reportValidity()) start(true);
};
/** Steps of the arithmetic model. */
const LEARNING_STEPS = 700;

learnButton.onclick = () => {
  isLearning = true;
  begin((device) => ({ kind: "learn", device, steps: LEARNING_STEPS }));
};
stopButton.onclick = () => {
  stopButton.disabled = true;
  if (trainer!.steps === 0) {
    finish("Stopped");
  } else {
    announce("Stopping after this step");
    ask(trainer!.worker, { kind: "stop" });
  }
};

function heed(report: Report): void {
  if (report.kind === "backend") show({ backend: report.backend });
  if (report.kind === "stage") say(report.text, report.share ?? 0);
  if (report.kind === "figures") showFigures(report.figures);
  if (report.kind === "notice") {
    element("notices").appendChild(document.createElement("li")).textContent = report.text;
  }
  if (report.kind === "steps") {
    trainer!.steps = report.of;
    announce("Training");
    progress.value = report.done / report.of;
  }
  if (report.kind === "row") {
    rows.push(report.row);
    if (report.milliseconds !== undefined) {
      milliseconds.push(report.milliseconds);
      const { step } = report.row;
      progress.value = step! / trainer!.steps;
      if (!stopButton.disabled) status.textContent = `Step ${step} of ${trainer!.steps}`;
    }
    drawSoon();
  }
  if (report.kind === "end") finish(report.finished ? "Done" : "Stopped");
  if (report.kind === "failure") {
    fail(report.message);
    finish("Failed");
  }
}

async function finish(how: string): Promise<void> {
  trainer!.worker.terminate();
  if (isLearning && how === "Done") {
    takeModel(await arithmeticFiles());
    takePairs(writtenPairs());
    setChoices({ batchSize: 32, steps: 100, learningRate: 5e-4 });
  }
  isLearning = false;
  draw();
  await showKept().catch((error: Error) => fail(error.message));
  trainer = null;
  if (how === "Done") progress.value = 1;
  announce(how);
  settle();
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

function showFigures(found: RunFigures): void {
  const { family, parameters, trained, pairs: count, heldOut, longest, memory } = found;
  show({
    size: `${family}, ${compact.format(parameters)} parameters, ${compact.format(trained)} more in the adapter`,
    rows: `${count} and ${heldOut} held out, ${longest} tokens at most`,
    memory: `about ${bytes.format(memory)}`,
  });
}

const plots = chartsOf([]).map(() => addPlot(element("charts")));

function drawSoon(): void {
  if (drawing) return;
  drawing = true;
  setTimeout(() => {
    drawing = false;
    draw();
  }, REDRAW_INTERVAL);
}

function draw(): void {
  for (const [i, chart] of chartsOf(rows).entries()) plots[i]!.show(chart);
  const recent = milliseconds.slice(-PACE_STEPS).sort((a, b) => a - b);
  if (recent.length > 0) {
    show({ pace: `${recent[Math.floor((recent.length - 1) / 2)]!.toFixed(0)} ms` });
  }
}

// What the run left

async function showKept(): Promise<void> {
  kept = await keptFiles();
  element("kept").hidden = kept.size === 0;
  const list = element("kept-files");
  for (const link of list.querySelectorAll("a")) URL.revokeObjectURL(link.href);
  list.replaceChildren();
  for (const [name, file] of kept) {
    const link = document.createElement("a");
    Object.assign(link, { href: URL.createObjectURL(file), textContent: name });
    Object.assign(link, name.endsWith(".html") ? { target: "_blank" } : { download: name });
    list.appendChild(document.createElement("li")).append(link);
  }
  const answers = (await kept.get("answers.json")?.text()) ?? "[]";
  element("answers").replaceChildren();
  for (const answer of JSON.parse(answers) as Answer[]) addAnswer(answer);
}

function addAnswer({ prompt, before, after }: Answer): void {
  const card = element("answers").appendChild(document.createElement("article"));
  card.className = "answer";
  card.appendChild(document.createElement("p")).textContent = prompt;
  const list = card.appendChild(document.createElement("dl"));
  for (const [term, text] of Object.entries({ before, after })) {
    list.appendChild(document.createElement("dt")).textContent = term;
    list.appendChild(document.createElement("dd")).textContent = text;
  }
}

/** A page's choice of a directory, where the browser has one. */
interface DirectoryPicker {
  showDirectoryPicker?(options: { readonly mode: "readwrite" }): Promise<FileSystemDirectoryHandle>;
}

/** Writes the adapter into a directory that is picked, or has its files downloaded. */
async function save(): Promise<void> {
  const files = ADAPTER.map((name) => kept.get(name)!);
  const picker = window as DirectoryPicker;
  if (!picker.showDirectoryPicker) {
    for (const file of files) download(file.name, file);
    return;
  }
  const directory = await picker.showDirectoryPicker({ mode: "readwrite" });
  for (const file of files) {
    const stream = await (
      await directory.getFileHandle(file.name, { create: true })
    ).createWritable();
    await file.stream().pipeTo(stream);
  }
}

saveButton.onclick = () => {
  save().catch((error: Error) => {
    // Nothing was picked.
    if (error.name !== "AbortError") fail(error.message);
  });
};

element("unscripted").hidden = true;
controls.hidden = false;
addDevices(element("devices"));
addLosses(field("loss"));
setChoices(JSON.parse(localStorage.getItem(SETTINGS) ?? "{}"));
settle();
offerDevices(element("devices"), newWorker()).then((any) => {
  hasDevice = any;
  settle();
});
showKept().then(settle, (error: Error) => fail(error.message));
