/**
 * The page: a model directory, a worker that writes with it, and what it writes.
 * @module
 */

import "../../bench/demo/page/charts.css";
import "./style.css";
import "./model.css";
import "./generate.css";
import { addDevices, DEVICES, offerDevices } from "./devicePicker.js";
import type { PageDevice } from "./devices.js";
import { element } from "./dom.js";
import { offerPicking } from "./filePicker.js";
import type { ModelFacts, Report, Request } from "./generateProtocol.js";
import { lack } from "./modelDirectory.js";

const controls = element<HTMLFormElement>("controls");
const startButton = element<HTMLButtonElement>("start");
const stopButton = element<HTMLButtonElement>("stop");
const status = element("status");
const progress = element<HTMLProgressElement>("progress");
const failure = element("failure");
const answer = element("answer");

/** The model's files, as long as nothing was wrong with them. */
let files: readonly File[] = [];
/** What has read them, or is reading. */
let writer: Worker | null = null;
let state: "none" | "loading" | "ready" | "writing" = "none";

const isBusy = (): boolean => state === "loading" || state === "writing";

function enter(next: typeof state, words: string): void {
  state = next;
  status.textContent = words;
  for (const group of controls.querySelectorAll("fieldset")) {
    group.disabled = group.id === "wish" ? state === "writing" : isBusy();
  }
  startButton.disabled = state !== "ready";
  stopButton.disabled = !isBusy();
}

function fail(message: string): void {
  failure.textContent = message;
  failure.hidden = false;
  failure.scrollIntoView({ block: "nearest" });
  if (state !== "writing") discard();
  enter(writer ? "ready" : "none", "Failed");
}

function discard(): void {
  writer?.terminate();
  writer = null;
}

function show(facts: Readonly<Record<string, string>>): void {
  for (const [id, text] of Object.entries(facts)) element(id).textContent = text;
}

function field(name: string): HTMLInputElement {
  return controls.elements.namedItem(name) as HTMLInputElement;
}

// The model

function newWorker(): Worker {
  return new Worker(new URL("./generateWorker.js", import.meta.url), { type: "module" });
}

function ask(request: Request): void {
  writer!.postMessage(request);
}

/** Loads the files on the device that is picked. A worker has one device and one model all its life. */
function load(): void {
  discard();
  const device = new FormData(controls).get("device") as PageDevice;
  element("run").hidden = false;
  failure.hidden = true;
  answer.textContent = "";
  progress.value = 0;
  show({ family: "–", size: "–", backend: "–", tokens: "–", pace: "–" });
  const wrong = device === null ? "No device is there to compute on." : lack(files);
  if (wrong !== null) {
    files = [];
    fail(wrong);
    return;
  }
  writer = newWorker();
  writer.onmessage = ({ data }: MessageEvent<Report>) => heed(data);
  writer.onerror = ({ message }) => {
    discard();
    fail(message);
  };
  enter("loading", `Loading on ${DEVICES[device][0]}`);
  ask({ kind: "load", device, files });
}

addDevices(element("devices"));
const devicesAreOffered = offerDevices(element("devices"), newWorker());

offerPicking({
  isBusy,
  fail,
  async take(taken) {
    await devicesAreOffered;
    if (isBusy()) return;
    files = taken;
    load();
  },
});

element("devices").onchange = () => {
  if (files.length > 0) load();
};

/** Sets what depends on the model. */
function introduce(facts: ModelFacts): void {
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
  const whole = new Intl.NumberFormat("en");
  show({
    family: facts.family,
    size:
      `${compact.format(facts.parameters)} parameters, ${facts.layers} layers of width ${facts.width}, ` +
      `context ${whole.format(facts.contextLength)}, vocabulary ${whole.format(facts.vocabularySize)}`,
  });
  field("temperature").value = String(facts.temperature);
  field("topP").value = String(facts.topP);
  field("maxNewTokens").max = String(facts.contextLength - 1);
  field("chat").disabled = !facts.hasChatTemplate;
  field("chat").checked = facts.hasChatTemplate;
}

// Writing

function heed(report: Report): void {
  if (report.kind === "backend") show({ backend: report.backend });
  if (report.kind === "loading") progress.value = report.bytes / report.of;
  if (report.kind === "loaded") {
    introduce(report.facts);
    enter("ready", "Ready");
  }
  if (report.kind === "text") {
    answer.append(report.text);
    const { tokens, perSecond } = report;
    show({ tokens: String(tokens), pace: perSecond === null ? "–" : perSecond.toFixed(1) });
    progress.value = tokens / field("maxNewTokens").valueAsNumber;
  }
  if (report.kind === "end") {
    progress.value = 1;
    enter("ready", report.finished ? "Done" : "Stopped");
  }
  if (report.kind === "failure") fail(report.message);
}

controls.onsubmit = (event) => {
  event.preventDefault();
  const number = (name: string): number => field(name).valueAsNumber;
  failure.hidden = true;
  answer.textContent = "";
  progress.value = 0;
  show({ tokens: "–", pace: "–" });
  ask({
    kind: "write",
    wish: {
      prompt: field("prompt").value,
      chat: field("chat").checked,
      maxNewTokens: number("maxNewTokens"),
      temperature: number("temperature"),
      topP: number("topP"),
      seed: number("seed"),
    },
  });
  enter("writing", "Writing");
};

stopButton.onclick = () => {
  if (state === "writing") {
    stopButton.disabled = true;
    status.textContent = "Stopping after this token";
    ask({ kind: "stop" });
  } else {
    discard();
    enter("none", "Stopped");
  }
};

element("unscripted").hidden = true;
controls.hidden = false;
enter("none", "");
