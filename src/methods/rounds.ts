/**
 * Rounds of sampling from a policy, scoring what it wrote, and training on pairs of it: what `rso` and `apo` have in
 * common. The policy that a round samples from is the reference of its loss.
 * @module
 */

import { checkCount, checkFunction, checkOptions, describeValue } from "../checks.js";
import type { PreferenceRow } from "../data/rows.js";
import { fingerprint } from "../files/fingerprint.js";
import type { LossConfig } from "../losses/names/lossConfig.js";
import type { LoadedModel } from "../models/loadModel.js";
import { initLora, type LoraOptions, mergeLora } from "../models/lora.js";
import { realize } from "../tensor/evaluate.js";
import { fit } from "../training/fit.js";
import { type FitOptions, preparedFit } from "../training/fitOptions.js";
import type { FitState } from "../training/fitState.js";
import type { FitObserver } from "../training/observer.js";
import {
  fullPolicy,
  loraPolicy,
  type PackedLanguageModel,
  type Policy,
} from "../training/policy.js";
import { comparingIn, type LossChoice } from "../training/preferenceLosses.js";
import {
  preferenceObjective,
  type ReferencedPair,
  type SpoOptions,
} from "../training/preferenceObjective.js";
import { withReferences } from "../training/references.js";
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
  type SampledModel,
} from "./candidates.js";
import { extrapolate } from "./extrapolate.js";
import type { Reward } from "./reward.js";
import { type Pairing, rankedPairs } from "./rewardRanking.js";

/** A model to sample from and to train: what {@link loadModel} gives, or any with `packedHidden` and its parameters. */
export interface TrainedModel<P> extends SampledModel<P> {
  readonly model: PackedLanguageModel<P>;
}

/** What of {@link fit} a round's training takes; `learningRate` is needed, as there. */
export type RoundTraining<P> = Omit<
  FitOptions<P, ReferencedPair>,
  "parameters" | "objective" | "data" | "from" | "signal" | "observer"
>;

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
    for await (const found of candidates) {
      addCandidates(sampled, found, method, own);
      await tell("sample", sampled.prompts, prompts.length);
      if (sampled.prompts % saveEvery > 0 && sampled.prompts < prompts.length) continue;
      state = { ...state, sampled: JSON.stringify(sampled) };
      await onSave?.(state);
    }
    if (signal?.aborted) {
      state = { ...state, sampled: JSON.stringify(sampled) };
      await onSave?.(state);
      return result(false);
    }

    const training = await trainedOn(sampled.rows, own, method, options, state, tell);
    if (training.stopped) {
      state = { ...state, fit: training.stopped };
      return result(false);
    }
    const { parameters, steps, loss } = training;
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

/** What a round's training came to: parameters, or a state in which the signal stopped it. */
type Training<P> =
  | { readonly stopped: FitState }
  | {
      readonly stopped?: undefined;
      readonly parameters: P;
      readonly steps: number;
      readonly loss: number | null;
    };

async function trainedOn<P, Text extends PromptText>(
  pairs: readonly PreferenceRow[],
  seed: string,
  method: LoopMethod,
  options: LoopOptions<P, Text>,
  state: LoopState<P>,
  tell: (
    phase: "train",
    done: number,
    of: number,
    loss: number,
  ) => void | Promise<void> | undefined,
): Promise<Training<P>> {
  const { lm, signal, onSave, training } = options;
  const { policy: start } = state;
  if (pairs.length === 0) return { parameters: start, steps: 0, loss: null };
  const { policy, whole } = traineeOf({ ...lm, parameters: start }, options.lora, seed);
  const reference = fullPolicy({ model: lm.model, parameters: start }) as Policy<unknown>;
  const { rows } = await withReferences(pairs, {
    policy: reference,
    batchSize: training.batchSize ?? 8,
    multipleOf: MULTIPLE,
  });
  let [steps, loss] = [0, null as number | null];
  const observer: FitObserver = {
    start(plan) {
      steps = plan.steps;
    },
    step: (made) => tell("train", made.step, steps, made.loss),
    log(row) {
      loss = row.loss ?? null;
    },
    save: (own) => (own.step < steps ? onSave?.({ ...state, fit: own }) : undefined),
  };
  const { done, ...result } = await fit({
    ...training,
    parameters: policy.parameters,
    objective: objectiveOf(policy, reference, method, options.spo, state.round),
    data: rows,
    from: state.fit ?? undefined,
    signal,
    observer,
  } as FitOptions<unknown, ReferencedPair>);
  if (!done) return { stopped: result.state };
  return { parameters: await realize(whole(result.parameters)), steps, loss };
}

