/**
 * The curves of a run, from the rows it has measured so far.
 * @module
 */

import { COLUMNS, phaseTitle } from "./columns.js";
import type { Figures } from "./evaluate.js";
import type { MetricsRow } from "./metrics.js";

/** Curves over the same steps; no steps while nothing was measured. */
export interface Chart {
  readonly title: string;
  readonly note: string;
  readonly steps: readonly number[];
  readonly curves: readonly Curve[];
}

/** A curve. */
export interface Curve {
  readonly name: string;
  /** Which of the run's phases it belongs to. */
  readonly run: "sft" | "base" | "spo";
  readonly dashed: boolean;
  /** A value for each step; null where there is none. */
  readonly values: readonly (number | null)[];
}

/** Names of a run's phases, as `phasesOf` gives them. */
type Phases = readonly [sft: string, base: string, spo: string];

type EvaluationRow = Extract<MetricsRow, { kind: "evaluation" }>;

/** A figure on held-out data over the steps of the preference runs, from the SFT checkpoint on. */
export function evaluationChart(
  key: keyof Figures,
  rows: readonly MetricsRow[],
  [sft, base, spo]: Phases,
): Chart {
  const evaluations = rows.filter((row): row is EvaluationRow => row.kind === "evaluation");
  const of = (phase: string): EvaluationRow[] => evaluations.filter((row) => row.phase === phase);
  const start = of(sft).at(-1);
  const runs = { base: of(base), spo: of(spo) };
  const both = [...runs.base, ...runs.spo];
  const known = start && both.length > 0 && both.every((row) => row[key] !== null);
  const steps = known ? [...new Set([0, ...both.map(({ step }) => step)])] : [];
  steps.sort((a, b) => a - b);
  const curve = (phase: string, run: "base" | "spo"): Curve => ({
    name: phaseTitle(phase),
    run,
    dashed: false,
    values: steps.map((step) =>
      step === 0 ? start![key] : (runs[run].find((row) => row.step === step)?.[key] ?? null),
    ),
  });
  const level: Curve = {
    name: phaseTitle(sft),
    run: "sft",
    dashed: true,
    values: steps.map(() => start![key]),
  };
  const { title, meaning } = COLUMNS.find((column) => column.key === key)!;
  const curves = [curve(base, "base"), curve(spo, "spo")];
  const withLevel = start?.[key] === null ? curves : [level, ...curves];
  return { title, note: meaning, steps, curves: withLevel };
}

/** Figures of the training batches: of preference steps, and `sft/loss`. */
export type TrainingFigure =
  | "rewards/chosen"
  | "rewards/rejected"
  | "rewards/margins"
  | "logps/chosen"
  | "loss"
  | "sft/loss";

const TITLES: Readonly<Record<TrainingFigure, readonly [title: string, note: string]>> = {
  "rewards/chosen": [
    "chosen reward, training batch",
    "mean implicit reward of each step's batch, as the loss defines it",
  ],
  "rewards/rejected": [
    "rejected reward, training batch",
    "mean implicit reward of each step's batch, as the loss defines it",
  ],
  "rewards/margins": [
    "margin, training batch",
    "mean of chosen minus rejected reward of each step's batch",
  ],
  "logps/chosen": [
    "chosen log-probability, training batch",
    "mean of log π(chosen | prompt) of each step's batch, nats per response",
  ],
  loss: ["preference loss", "of each step's batch; with SPO it includes the penalty"],
  "sft/loss": ["supervised fine-tuning", "loss of each step's batch, nats per token"],
};

/** What the training steps saw. */
export function trainingChart(
  figure: TrainingFigure,
  rows: readonly MetricsRow[],
  [sft, base, spo]: Phases,
): Chart {
  const supervised = figure === "sft/loss";
  const metric = supervised ? "loss" : figure;
  const runs = supervised
    ? ([[sft, "sft"]] as const)
    : ([
        [base, "base"],
        [spo, "spo"],
      ] as const);
  const found = runs.map(([phase]) => {
    const values = new Map<number, number>();
    for (const row of rows) {
      if (row.kind !== "step" || row.phase !== phase) continue;
      const value = row[metric];
      if (typeof value === "number") values.set(row.step, value);
    }
    return values;
  });
  const last = Math.max(0, ...found.flatMap((values) => [...values.keys()]));
  const steps = Array.from({ length: last }, (_, i) => i + 1);
  const curves = runs.map(([phase, run], i) => ({
    name: phaseTitle(phase),
    run,
    dashed: false,
    values: steps.map((step) => found[i]!.get(step) ?? null),
  }));
  const [title, note] = TITLES[figure];
  return { title, note, steps, curves };
}
