/**
 * Preference losses as training needs to know them: by their name or as functions, with the state they carry, and
 * whether the rows of a batch meet in them.
 * @module
 */

import { describeValue } from "../checks.js";
import { lossByName } from "../losses/names/lossByName.js";
import type { LossConfig } from "../losses/names/lossConfig.js";
import { LOSSES, type LossName } from "../losses/names/lossNames.js";
import type { PairLogProbs, PreferenceLoss, PreferenceLossFunction } from "../losses/types.js";
import { tensor } from "../tensor/create.js";
import {
  allValues,
  emptyReading,
  LOSS_INPUTS,
  type PairReading,
  splitOptions,
} from "./lossInputs.js";
import type { Columns, RowValues } from "./rowObjective.js";
import type { ExtraScore } from "./sequences.js";

/** A loss, by its name, or a list of names that is a mix, or itself. */
export type LossChoice = LossName | readonly LossName[] | PreferenceLossFunction<never>;

/** States of losses by their names; null before the first step. */
export type LossStates = Readonly<Record<string, unknown>>;

/** A loss of pairs that training can step with. */
export interface TrainingLoss {
  /** Whether the loss of a batch is not the mean of what its parts give. */
  readonly coupled: boolean;
  /** The names of the losses that carry a state. */
  readonly stateful: readonly string[];
  /** Whether it takes WPO's weights. */
  readonly weighted: boolean;
  /** What it needs of sequences besides: see {@link scoreSequences}. */
  readonly reads: readonly ExtraScore[];
  /** The names of the losses that take what only policy and reference together say of pairs. */
  readonly comparing: readonly string[];
  init(): LossStates;
  /** What the losses that compare take besides. */
  make(reading: PairReading): RowValues;
  /** @param at With `training` the pairs enter the states. */
  judge(
    pairs: PairLogProbs,
    at: { readonly states: LossStates; readonly training: boolean },
    besides: LossGiven,
  ): { readonly result: PreferenceLoss; readonly states: LossStates };
}

/** What a loss is given besides pairs. */
export interface LossGiven {
  /** WPO's weights, if it takes them. */
  readonly weights: LossConfig;
  /** Values of the pairs: those that {@link LOSS_INPUTS} names are among them. */
  readonly values: Columns;
}

/** Losses in which rows meet without a state: by ranks, or by the number of all tokens. */
const RANKED: readonly string[] = ["aot", "aot_unpaired", "sft"];

/** Losses that carry a state, what it begins with, and the option that takes its place. */
const STATEFUL: Readonly<Record<string, { readonly start: object | null; readonly not?: string }>> =
  {
    bco_pair: { start: { mean: 0, count: 0 }, not: "delta" },
    betadpo: { start: null },
    alphadpo: { start: null, not: "standardizedGap" },
  };

/** Losses of what no language model has, and the functions that apply them. */
const OF_DIFFUSION: Readonly<Record<string, string>> = {
  diffusion_dpo: "diffusionDpoLoss",
  dmpo: "dmpoLoss",
};

/**
 * The loss of a choice and its options.
 * @throws for unknown names and options, and losses that take what rows of preferences do not have.
 */
