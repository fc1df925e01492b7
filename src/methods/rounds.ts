/**
 * Rounds of sampling from a policy, scoring what it wrote, and training on pairs of it: what `rso` and `apo` have in
 * common. The policy that a round samples from is the reference of its loss.
 * @module
 */

import { checkCount, checkFunction, checkOptions } from "../checks.js";
import type { PreferenceRow } from "../data/rows.js";
import { fingerprint } from "../files/fingerprint.js";
import type { LossConfig } from "../losses/names/lossConfig.js";
import type { LoraOptions } from "../models/lora.js";
import { realize } from "../tensor/evaluate.js";
import type { FitState } from "../training/fitState.js";
import { comparingIn, type LossChoice } from "../training/preferenceLosses.js";
import type { SpoOptions } from "../training/preferenceObjective.js";
import { differencesOf } from "../training/runSettings.js";
import {
  CANDIDATE_OPTIONS,
  type CandidateOptions,
  type Candidates,
  candidatesOf,
  checkCandidates,
  checkSampled,
  type Prompt,
  type PromptText,
  promptsOf,
} from "./candidates.js";
import { extrapolate } from "./extrapolate.js";
import {
  checkedTraining,
  type PairObjective,
  type RoundTraining,
  type TrainedModel,
  trainedOn,
} from "./pairTraining.js";
import type { Reward } from "./reward.js";
import { type Pairing, rankedPairs } from "./rewardRanking.js";

/** How far a loop is. */
export interface LoopProgress {
  /** Counted from 0. */
  readonly round: number;
  readonly rounds: number;
  /** Prompts are sampled, or steps trained. */
  readonly phase: "sample" | "train";
  readonly done: number;
  readonly of: number;
  /** Of the step. */
  readonly loss?: number;
}

/** What a round came to. */
export interface LoopRound {
  /** Counted from 0. */
  readonly round: number;
  /** Mean reward of all candidates: the expected reward of the policy that the round began with. */
  readonly reward: number;
  /** Mean reward of the candidates that pairs could be made of. */
  readonly acceptedReward: number;
  readonly pairs: number;
  readonly steps: number;
  /** Mean loss of the last row of the training's log; null where there was no pair. */
  readonly loss: number | null;
}

/** Where a loop stands, as a tree that {@link saveTree} writes and `from` takes back. */
export interface LoopState<P = unknown> {
  /** What tells loops apart, as JSON; a loop goes on only with the same. Model and reward are not in it. */
  readonly settings: string;
  /** Rounds that are over. */
  readonly round: number;
  /** The policy that this round samples from. */
  readonly policy: P;
  /** What the last round's training ended at, where that is not `policy`. */
  readonly trained: P | null;
  /** What was sampled in this round, as JSON. */
  readonly sampled: string;
  /** Where this round's training stands. */
  readonly fit: FitState | null;
  /** The rounds that are over, as JSON. */
  readonly history: string;
}

/** What {@link rso} and {@link apo} have in common. */
export interface LoopOptions<P, Text extends PromptText> extends Omit<CandidateOptions, "samples"> {
  /** The model; its parameters stay as they are. */
  readonly lm: TrainedModel<P>;
  /** Texts, or lists of ids where the model has no tokenizer. Each is sampled from in every round. */
  readonly prompts: readonly Text[];
  readonly reward: Reward<Text>;
  /** Times that it samples and trains. */
  readonly rounds?: number;
  /** Candidates of each prompt. */
  readonly samples?: number;
  /** A loss of pairs, as {@link preferenceObjective} takes it. */
  readonly loss?: LossChoice;
  /** Options of the loss, for all rounds or by the round, counted from 0. */
  readonly lossOptions?: LossConfig | ((round: number) => LossConfig);
  /** SPO around the loss; default: not. */
  readonly spo?: SpoOptions;
  /** How pairs are made of candidates. Pairs of equal rewards say nothing, and are left out. */
  readonly pairing?: Pairing;
  /**
   * Trains an adapter in each round, and puts it into the weights at the round's end; `lm` is then what {@link loadModel}
   * gives. Default: all parameters are trained.
   */
  readonly lora?: Omit<LoraOptions, "seed">;
  /** How a round trains. */
  readonly training: RoundTraining<NoInfer<P>>;
  /** Of candidates, pairs and adapters; default 0. The order of rows is of `training.seed`. */
  readonly seed?: number | string;
  /** Where to go on; its parameters take the place of those of `lm`. */
  readonly from?: LoopState | undefined;
  /** Stops between steps, or between batches of candidates, with a state to go on from. */
  readonly signal?: { readonly aborted: boolean } | undefined;
  /** Prompts sampled between states to save; default 500. Steps between them are `training.saveEvery`. */
  readonly saveEvery?: number;
  /** Takes a state to save. Its tensors are good until the promise settles. */
  readonly onSave?: (state: LoopState<P>) => void | Promise<void>;
  /** A prompt is sampled and scored, or a step is made. */
  readonly onProgress?: (progress: LoopProgress) => void | Promise<void>;
  /** A round is over; with the parameters that its training ended at. */
  readonly onRound?: (round: LoopRound, parameters: P) => void | Promise<void>;
}