/** Options of the loss in a round. */
const optionsAt = (own: LoopMethod["lossOptions"], round: number): LossConfig =>
  typeof own === "function" ? own(round) : own;

/** The loss of a round, SPO around it where it is asked for. */
function objectiveOf(
  policy: Policy<unknown>,
  reference: Policy<unknown>,
  { loss, lossOptions }: LoopMethod,
  spo: SpoOptions | undefined,
  round: number,
) {
  return preferenceObjective({
    policy,
    loss,
    lossOptions: optionsAt(lossOptions, round),
    multipleOf: MULTIPLE,
    ...(comparingIn(loss).length > 0 && { reference }),
    ...(spo && { spo }),
  });
}

/** What a round trains, and the model's parameters with it in its place. */
function traineeOf<P>(
  lm: TrainedModel<P>,
  lora: Omit<LoraOptions, "seed"> | undefined,
  seed: string,
): { readonly policy: Policy<unknown>; readonly whole: (parameters: unknown) => P } {
  if (!lora) return { policy: fullPolicy(lm) as Policy<unknown>, whole: (own) => own as P };
  const base = lm as unknown as LoadedModel;
  const adapter = initLora(base, { ...lora, seed });
  return {
    policy: loraPolicy(base, adapter, { seed }) as Policy<unknown>,
    whole: (parameters) => mergeLora(base, { ...adapter, parameters: parameters as never }) as P,
  };
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
  if (typeof training !== "object" || training === null) {
    throw new TypeError(
      `${name}: training must be options of fit, { learningRate: 1e-4 } for instance, got ${describeValue(training)}`,
    );
  }
  const prompts = promptsOf(name, lm, options.prompts, maxNewTokens);
  if (lora && !("modelType" in lm)) {
    throw new TypeError(`${name}: lora needs a model as loadModel gives it`);
  }
  const { policy } = traineeOf(lm, lora, "");
  const reference = fullPolicy(lm) as Policy<unknown>;
  if (comparingIn(method.loss).includes("aspo")) {
    throw new TypeError(`${name}: aspo takes rows with sentences, which candidates do not have`);
  }
  for (let round = 0; round < rounds; round++) {
    objectiveOf(policy, reference, method, spo, round);
  }
  const { plan } = preparedFit({
    ...training,
    parameters: policy.parameters,
    objective: objectiveOf(policy, reference, method, spo, 0),
    data: [EXAMPLE],
  } as FitOptions<unknown, ReferencedPair>);
  const { rows, steps, order, ...fitSettings } = plan.settings;
  const settings = JSON.stringify({
    method: name,
    ...own,
    samples,
    ...samplingOf(options),
    stopTokens: stopsOf(options.stopTokens),
    samplingBatchSize: undefined,
    prompts: await printOf(prompts),
    loss: typeof method.loss === "function" ? `function ${method.loss.name}` : method.loss,
    // A loop may go on for more rounds than it was first asked for.
    lossOptions: Array.from({ length: COMPARED_ROUNDS }, (_, round) =>
      optionsAt(method.lossOptions, round),
    ),
    pairing: method.pairing.name,
    spo,
    lora,
    seed,
    fit: { ...fitSettings, epochs: training.epochs, maxSteps: training.maxSteps },
  });
  return { prompts, settings, seed };
}

/** Sizes of packed batches are multiples of it: pairs of new answers seldom have sizes that were met before. */
const MULTIPLE = 32;

/** Rounds whose options tell a loop from others. */
const COMPARED_ROUNDS = 8;

/** A pair, for the check of how a round trains. */
const EXAMPLE: ReferencedPair = { row: 0, promptIds: [0], chosenIds: [0], rejectedIds: [0] };

const stopsOf = (tokens: CandidateOptions["stopTokens"]) =>
  typeof tokens === "object" ? [...tokens] : tokens;

/** What tells prompts from others. */
function printOf(prompts: readonly Prompt<unknown>[]): Promise<string> {
  return fingerprint(prompts.map(({ ids }) => new Uint8Array(Int32Array.from(ids).buffer)));
}

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
  const differences = differencesOf(JSON.parse(from.settings), JSON.parse(settings));
  if (differences === "") return from as LoopState<P>;
  throw new TypeError(`${name}: from is of a loop with other settings (${differences})`);
}
