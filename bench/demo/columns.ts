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
  format(value: number): string;
}

const nats = (value: number): string => written(value.toFixed(Math.abs(value) < 10 ? 3 : 1));
const share = (value: number): string => value.toFixed(3);

/** All figures, in the order they are shown. */
export const COLUMNS: readonly Column[] = [
  {
    key: "chosenPerToken",
    title: "chosen/token",
    meaning: "log π(chosen | prompt) per token of the response, nats",
    format: nats,
  },
  {
    key: "rejectedPerToken",
    title: "rejected/token",
    meaning: "log π(rejected | prompt) per token of the response, nats",
    format: nats,
  },
  {
    key: "margin",
    title: "margin",
    meaning: "mean over pairs of log π(chosen | prompt) − log π(rejected | prompt), nats",
    format: nats,
  },
  {
    key: "preferenceAccuracy",
    title: "preference accuracy",
    meaning: "share of pairs whose chosen response is more probable than the rejected one",
    format: share,
  },
  {
    key: "rewardAccuracy",
    title: "reward accuracy",
    meaning: "share of pairs whose margin is greater than under the SFT checkpoint",
    format: share,
  },
  {
    key: "leftBoth",
    title: "left both",
    meaning:
      "share of probability that left both responses: mean over pairs of max(0, 1 − p/p₀), where " +
      "p = π(chosen | prompt) + π(rejected | prompt) and p₀ is the same of the SFT checkpoint",
    format: share,
  },
  {
    key: "answerAccuracy",
    title: "answers right",
    meaning: "share of held-out problems answered exactly right by greedy decoding",
    format: share,
  },
];

/** The columns that have a value in some row. */
export function columnsOf(rows: Iterable<Figures>): Column[] {
  const all = [...rows];
  return COLUMNS.filter(({ key }) => all.some((figures) => figures[key] !== null));
}

/** A figure as text; a dash where there is none. */
export function textOf({ key, format }: Column, figures: Figures): string {
  const value = figures[key];
  return value === null ? "–" : format(value);
}

const NAMES: Readonly<Record<string, string>> = {
  sft: "SFT",
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

/** A minus sign instead of a hyphen; no sign on a zero. */
function written(text: string): string {
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}