/** What a loop came to. */
export interface LoopResult<P> {
  /** What the last training ended at: what `generate` takes. */
  readonly parameters: P;
  readonly rounds: readonly LoopRound[];
  /** Where it stands: `from: state` goes on. */
  readonly state: LoopState<P>;
  /** False if the signal stopped it. */
  readonly done: boolean;
}

/** The names of {@link LoopOptions}. */
const OPTIONS = [
  ...CANDIDATE_OPTIONS,
  "lm",
  "prompts",
  "reward",
  "rounds",
  "loss",
  "lossOptions",
  "spo",
  "pairing",
  "lora",
  "training",
  "seed",
  "from",
  "signal",
  "saveEvery",
  "onSave",
  "onProgress",
  "onRound",
] as const;

/** What makes one method of the loop. */
export interface LoopMethod {
  readonly name: "rso" | "apo";
  readonly rounds: number;
  readonly samples: number;
  readonly loss: LossChoice;
  readonly lossOptions: LossConfig | ((round: number) => LossConfig);
  readonly pairing: Pairing;
  /** Momentum of the parameters. */
  readonly alpha: number;
  /** Options of its own, by their names. */
  readonly own: Readonly<Record<string, number>>;
  /** The candidates that pairs are made of. */
  readonly accepted: (rewards: readonly number[], seed: string) => readonly number[];
}

/** What was sampled in a round. */
interface Sampled {
  prompts: number;
  candidates: number;
  /** Sums of rewards. */
  reward: number;
  accepted: number;
  acceptedReward: number;
  readonly rows: PreferenceRow[];
}

/** What was sampled before a round. */
const NOTHING = JSON.stringify({
  prompts: 0,
  candidates: 0,
  reward: 0,
  accepted: 0,
  acceptedReward: 0,
  rows: [],
} satisfies Sampled);

/** Runs the rounds of a method. */
export async function trainRounds<P, Text extends PromptText>(
  method: LoopMethod,
  options: LoopOptions<P, Text>,
): Promise<LoopResult<P>> {
  const { name, rounds } = method;
  const { lm, signal, saveEvery = 500, onSave, onRound } = options;
  const { prompts, settings, seed } = await prepared(method, options);
  let state = firstState(name, options, settings);
  const history = JSON.parse(state.history) as LoopRound[];
  const result = (done: boolean): LoopResult<P> => ({
    parameters: state.trained ?? state.policy,
    rounds: history,
    state,
    done,
  });
  const tell = (phase: LoopProgress["phase"], done: number, of: number, loss?: number) =>
    options.onProgress?.({
      round: state.round,
      rounds,
      phase,
      done,
      of,
      ...(loss !== undefined && { loss }),
    });

  while (state.round < rounds) {
    const own = `${seed} ${state.round}`;
    const sampled = JSON.parse(state.sampled) as Sampled;
    const candidates = candidatesOf({ ...lm, parameters: state.policy }, prompts, options.reward, {
      ...samplingOf(options),
      samples: method.samples,
      seed: own,
      first: sampled.prompts,
      signal,
    });
    const keep = async (): Promise<void> => {
      state = { ...state, sampled: JSON.stringify(sampled) };
      await onSave?.(state);
    };
    try {
      for await (const found of candidates) {
        addCandidates(sampled, found, method, own);
        await tell("sample", sampled.prompts, prompts.length);
        if (sampled.prompts % saveEvery === 0 || sampled.prompts === prompts.length) await keep();
      }
    } catch (error) {
      // A judge that the signal stopped throws, too.
      if (!signal?.aborted) {
        await keep();
        throw error;
      }
    }
    if (signal?.aborted) {
      await keep();
      return result(false);
    }

    const { stopped, parameters, steps, loss } = await trainedOn({
      ...objectivesOf(method, options, state.round),
      lm: { ...lm, parameters: state.policy },
      rows: sampled.rows,
      seed: own,
      from: state.fit,
      signal,
      training: options.training,
      onStep: (done, of, value) => tell("train", done, of, value),
      onSave: (fit) => onSave?.({ ...state, fit }),
    });
    if (stopped) {
      state = { ...state, fit: stopped };
      return result(false);
    }
    const before = state.trained ?? state.policy;
    const policy =
      method.alpha === 0
        ? parameters
        : await realize(extrapolate(parameters, before, method.alpha));
    const round: LoopRound = {
      round: state.round,
      reward: sampled.reward / sampled.candidates,
      acceptedReward: sampled.acceptedReward / sampled.accepted,
      pairs: sampled.rows.length,
      steps,
      loss,
    };
    history.push(round);
    state = {
      settings,
      round: state.round + 1,
      policy,
      trained: policy === parameters ? null : parameters,
      sampled: NOTHING,
      fit: null,
      history: JSON.stringify(history),
    };
    await onRound?.(round, parameters);
    await onSave?.(state);
  }
  return result(true);
}

