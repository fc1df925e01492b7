/**
 * Training on pairs against the model as it is before: what the methods of this room end a round with.
 * @module
 */

import { describeValue } from "../checks.js";
import type { PreferenceRow, Rows } from "../data/rows.js";
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
import type { SampledModel } from "./candidates.js";

/** A model to sample from and to train: what {@link loadModel} gives, or any with `packedHidden` and its parameters. */
export interface TrainedModel<P> extends SampledModel<P> {
  readonly model: PackedLanguageModel<P>;
}

/** What of {@link fit} a round's training takes; `learningRate` is needed, as there. */
export type RoundTraining<P> = Omit<
  FitOptions<P, ReferencedPair>,
  "parameters" | "givesUpParameters" | "objective" | "data" | "from" | "signal" | "observer"
>;

/** What is descended, and what is trained for it. */
export interface PairObjective {
  readonly loss: LossChoice;
  readonly lossOptions: LossConfig;
  readonly spo: SpoOptions | undefined;
  readonly lora: Omit<LoraOptions, "seed"> | undefined;
}

/** A round's training. */
interface PairTraining<P> extends PairObjective {
  /** The model at the parameters that training starts from, which are the reference. */
  readonly lm: TrainedModel<P>;
  readonly rows: Rows<PreferenceRow> | readonly PreferenceRow[];
  /** Of the adapter and of what losses draw. */
  readonly seed: string;
  readonly training: RoundTraining<P>;
  readonly from: FitState | null;
  readonly signal: { readonly aborted: boolean } | undefined;
  readonly onStep: (done: number, of: number, loss: number) => void | Promise<void> | undefined;
  readonly onSave: (state: FitState) => void | Promise<void> | undefined;
}

/** What training came to. */
interface PairTrained<P> {
  /** Where it stands, if the signal stopped it; `parameters` then are not its. */
  readonly stopped?: FitState;
  /** An adapter is in them. */
  readonly parameters: P;
  readonly steps: number;
  /** Mean loss of the log's last row; null where there was none. */
  readonly loss: number | null;
}

/** Trains on pairs. */
export async function trainedOn<P>(own: PairTraining<P>): Promise<PairTrained<P>> {
  const { lm, rows: pairs, seed, from, signal, training, onStep, onSave } = own;
  if (pairs.length === 0) return { parameters: lm.parameters, steps: 0, loss: null };
  const { policy, whole } = traineeOf(lm, own.lora, seed);
  const reference = fullPolicy(lm) as Policy<unknown>;
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
    step: (made) => onStep(made.step, steps, made.loss),
    log(row) {
      loss = row.loss ?? null;
    },
    save: (state) => (state.step < steps ? onSave(state) : undefined),
  };
  const { done, ...result } = await fit({
    ...training,
    parameters: policy.parameters,
    objective: objectiveOf(policy, reference, own, seed),
    data: rows,
    from: from ?? undefined,
    signal,
    observer,
  } as FitOptions<unknown, ReferencedPair>);
  if (!done) return { stopped: result.state, parameters: lm.parameters, steps, loss };
  return { parameters: await realize(whole(result.parameters)), steps, loss };
}

/**
 * Checks how rounds train, before anything is computed.
 * @returns the settings of {@link fit} that tell one training from another, but for the rows.
 */
export function checkedTraining<P>(
  caller: string,
  lm: TrainedModel<P>,
  objectives: readonly PairObjective[],
  training: RoundTraining<P>,
): object {
  if (typeof training !== "object" || training === null) {
    throw new TypeError(
      `${caller}: training must be options of fit, { learningRate: 1e-4 } for instance, got ${describeValue(training)}`,
    );
  }
  if ("givesUpParameters" in training) {
    throw new TypeError(
      `${caller}: training: givesUpParameters is not for rounds, which need what they start from`,
    );
  }
  const lora = objectives[0]?.lora;
  if (lora && !("modelType" in lm)) {
    throw new TypeError(`${caller}: lora needs a model as loadModel gives it`);
  }
  const { policy } = traineeOf(lm, lora, "");
  const reference = fullPolicy(lm) as Policy<unknown>;
  const [first] = objectives.map((own) => objectiveOf(policy, reference, own, ""));
  const { plan } = preparedFit({
    ...training,
    parameters: policy.parameters,
    objective: first,
    data: [EXAMPLE],
  } as FitOptions<unknown, ReferencedPair>);
  const { rows, steps, order, ...settings } = plan.settings;
  return { ...settings, epochs: training.epochs, maxSteps: training.maxSteps };
}

/** The loss of pairs, SPO around it where it is asked for. */
function objectiveOf(
  policy: Policy<unknown>,
  reference: Policy<unknown>,
  { loss, lossOptions, spo }: PairObjective,
  seed: string,
) {
  return preferenceObjective({
    policy,
    loss,
    lossOptions,
    seed,
    multipleOf: MULTIPLE,
    ...(comparingIn(loss).length > 0 && { reference }),
    ...(spo && { spo }),
  });
}

/** What is trained, and the model's parameters with it in its place. */
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

/** Sizes of packed batches are multiples of it: pairs of new answers seldom have sizes that were met before. */
const MULTIPLE = 32;

/** A pair, for the check of how a round trains. */
const EXAMPLE: ReferencedPair = { row: 0, promptIds: [0], chosenIds: [0], rejectedIds: [0] };
