/**
 * `metrics.jsonl`: everything a run measured, one JSON object a line, written as it happens. The
 * first line has the settings; a `step` line what a training step saw of its batch before it
 * changed the model; an `evaluation` line the figures on held-out data after a step; a `samples` line
 * what a phase's model answers to held-out prompts. No line holds a time, so equal settings give
 * equal files.
 * @module
 */

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeTexts } from "../../src/training/runFiles.js";
import type { Figures } from "./evaluate.js";
import type { Settings } from "./settings.js";

/** A line of the file. */
export type MetricsRow =
  | { readonly kind: "run"; readonly settings: Settings }
  | StepRow
  | ({ readonly kind: "evaluation"; readonly phase: string; readonly step: number } & Figures)
  | SamplesRow;

/** What a training step saw of its batch. */
export interface StepRow {
  readonly kind: "step";
  readonly phase: string;
  readonly step: number;
  readonly [metric: string]: number | string;
}

/** The greedy answers of a phase's model to the task's samples. */
export interface SamplesRow {
  readonly kind: "samples";
  readonly phase: string;
  readonly step: number;
  readonly answers: readonly string[];
}

/** The rows of a run, on disk and in memory. */
export interface MetricsLog {
  readonly rows: readonly MetricsRow[];
  append(row: MetricsRow): void;
}

const METRICS = "metrics.jsonl";

/** The file of a run. */
export function metricsPath(directory: string): string {
  return join(directory, METRICS);
}

/** Starts the file of a new run. */
export function createMetrics(directory: string, settings: Settings): Promise<MetricsLog> {
  return logOf(directory, [{ kind: "run", settings }]);
}

/**
 * Continues a file after the given step of a phase: later rows, which a stopped run may have left,
 * are removed, as they will be written again.
 */
export function continueMetrics(
  directory: string,
  settings: Settings,
  phases: readonly string[],
  at: { readonly phase: string; readonly step: number },
): Promise<MetricsLog> {
  const last = phases.indexOf(at.phase);
  const kept = readMetrics(directory).filter((row) => {
    if (row.kind === "run") return false;
    const phase = phases.indexOf(row.phase);
    return phase < last || (phase === last && row.step <= at.step);
  });
  return logOf(directory, [{ kind: "run", settings }, ...kept]);
}

/** The complete rows of a run's file; a last line that was cut off is left out. */
export function readMetrics(directory: string): MetricsRow[] {
  const path = metricsPath(directory);
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  lines.pop();
  return lines.map((line) => JSON.parse(line) as MetricsRow);
}

async function logOf(directory: string, rows: MetricsRow[]): Promise<MetricsLog> {
  const lineOf = (row: MetricsRow): string => `${JSON.stringify(row)}\n`;
  await writeTexts(directory, { [METRICS]: rows.map(lineOf).join("") });
  return {
    rows,
    append(row) {
      rows.push(row);
      appendFileSync(metricsPath(directory), lineOf(row));
    },
  };
}
