/**
 * What the page and its worker tell each other.
 * @module
 */

import type { MetricsRow } from "../../bench/demo/metrics.js";
import { type Choices, type Settings, settingsFor } from "../../bench/demo/settings.js";
import type { DeviceAnswer, DeviceQuestion, PageDevice } from "./devices.js";

/** What a visitor sets. */
export type PageChoices = Pick<
  Choices,
  "task" | "base" | "gamma" | "hinge" | "learningRate" | "sftSteps" | "steps"
>;

/** The settings of a run: the demo's, measured more often on fewer problems. */
export function settingsOf(choices: PageChoices): Settings {
  return { ...settingsFor(choices), heldOutPairs: 100, evaluateEvery: 10 };
}

/** To the worker. */
export type Request =
  | DeviceQuestion
  | { readonly kind: "start"; readonly device: PageDevice; readonly choices: PageChoices }
  | { readonly kind: "stop" };

/** From the worker. */
export type Report =
  | DeviceAnswer
  /** What computes, as the library says. */
  | { readonly kind: "backend"; readonly backend: string }
  | { readonly kind: "reference"; readonly done: number; readonly pairs: number }
  | {
      readonly kind: "phase";
      readonly phase: string;
      readonly done: number;
      readonly steps: number;
    }
  /**
   * A row of `metrics.jsonl`. For a step just made: the `milliseconds` it took, and whether it is
   * followed by a measurement.
   */
  | {
      readonly kind: "row";
      readonly row: MetricsRow;
      readonly milliseconds?: number;
      readonly measured?: boolean;
    }
  | { readonly kind: "end"; readonly finished: boolean }
  | { readonly kind: "failure"; readonly message: string };
