/**
 * Trains, in a worker, so that the page never waits. All three devices work here: WebGL2 draws into an
 * OffscreenCanvas.
 * @module
 */

import { arithmeticTask } from "../../bench/demo/arithmeticTask.js";
import type { MetricsRow } from "../../bench/demo/metrics.js";
import { type GeneratedTask, phasesOf } from "../../bench/demo/settings.js";
import { type Observer, type Snapshot, train } from "../../bench/demo/train.js";
import { findDevices, type PageDevice, useDevice } from "./devices.js";
import { type PageChoices, type Report, type Request, settingsOf } from "./protocol.js";

/** The fine-tuned model of the last run: another loss may start from it. */
interface FineTuned {
  readonly task: GeneratedTask;
  readonly snapshot: Snapshot;
  readonly rows: readonly MetricsRow[];
}

let stopping = new AbortController();
let fineTuned: FineTuned | null = null;

function tell(report: Report): void {
  postMessage(report);
}

globalThis.onmessage = async ({ data }: MessageEvent<Request>) => {
  try {
    if (data.kind === "find devices") tell({ kind: "devices", obstacles: await findDevices() });
    if (data.kind === "start") await start(data.device, data.choices);
    if (data.kind === "stop") stopping.abort();
  } catch (error) {
    tell({ kind: "failure", message: error instanceof Error ? error.message : String(error) });
  }
};

/** One run. A worker has one device all its life. */
async function start(device: PageDevice, choices: PageChoices): Promise<void> {
  stopping = new AbortController();
  const { signal } = stopping;
  tell({ kind: "backend", backend: await useDevice(device) });
  const settings = settingsOf(choices);
  const [sft] = phasesOf(settings);
  const { task, sftSteps } = settings;
  const from = fineTuned?.task === task && fineTuned.snapshot.step === sftSteps ? fineTuned : null;
  fineTuned = from;
  const rows: MetricsRow[] = [];
  const add = (row: MetricsRow, ofStep?: { milliseconds: number; measured: boolean }): void => {
    rows.push(row);
    tell({ kind: "row", row, ...ofStep });
  };
  for (const row of from?.rows ?? []) add(row);

  let since = 0;
  let stepsOfPhase = 0;
  const observer: Observer = {
    reference(done, pairs) {
      tell({ kind: "reference", done, pairs });
    },
    phase(phase, done, steps) {
      tell({ kind: "phase", phase, done, steps });
      stepsOfPhase = steps;
      since = performance.now();
    },
    step(phase, step, values) {
      const milliseconds = performance.now() - since;
      const every = phase === sft ? settings.sftEvaluateEvery : settings.evaluateEvery;
      const measured = step % every === 0 || step === stepsOfPhase;
      add({ kind: "step", phase, step, ...values }, { milliseconds, measured });
      since = performance.now();
    },
    evaluation(phase, step, figures) {
      add({ kind: "evaluation", phase, step, ...figures });
      since = performance.now();
    },
    checkpoint(snapshot) {
      if (snapshot.phase === sft && snapshot.step === sftSteps) {
        fineTuned = { task, snapshot, rows: [...rows] };
      }
    },
  };
  const finished = await train(settings, arithmeticTask(settings), observer, {
    signal,
    ...(from && { from: { snapshot: from.snapshot, sft: null } }),
  });
  tell({ kind: "end", finished });
}
