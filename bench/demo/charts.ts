/**
 * The curves of a run and its last figures, from the rows it has measured so far.
 * @module
 */

import { COLUMNS, phaseTitle } from "./columns.js";
import type { Figures } from "./evaluate.js";
import { largest } from "./largest.js";
import type { MetricsRow } from "./metrics.js";
import type { Phases } from "./settings.js";

/** Curves over the same steps; no steps while nothing was measured. */
export interface Chart {
  readonly title: string;
  readonly note: string;
  /** Unit of the values. */
  readonly unit: string;
  readonly steps: readonly number[];
  readonly curves: readonly Curve[];
}

/** Which of a run's phases something belongs to. */
export type PhaseKind = "sft" | "chosen" | "base" | "spo";

/** A curve. */
export interface Curve {
  readonly name: string;
  readonly run: PhaseKind;
  readonly dashed: boolean;
  /** A value for each step; null where there is none. */
  readonly values: readonly (number | null)[];
}

type EvaluationRow = Extract<MetricsRow, { kind: "evaluation" }>;

/** Each phase's last figures. */
export function lastFigures(rows: readonly MetricsRow[]): Map<string, Figures> {
  const figures = new Map<string, Figures>();
  for (const row of rows) if (row.kind === "evaluation") figures.set(row.phase, row);
  return figures;
}

/** A figure on held-out data over the steps after the SFT checkpoint, which is step 0. */
export function evaluationChart(
  key: keyof Figures,
  rows: readonly MetricsRow[],
  [sft, chosen, base, spo]: Phases,
): Chart {
  const evaluations = rows.filter((row): row is EvaluationRow => row.kind === "evaluation");
  const of = (phase: string): EvaluationRow[] => evaluations.filter((row) => row.phase === phase);
  const start = of(sft).at(-1);
  const runs = (
    [
      ["chosen", chosen],
      ["base", base],
      ["spo", spo],
    ] as const
  ).map(([run, phase]) => ({ run, phase, rows: of(phase) }));
  const later = runs.flatMap(({ rows }) => rows);
  const known = start && later.length > 0 && later.every((row) => row[key] !== null);
  const steps = known ? [...new Set([0, ...later.map(({ step }) => step)])] : [];
  steps.sort((a, b) => a - b);
  const curves = runs.map(({ run, phase, rows }): Curve => {
    const values = new Map(rows.map((row) => [row.step, row[key]]));
    return {
      name: phaseTitle(phase),
      run,
      dashed: false,
      values: steps.map((step) => (step === 0 ? start![key] : (values.get(step) ?? null))),
    };
  });
  const level: Curve = {
    name: phaseTitle(sft),
    run: "sft",
    dashed: true,
    values: steps.map(() => start![key]),
  };
  const { title, meaning, unit } = COLUMNS.find((column) => column.key === key)!;
  const withLevel = start?.[key] === null ? curves : [level, ...curves];
  return { title, note: meaning, unit, steps, curves: withLevel };
}

/** Figures of the training batches: of preference steps, and `sft/loss`. */
export type TrainingFigure =
  | "rewards/chosen"
  | "rewards/rejected"
  | "rewards/margins"
  | "loss"
  | "sft/loss";

interface TrainingTexts {
  readonly title: string;
  readonly note: string;
  readonly unit: string;
}

const TEXTS: Readonly<Record<TrainingFigure, TrainingTexts>> = {
  "rewards/chosen": {
    title: "chosen reward, training batch",
    note: "mean implicit reward of each step's batch, as the loss defines it",
    unit: "reward",
  },
  "rewards/rejected": {
    title: "rejected reward, training batch",
    note: "mean implicit reward of each step's batch, as the loss defines it",
    unit: "reward",
  },
  "rewards/margins": {
    title: "margin, training batch",
    note: "mean of chosen minus rejected reward of each step's batch",
    unit: "reward",
  },
  loss: {
    title: "preference loss",
    note: "of each step's batch; with SPO it includes the penalty",
    unit: "loss",
  },
  "sft/loss": {
    title: "supervised fine-tuning",
    note: "negative log-likelihood of each step's batch",
    unit: "nats per token",
  },
};

/** What the training steps saw. */
export function trainingChart(
  figure: TrainingFigure,
  rows: readonly MetricsRow[],
  [sft, , base, spo]: Phases,
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
  const last = Math.max(0, largest(found.flatMap((values) => [...values.keys()])));
  const steps = Array.from({ length: last }, (_, i) => i + 1);
  const curves = runs.map(([phase, run], i) => ({
    name: phaseTitle(phase),
    run,
    dashed: false,
    values: steps.map((step) => found[i]!.get(step) ?? null),
  }));
  return { ...TEXTS[figure], steps, curves };
}
