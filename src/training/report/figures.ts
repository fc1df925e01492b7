/**
 * The figures of a run: what each metric was at its beginning and at its end, and its curve.
 * @module
 */

import { number } from "../../dynamics/chart.js";
import type { Json } from "../runSettings.js";

/** A metric of interest: its name, and what it is in a few words. */
interface Metric {
  readonly name: string;
  readonly title: string;
  readonly note: string;
}

/** In the order in which they are shown. Others that a log has follow. */
const METRICS: readonly Metric[] = [
  { name: "loss", title: "Loss", note: "what is descended" },
  { name: "rewards/margins", title: "Margin", note: "chosen reward minus rejected reward" },
  { name: "rewards/accuracies", title: "Accuracy", note: "share of pairs with a margin above 0" },
  { name: "logps/chosen", title: "Chosen", note: "log-probability, nats" },
  { name: "logps/rejected", title: "Rejected", note: "log-probability, nats" },
  {
    name: "left_both",
    title: "Left both",
    note: "share of the pair's probability that went elsewhere",
  },
  { name: "spo/gap", title: "SPO's gap", note: "supervised loss above v*, nats" },
  { name: "spo/gamma", title: "SPO's γ", note: "weight of the gap" },
  { name: "kl", title: "KL", note: "KTO's reference point, nats" },
  {
    name: "mean_token_accuracy",
    title: "Token accuracy",
    note: "share of tokens that are the likeliest",
  },
  { name: "entropy", title: "Entropy", note: "of the next token, nats" },
  { name: "grad_norm", title: "Norm of the gradient", note: "before clipping" },
  { name: "learning_rate", title: "Learning rate", note: "of the step" },
];

/** Columns of a log that are no metrics. */
const PLACES = ["step", "epoch", "bad_steps", "rows", "num_tokens"];

/** Points of a metric. */
export interface Series {
  readonly steps: readonly number[];
  readonly values: readonly number[];
}

/** A metric of a run. */
export interface MetricSeries extends Metric {
  /** Of the batches that were trained on, and of held-out rows; either may be empty. */
  readonly training: Series;
  readonly heldOut: Series;
}

const isNumber = (value: unknown): value is number => typeof value === "number";

/** The metrics in a run's rows. */
export function seriesOf(rows: readonly Json[]): readonly MetricSeries[] {
  const names = new Set(
    rows.flatMap((row) => Object.keys(row).map((key) => key.replace(/^eval_/, ""))),
  );
  const known = METRICS.filter(({ name }) => names.has(name));
  const others = [...names].filter(
    (name) => !PLACES.includes(name) && !METRICS.some((own) => own.name === name),
  );
  const all = [...known, ...others.map((name) => ({ name, title: name, note: "" }))];
  // Rows of bad steps have a loss that was not applied.
  const applied = rows.filter((row) => row.bad_steps === undefined);
  const series = (name: string): Series => {
    const points = applied.filter((row) => isNumber(row[name]) && isNumber(row.step));
    return {
      steps: points.map((row) => row.step as number),
      values: points.map((row) => row[name] as number),
    };
  };
  return all
    .map((metric) => ({
      ...metric,
      training: series(metric.name),
      heldOut: series(`eval_${metric.name}`),
    }))
    .filter(({ training, heldOut }) => training.steps.length + heldOut.steps.length > 0);
}

/** Whether a metric is told on held-out rows: it was measured there after the beginning, or nowhere else. */
export const isHeldOut = ({ training, heldOut }: MetricSeries): boolean =>
  heldOut.steps.length > 1 || training.steps.length === 0;

/** A metric at the beginning and at the end, on held-out rows where there are any. */
export interface Figure {
  readonly name: string;
  readonly first: string;
  readonly last: string;
}

/** The figures of a run's rows, written. */
export function figuresOf(rows: readonly Json[]): readonly Figure[] {
  return seriesOf(rows)
    .filter(({ name }) => !["grad_norm", "learning_rate"].includes(name))
    .map((metric) => {
      const { name, training, heldOut } = metric;
      const [{ values }, own] = isHeldOut(metric) ? [heldOut, `eval_${name}`] : [training, name];
      return { name: own, first: number(values[0]), last: number(values.at(-1)) };
    });
}
