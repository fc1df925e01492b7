/**
 * Aligns a model, in a worker, so that the page never waits: one run, which goes into the browser's own files.
 * @module
 */

import {
  align,
  type DataSummary,
  loadModel,
  loadTokenizer,
  type RunObserver,
  readPreferences,
  readRun,
  readTexts,
  sft,
} from "../../src/index.js";
import { type AlignChoices, optionsOf, type Report, type Request } from "./alignProtocol.js";
import { untrainedModel, writtenTexts } from "./arithmetic.js";
import { findDevices, type PageDevice, useDevice } from "./devices.js";
import { runDirectories } from "./keptRun.js";

type Start = Extract<Request, { kind: "start" }>;
type Directories = Awaited<ReturnType<typeof runDirectories>>;

const stopping = new AbortController();

function tell(report: Report): void {
  postMessage(report);
}

globalThis.onmessage = async ({ data }: MessageEvent<Request>) => {
  try {
    if (data.kind === "find devices") tell({ kind: "devices", obstacles: await findDevices() });
    if (data.kind === "start") await alone(() => start(data));
    if (data.kind === "learn") await alone(() => learn(data.device, data.steps));
    if (data.kind === "stop") stopping.abort();
  } catch (error) {
    tell({ kind: "failure", message: error instanceof Error ? error.message : String(error) });
  }
};

/** How long it may take until a worker that was ended has let go of the run, ms. */
const PATIENCE = 5000;

/** Does work while nobody else writes to the run. */
async function alone(work: () => Promise<void>): Promise<void> {
  const signal = AbortSignal.timeout(PATIENCE);
  await navigator.locks.request("prefgrad run", { signal }, work).catch((error: Error) => {
    if (error.name !== "TimeoutError") throw error;
    throw new Error("Another tab aligns a model here; stop it, or wait for its end.");
  });
}

async function start({ device, model, pairs: file, choices, resume }: Start): Promise<void> {
  const { output, cache } = await runDirectories();
  tell({ kind: "backend", backend: await useDevice(device) });
  // First: what is wrong with the pairs is known before weights are read.
  stage("Reading the pairs");
  const tokenizer = await loadTokenizer(model);
  const pairs = await readPreferences(file, tokenizer, { maxLength: choices.maxLength });
  const lm = await loadModel(model, {
    tokenizer: false,
    onProgress: ({ bytes, of }) => stage("Loading the model", bytes / of),
  });
  const { done } = await align({
    ...optionsOf(choices),
    output,
    cache,
    lm: { ...lm, tokenizer },
    pairs,
    resume,
    overwrite: !resume,
    signal: stopping.signal,
    observer: observerOf(output, lm.modelType, choices),
  });
  tell({ kind: "end", finished: done });
}

/** Fine-tunes the arithmetic model on answers of imperfect writers, and keeps it as a model directory. */
async function learn(device: PageDevice, steps: number): Promise<void> {
  const { arithmetic } = await runDirectories();
  tell({ kind: "backend", backend: await useDevice(device) });
  const lm = await loadModel(await untrainedModel());
  const texts = await readTexts(writtenTexts(), lm.tokenizer!);
  await sft({
    lm,
    texts,
    output: arithmetic,
    overwrite: true,
    maxSteps: steps,
    batchSize: 64,
    learningRate: 2e-3,
    lrSchedulerType: "constant_with_warmup",
    warmupSteps: 20,
    evalShare: 0,
    observer: {
      step: ({ step }) => stage(`Learning to add: step ${step} of ${steps}`, step / steps),
    },
  });
  tell({ kind: "end", finished: true });
}

function stage(text: string, share?: number): void {
  tell({ kind: "stage", text, ...(share !== undefined && { share }) });
}

function counted(text: string, done: number, of: number): void {
  if (done < of) stage(`${text}: ${done} of ${of}`, done / of);
  else stage("Answering held-out prompts before training", 1);
}

function observerOf(
  output: Directories["output"],
  family: string,
  { maxLength }: AlignChoices,
): RunObserver {
  let [since, last] = [0, 0];
  return {
    facts({ trained, frozen, rows, heldOut, longest, memory, summary }) {
      const figures = {
        family,
        parameters: frozen,
        trained,
        pairs: rows,
        heldOut,
        longest,
        memory,
      };
      tell({ kind: "figures", figures });
      const text = summary && shortfall(summary, maxLength);
      if (text) tell({ kind: "notice", text });
    },
    references: (done, of) => counted("Scoring the pairs with the model as it is", done, of),
    floor: (done, of) => counted("Fine-tuning a copy on the chosen answers, step", done, of),
    notice: (text) => tell({ kind: "notice", text }),
    async start({ step, steps }) {
      last = steps;
      tell({ kind: "steps", done: step, of: steps });
      // The steps that were made before.
      const { rows } = await readRun(output, "run");
      for (const row of rows) tell({ kind: "row", row: row as Record<string, number> });
      since = performance.now();
    },
    log(row) {
      tell({ kind: "row", row, milliseconds: performance.now() - since });
      since = performance.now();
    },
    evaluation(row) {
      tell({ kind: "row", row });
      since = performance.now();
    },
    save({ step }) {
      since = performance.now();
      if (step === last) stage("Answering held-out prompts after training", 1);
    },
  };
}

/** What of the data is not trained on, in a sentence; empty where all is. */
function shortfall({ read, kept, dropped, truncated }: DataSummary, maxLength: number): string {
  const reasons = Object.entries(dropped).map(([reason, count]) => `${reason}: ${count}`);
  const left =
    read > kept ? [`${read - kept} of ${read} pairs are skipped (${reasons.join("; ")})`] : [];
  const cut = truncated.rows > 0 ? [`${truncated.rows} pairs are cut to ${maxLength} tokens`] : [];
  return [...left, ...cut].join(", ");
}