export function trainingLoss(caller: string, choice: LossChoice, given: LossConfig): TrainingLoss {
  const names = namesOf(choice);
  const isFunction = typeof choice === "function";
  const isList = !isFunction && typeof choice !== "string";
  const split = names.map((name) => splitOptions(name, isList ? ownIn(given, name) : given));
  const options: LossConfig = isList
    ? {
        ...given,
        ...Object.fromEntries(
          names.flatMap((name, i) => (name in given ? [[name, split[i]![0]]] : [])),
        ),
      }
    : (split[0]?.[0] ?? given);
  const apply = (
    isFunction ? withOptions(choice, options) : lossByName(choice, options)
  ) as PreferenceLossFunction;
  for (const name of names) {
    if (name === "spo") {
      throw new TypeError(
        `${caller}: spo is an option beside the loss: { loss: "sigmoid", spo: {} }`,
      );
    }
    const ofDiffusion = OF_DIFFUSION[name];
    if (ofDiffusion !== undefined) {
      throw new TypeError(
        `${caller}: ${name} takes squared denoising errors of a diffusion model, which language models do not have; train ` +
          `one with alignDiffusion, or with fit and lossObjective(f), where f gives ${ofDiffusion} its errors`,
      );
    }
  }
  const ownOptions = (name: string) => (isList ? ownIn(options, name) : options);
  const stateful = names.filter((name) => {
    const own = STATEFUL[name];
    return own && !(own.not && ownOptions(name)[own.not] !== undefined);
  });
  const comparing = comparingIn(choice);
  const isWeighted = names.includes("wpo") || (!isFunction && options.use_weighting === true);

  const own: TrainingLoss = {
    coupled: names.length === 0 || names.some((name) => RANKED.includes(name) || STATEFUL[name]),
    stateful,
    weighted: isWeighted,
    comparing,
    reads: [
      ...(isWeighted ? (["logWeight"] as const) : []),
      ...new Set(comparing.map((name) => LOSS_INPUTS[name]!.reads)),
    ],
    init: () => Object.fromEntries(stateful.map((name) => [name, STATEFUL[name]!.start])),
    make(reading) {
      const made = names.flatMap((name, i) => LOSS_INPUTS[name]?.make(reading, split[i]![1]) ?? []);
      return made.reduce(
        (all, own) => ({
          scores: { ...all.scores, ...own.scores },
          facts: { ...all.facts, ...own.facts },
        }),
        { scores: {}, facts: {} },
      );
    },
    judge(pairs, { states, training }, { weights, values }) {
      const besides = names.map((name) => {
        const inputs = (LOSS_INPUTS[name]?.names ?? []).map((own) => [own, values[own]]);
        const state = stateful.includes(name) && stateOptions(states[name], training);
        return [name, { ...state, ...Object.fromEntries(inputs) }] as const;
      });
      const own = isList ? Object.fromEntries(besides) : besides[0]?.[1];
      const result = apply(pairs, { ...own, ...weights });
      const parts = isList ? (result as unknown as { terms: PreferenceLoss[] }).terms : [result];
      const next = stateful.map((name) => {
        const part = parts[isList ? names.indexOf(name) : 0] as { readonly state?: unknown };
        return [name, training ? part.state : states[name]];
      });
      return { result, states: Object.fromEntries(next) };
    },
  };
  // Of a function of the caller's nobody knows what pairs it takes.
  if (names.length > 0) tryOut(own);
  return own;
}

/** Has a loss judge two pairs, so that it rejects its options before rows are read. Nothing is evaluated. */
function tryOut(loss: TrainingLoss): void {
  const numbers = tensor([-1, -2]);
  const lengths = tensor([1, 2]);
  const pairs = {
    chosen: numbers,
    rejected: numbers,
    referenceChosen: numbers,
    referenceRejected: numbers,
    chosenLength: lengths,
    rejectedLength: lengths,
  };
  const weights = loss.weighted ? { chosenLogWeight: numbers, rejectedLogWeight: numbers } : {};
  const values = allValues(loss.make(emptyReading()));
  loss.judge(pairs, { states: loss.init(), training: true }, { weights, values });
}

/** Options by which a loss gets its state. Where there is none yet, a batch is judged by its own statistics. */
function stateOptions(state: unknown, training: boolean): LossConfig {
  const isNew = state === null || (state as { readonly count: number }).count === 0;
  return { ...(state !== null && { state }), ...(!training && !isNew && { updateState: false }) };
}

/** The names of a choice: of a function, the one it has, if it is one of the losses. */
function namesOf(choice: LossChoice): readonly string[] {
  if (typeof choice === "string") return [choice];
  if (typeof choice !== "function") return choice as readonly string[];
  const known = Object.entries(LOSSES).find(([, { loss }]) => (loss as unknown) === choice);
  return known ? [known[0]] : [];
}

/** The options of a list that are for one of its losses. */
const ownIn = (options: LossConfig, name: string): LossConfig =>
  (options[name] ?? {}) as LossConfig;

/** The names of those losses of a choice that take what only policy and reference together say of pairs. */
export function comparingIn(choice: LossChoice): readonly string[] {
  return namesOf(choice).filter((name) => LOSS_INPUTS[name] !== undefined);
}

function withOptions(loss: unknown, options: LossConfig): PreferenceLossFunction {
  return (pairs, more) => (loss as PreferenceLossFunction)(pairs, { ...options, ...more });
}

/** Rejects what is no choice of a loss. */
export function checkLossChoice(caller: string, choice: unknown): void {
  if (typeof choice === "string" || typeof choice === "function" || Array.isArray(choice)) return;
  throw new TypeError(
    `${caller}: loss must be a loss's name, a list of names or a function, got ${describeValue(choice)}`,
  );
}
