/**
 * What the page that generates and its worker tell each other.
 * @module
 */

import type { GenerateOptions } from "../../src/index.js";
import type { DeviceAnswer, DeviceQuestion, PageDevice } from "./devices.js";

/** What a visitor sets. */
export interface Wish
  extends Pick<GenerateOptions, "maxNewTokens" | "temperature" | "topP" | "seed"> {
  readonly prompt: string;
  /** Whether the prompt is a message in the model's chat template. */
  readonly chat: boolean;
}

/** To the worker: a device and the model's files once, and then wishes. */
export type Request =
  | DeviceQuestion
  | { readonly kind: "load"; readonly device: PageDevice; readonly files: readonly File[] }
  | { readonly kind: "write"; readonly wish: Wish }
  | { readonly kind: "stop" };

/** What is known of a loaded model. */
export interface ModelFacts {
  readonly family: string;
  readonly parameters: number;
  readonly layers: number;
  readonly width: number;
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly hasChatTemplate: boolean;
  /** How the makers let it write. */
  readonly temperature: number;
  readonly topP: number;
}

/** From the worker. */
export type Report =
  | DeviceAnswer
  /** What computes, as the library says. */
  | { readonly kind: "backend"; readonly backend: string }
  | { readonly kind: "loading"; readonly bytes: number; readonly of: number }
  | { readonly kind: "loaded"; readonly facts: ModelFacts }
  /** More of the answer; tokens so far, and how many a second after the first. */
  | {
      readonly kind: "text";
      readonly text: string;
      readonly tokens: number;
      readonly perSecond: number | null;
    }
  | { readonly kind: "end"; readonly finished: boolean }
  | { readonly kind: "failure"; readonly message: string };