/** How candidates are sampled, of all options. */
function samplingOf<P, Text extends PromptText>(options: LoopOptions<P, Text>) {
  const names: readonly string[] = CANDIDATE_OPTIONS;
  const own = Object.entries(options).filter(([name]) => names.includes(name));
  return Object.fromEntries(own) as unknown as Omit<CandidateOptions, "samples">;
}

/** Adds a prompt's candidates and their pairs. */
function addCandidates<Text>(
  sampled: Sampled,
  { index, prompt, completionIds, rewards }: Candidates<Text>,
  method: LoopMethod,
  seed: string,
): void {
  const { kept, pairs } = rankedPairs(rewards, `${seed} ${index}`, method);
  for (const { chosen, rejected } of pairs) {
    sampled.rows.push({
      row: index,
      promptIds: prompt.ids,
      chosenIds: completionIds[chosen]!,
      rejectedIds: completionIds[rejected]!,
    });
  }
  sampled.prompts = index + 1;
  sampled.candidates += rewards.length;
  for (const reward of rewards) sampled.reward += reward;
  sampled.accepted += kept.length;
  for (const i of kept) sampled.acceptedReward += rewards[i]!;
}

/** Options of the loss in a round. */
const optionsAt = (own: LoopMethod["lossOptions"], round: number): LossConfig =>
  typeof own === "function" ? own(round) : own;

/** What a round descends. */
function objectivesOf<P, Text extends PromptText>(
  { loss, lossOptions }: LoopMethod,
  { spo, lora }: LoopOptions<P, Text>,
  round: number,
): PairObjective {
  return { loss, lossOptions: optionsAt(lossOptions, round), spo, lora };
}

/** Checks everything before anything is computed. */
async function prepared<P, Text extends PromptText>(
  method: LoopMethod,
  options: LoopOptions<P, Text>,
) {
  const { name, rounds, samples, own } = method;
  checkOptions(name, options as object, ...([...OPTIONS, ...Object.keys(own)] as never[]));
  const { lm, training, lora, spo, saveEvery = 500, seed = 0, maxNewTokens } = options;
  checkSampled(name, lm);
  checkCount(name, "rounds", rounds, 1);
  checkCount(name, "saveEvery", saveEvery, 1);
  checkCandidates(name, { ...options, samples });
  for (const f of [options.reward, method.pairing]) checkFunction(name, f);
  const prompts = promptsOf(name, lm, options.prompts, maxNewTokens);
  if (comparingIn(method.loss).includes("aspo")) {
    throw new TypeError(`${name}: aspo takes rows with sentences, which candidates do not have`);
  }
  const objectives = Array.from({ length: rounds }, (_, round) =>
    objectivesOf(method, options, round),
  );
  const fitSettings = checkedTraining(name, lm, objectives, training);
  const settings = JSON.stringify({
    method: name,
    ...own,
    samples,
    ...samplingOf(options),
    stopTokens: stopsOf(options.stopTokens),
    samplingBatchSize: undefined,
    prompts: await printOf(prompts),
    loss: typeof method.loss === "function" ? `function ${method.loss.name}` : method.loss,
    lossOptions: objectives.map((own) => own.lossOptions),
    pairing: method.pairing.name,
    spo,
    lora,
    seed,
    fit: fitSettings,
  });
  return { prompts, settings, seed };
}

const stopsOf = (tokens: CandidateOptions["stopTokens"]) =>
  typeof tokens === "object" ? [...tokens] : tokens;

/** What tells prompts from others. */
function printOf(prompts: readonly Prompt<unknown>[]): Promise<string> {
  return fingerprint(prompts.map(({ ids }) => new Uint8Array(Int32Array.from(ids).buffer)));
}

/** What settings are compared of. */
type LoopSettings = Readonly<Record<string, unknown>> & {
  readonly lossOptions: readonly unknown[];
};

/** The state to go on from, or the one before the first round. */
function firstState<P, Text extends PromptText>(
  name: string,
  { lm, from }: LoopOptions<P, Text>,
  settings: string,
): LoopState<P> {
  if (!from) {
    return {
      settings,
      round: 0,
      policy: lm.parameters,
      trained: null,
      sampled: NOTHING,
      fit: null,
      history: "[]",
    };
  }
  const [before, now] = [JSON.parse(from.settings), JSON.parse(settings)] as LoopSettings[];
  // A loop may go on for more rounds than it was first asked for.
  const rounds = Math.min(before!.lossOptions.length, now!.lossOptions.length);
  const common = (own: LoopSettings) => ({ ...own, lossOptions: own.lossOptions.slice(0, rounds) });
  const differences = differencesOf(common(before!), common(now!));
  // Later comparisons are with all that was ever asked for.
  const longer = before!.lossOptions.length > rounds ? from.settings : settings;
  if (differences === "") return { ...(from as LoopState<P>), settings: longer };
  throw new TypeError(`${name}: from is of a loop with other settings (${differences})`);
}
