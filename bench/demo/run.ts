/**
 * A run in its output directory: training with checkpoints, `metrics.jsonl` and `report.html`.
 * @module
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeTexts } from "../../src/training/runFiles.js";
import { lastFigures } from "./charts.js";
import {
  type Checkpoint,
  type RunState,
  readModel,
  writeCheckpoint,
  writeModel,
} from "./checkpoint.js";
import { clearDirectory, REPORT } from "./directory.js";
import type { Figures } from "./evaluate.js";
import { continueMetrics, createMetrics, type MetricsLog } from "./metrics.js";
import { reportHtml } from "./report.js";
import { phasesOf, type Settings, stepsOf } from "./settings.js";
import type { Task } from "./task.js";
import { type Observer, train } from "./train.js";

/** Options of {@link run}. */
export interface RunOptions {
  readonly settings: Settings;
  readonly task: Task;
  /** Is created; files of an earlier run in it are replaced. */
  readonly directory: string;
  /** Continue from this checkpoint of the directory. */
  readonly checkpoint?: Checkpoint;
  /** Stops the run after the step it is in, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Is told everything as well. */
  readonly observer?: Observer;
}

/** How a run ended. */
export interface RunResult {
  /** Whether all phases came to their end. */
  readonly finished: boolean;
  /** Each phase's last figures so far. */
  readonly figures: ReadonlyMap<string, Figures>;
  /** Seconds of computing by phase, for the reference and for v*, earlier parts of a continued run included. */
  readonly seconds: Readonly<Record<string, number>>;
}

/** Runs the settings, or continues, until the end or the signal. */
export async function run(options: RunOptions): Promise<RunResult> {
  const { settings, task, directory, checkpoint, signal, observer = {} } = options;
  const phases = phasesOf(settings);
  const metrics = checkpoint
    ? await continueMetrics(directory, settings, phases, checkpoint.snapshot)
    : await startMetrics(directory, settings);
  const dataDigest = digestOf(settings.data);
  const clock = new Clock(checkpoint?.seconds ?? {});
  const writeReport = (): Promise<void> => {
    const { description, samples } = task;
    const { rows } = metrics;
    const report = reportHtml({ settings, description, samples, rows, seconds: clock.seconds });
    return writeTexts(directory, { [REPORT]: report });
  };

  const recorder: Observer = {
    reference(done, pairs) {
      if (done === 0) clock.start("reference");
      observer.reference?.(done, pairs);
    },
    optimum(done, steps) {
      if (done === 0) clock.start("optimum");
      observer.optimum?.(done, steps);
    },
    phase(name, done, steps) {
      clock.start(name);
      observer.phase?.(name, done, steps);
    },
    step(phase, step, values) {
      metrics.append({ kind: "step", phase, step, ...values });
      observer.step?.(phase, step, values);
    },
    evaluation(phase, step, figures) {
      metrics.append({ kind: "evaluation", phase, step, ...figures });
      observer.evaluation?.(phase, step, figures);
    },
    samples(phase, step, answers) {
      metrics.append({ kind: "samples", phase, step, answers });
      observer.samples?.(phase, step, answers);
    },
    async checkpoint(snapshot) {
      clock.stop();
      const state: RunState = { settings, dataDigest, seconds: clock.seconds };
      if (snapshot.step === stepsOf(settings, snapshot.phase)) {
        await writeModel(directory, snapshot.phase, snapshot.parameters);
        await writeReport();
      }
      await writeCheckpoint(directory, snapshot, state);
      clock.start(snapshot.phase);
      await observer.checkpoint?.(snapshot);
    },
  };
  const from = checkpoint && {
    snapshot: checkpoint.snapshot,
    sft: checkpoint.snapshot.phase === phases[0] ? null : await readModel(directory, phases[0]),
  };
  const finished = await train(settings, task, recorder, {
    ...(signal && { signal }),
    ...(from && { from }),
  });
  clock.stop();
  await writeReport();
  return { finished, figures: lastFigures(metrics.rows), seconds: clock.seconds };
}

/** SHA-256 of a data file, to notice that it changed; null for generated data. */
export function digestOf(data: string | null): string | null {
  return data === null ? null : createHash("sha256").update(readFileSync(data)).digest("hex");
}

async function startMetrics(directory: string, settings: Settings): Promise<MetricsLog> {
  await clearDirectory(directory, settings);
  return createMetrics(directory, settings);
}

/** Seconds by phase. */
class Clock {
  private readonly spent: Record<string, number>;
  private current: { phase: string; since: number } | null = null;

  constructor(spent: Readonly<Record<string, number>>) {
    this.spent = { ...spent };
  }

  get seconds(): Record<string, number> {
    return { ...this.spent };
  }

  start(phase: string): void {
    this.stop();
    this.current = { phase, since: performance.now() };
  }

  stop(): void {
    if (!this.current) return;
    const { phase, since } = this.current;
    this.spent[phase] = (this.spent[phase] ?? 0) + (performance.now() - since) / 1000;
    this.current = null;
  }
}
