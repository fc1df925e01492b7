/**
 * How figures are named and written, in the terminal and in the report alike.
 * @module
 */

import type { Figures } from "./evaluate.js";

/** One figure of a model. */
export interface Column {
  readonly key: keyof Figures;
  readonly title: string;
  /** What exactly is measured. */
  readonly meaning: string;
  /** Unit of the values. */
  readonly unit: "share" | "nats" | "nats per token";
  /** Whether it says how many answers are right. */
  readonly isAccuracy?: true;
  format(value: number): string;
}

const nats = (value: number): string => written(value.toFixed(Math.abs(value) < 10 ? 3 : 1));
const share = (value: number): string => value.toFixed(3);

/** All figures, in the order they are shown. */
export const COLUMNS: readonly Column[] = [
  {
    key: "greedyAccuracy",
    isAccuracy: true,
    title: "greedy accuracy",
    meaning: "share of held-out problems answered exactly right by greedy decoding",
    unit: "share",
    format: share,
  },
  {
    key: "sampledAccuracy",
    isAccuracy: true,
    title: "sampled accuracy",
    meaning:
      "share answered exactly right when answers are sampled (temperature 1), as its expectation: " +
      "the mean of π(right answer | prompt)",
    unit: "share",
    format: share,
  },
  {
    key: "chosenPerToken",
    title: "chosen/token",
    meaning: "log π(chosen | prompt) per token of the response",
    unit: "nats per token",
    format: nats,
  },
  {
    key: "rejectedPerToken",
    title: "rejected/token",
    meaning: "log π(rejected | prompt) per token of the response",
    unit: "nats per token",
    format: nats,
  },
  {
    key: "leftBoth",
    title: "left both",
    meaning:
      "share of probability that is on neither response any more: mean of max(0, 1 − p/p₀), where " +
      "p is π of both together and p₀ the same of the SFT checkpoint",
    unit: "share",
    format: share,
  },
  {
    key: "margin",
    title: "margin",
    meaning: "mean over pairs of log π(chosen | prompt) − log π(rejected | prompt)",
    unit: "nats",
    format: nats,
  },
  {
    key: "preferenceAccuracy",
    title: "preference accuracy",
    meaning: "share of pairs whose chosen response is more probable than the rejected one",
    unit: "share",
    format: share,
  },
  {
    key: "rewardAccuracy",
    title: "reward accuracy",
    meaning: "share of pairs whose margin is greater than under the SFT checkpoint",
    unit: "share",
    format: share,
  },
];

/** Stand in for the accuracies where no answer is right or wrong. */
const WITHOUT_EXAM: readonly (keyof Figures)[] = ["margin", "preferenceAccuracy", "rewardAccuracy"];

/** The columns of a table of these figures. */
export function columnsOf(rows: Iterable<Figures>): Column[] {
  const all = [...rows];
  const hasExam = all.some(({ greedyAccuracy }) => greedyAccuracy !== null);
  return COLUMNS.filter(
    ({ key }) =>
      all.some((figures) => figures[key] !== null) && !(hasExam && WITHOUT_EXAM.includes(key)),
  );
}

/** A figure as text; a dash where there is none. */
export function textOf({ key, format }: Column, figures: Figures): string {
  const value = figures[key];
  return value === null ? "–" : format(value);
}

/** A share as people read it. */
export function percent(value: number): string {
  return `${(100 * value).toFixed(0)}%`;
}

const NAMES: Readonly<Record<string, string>> = {
  sft: "SFT",
  "sft-chosen": "SFT on chosen",
  dpo: "DPO",
  ipo: "IPO",
  cpo: "CPO",
  orpo: "ORPO",
  dpop: "DPOP",
  rdpo: "R-DPO",
  alphadpo: "AlphaDPO",
  kto: "KTO",
  simpo: "SimPO",
  spo: "SPO",
};

/** A phase's name as people write it: `dpo+spo` is DPO+SPO. */
export function phaseTitle(phase: string): string {
  return phase
    .split("+")
    .map((part) => NAMES[part] ?? part)
    .join("+");
}

/** Seconds as people read them. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** A number as text with a minus sign instead of a hyphen, and none on a zero. */
export function written(text: string): string {
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}
