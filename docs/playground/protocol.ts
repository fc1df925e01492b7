/**
 * What the page and its worker tell each other.
 * @module
 */

import type { MetricsRow } from "../../bench/demo/metrics.js";
import { type Choices, type Settings, settingsFor } from "../../bench/demo/settings.js";
import type { Obstacles, PageDevice } from "./devices.js";

/** What a visitor sets. */
export type PageChoices = Pick<
  Choices,
  "base" | "gamma" | "hinge" | "learningRate" | "sftSteps" | "steps"
>;

/** The settings of a run. */
export function settingsOf(choices: PageChoices): Settings {
  return settingsFor({ quick: true, ...choices });
}

/** To the worker. */
export type Request =
  | { readonly kind: "find devices" }
  | { readonly kind: "start"; readonly device: PageDevice; readonly choices: PageChoices }
  | { readonly kind: "stop" };

/** From the worker. */
export type Report =
  | { readonly kind: "devices"; readonly obstacles: Obstacles }
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
