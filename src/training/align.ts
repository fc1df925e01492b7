/**
 * Preference optimization of a model, from rows to a directory with the result.
 * @module
 */

import { describeValue } from "../checks.js";
import { type PreferenceRow, type Rows, rowsOf, type UnpairedRow } from "../data/rows.js";
import { type SentenceSimilarity, withSentences } from "../data/sentences.js";
import type { LossConfig } from "../losses/names/lossConfig.js";
import type { LoadedModel } from "../models/loadModel.js";
import { treeLeaves } from "../tensor/tree.js";
import type { AnyObjective } from "./fitOptions.js";
import { checkRowKind } from "./givenRows.js";
import { optimumFloor } from "./optimumFloor.js";
import { fullPolicy, type Policy } from "./policy.js";
import { checkLossChoice, comparingIn, type LossChoice } from "./preferenceLosses.js";
import {
  preferenceObjective,
  type ReferencedPair,
  type SpoOptions,
} from "./preferenceObjective.js";
import { checkReferences, withReferences } from "./references.js";
import {
  type GivenRows,
  RUN_OPTIONS,
  type RunOptions,
  type RunResult,
  Stopped,
  trainRun,
} from "./run.js";
import { settingsOf, type TrainingOptions, type TrainingSettings } from "./settings/options.js";
import type { Trainee } from "./trainee.js";
import { type ReferencedCompletion, unpairedObjective } from "./unpairedObjective.js";

/** Options of {@link align}; the settings of training among them are those of the command line, under the same names. */
export interface AlignOptions extends RunOptions, TrainingOptions<"align"> {
  /** Pairs, as {@link readPreferences} gives them; or `completions`. */
  readonly pairs?: GivenRows<PreferenceRow>;
  /** Completions with labels, as {@link readUnpaired} gives them, for the losses `"kto"` and `"apo_zero_unpaired"`. */
  readonly completions?: GivenRows<UnpairedRow>;
  /** Held-out rows of the same kind. Default: `evalShare` of the rows. */
  readonly evaluation?: GivenRows<PreferenceRow | UnpairedRow>;
  /** A loss by name, several, which are added, or a loss function; default `"sigmoid"`, which is DPO. */
  readonly loss?: LossChoice | UnpairedLoss;
  /** The reference model; default: the model as it is before training. */
  readonly reference?: LoadedModel;
  /** Of the loss `"aspo"`: a similarity of each sentence and its row's image. Default: sentences weigh by perplexity alone. */
  readonly similarity?: SentenceSimilarity;
  /** The images for `similarity`, by the numbers of the source's rows: a column of it. */
  readonly images?: readonly unknown[];
}

const UNPAIRED = ["kto", "apo_zero_unpaired"] as const;
type UnpairedLoss = (typeof UNPAIRED)[number];

type Settings = TrainingSettings<"align">;

const OPTIONS = [
  ...RUN_OPTIONS,
  "pairs",
  "completions",
  "evaluation",
  "loss",
  "reference",
  "similarity",
  "images",
] as const;

/**
 * Trains a model, or an adapter beside it, on preferences: computes the reference's log-probabilities, holds rows out,
 * trains with {@link fit}, and writes a run's directory ({@link openRunDirectory}) with the result in it: an adapter in
 * PEFT's files or a model in transformers', a model card and a report. A run that was stopped or killed goes on with
 * `resume`, and ends with the bits of one that never was.
 *
 * @throws (the returned promise rejects) for options that are unknown, out of range or do not go together, and for a
 * directory that holds another run: before anything is computed. {@link Stopped} where the signal came before the first step.
 * @example
 * const lm = await loadModel("path/to/model");
 * const pairs = await readPreferences("pairs.jsonl", lm.tokenizer!, { maxLength: 512 });
 * await align({ lm, pairs, loss: "sigmoid", spo: { gamma: "dual" }, lora: { rank: 8 }, output: "aligned" });
 */
export async function align(options: AlignOptions): Promise<RunResult> {
  const settings = settingsOf("align", options, OPTIONS);
  const { pairs, completions, evaluation, loss = "sigmoid", lm, adapter } = options;
  const isUnpaired = isUnpairedLoss(loss, completions !== undefined);
  const given = isUnpaired ? completions : pairs;
  if (given === undefined) {
    throw new TypeError(
      `align: ${isUnpaired ? `the loss ${String(loss)} needs completions, as readUnpaired gives them` : "pairs are needed, as readPreferences gives them"}`,
    );
  }
  if (isUnpaired && pairs !== undefined) {
    throw new TypeError("align: completions and pairs are of different losses: give one of them");
  }
  // Options that do not go together are found before anything is computed.
  const policy = fullPolicy(lm);
  const before = fullPolicy(options.reference ?? lm);
  if (isUnpaired) unpairedObjective({ policy, ...unpairedOptions(loss, settings) });
  else preferenceObjective({ policy, ...pairOptions(loss, settings, 0, before) });
  checkSentences(options, settings, loss);
  const common = {
    command: "align" as const,
    settings,
    loss: typeof loss === "function" ? `function ${loss.name}` : loss,
    learningRate: settings.learningRate ?? (settings.lora || adapter ? 1e-5 : 1e-6),
    order: settings.order ?? (isUnpaired ? ("sequential" as const) : ("random" as const)),
    reference: options.reference,
  };
  if (isUnpaired) {
    return trainRun<UnpairedRow, ReferencedCompletion>(
      {
        ...common,
        check: (rows) =>
          checkRowKind(
            "align",
            rows,
            "readUnpaired",
            "promptIds",
            "completionIds",
            "mismatchedIds",
          ),
        async prepare(trainee, rows, held, isNew) {
          const reference = referenceOf(options, trainee);
          const found = await referenced(options, settings, trainee, reference, rows, held, isNew);
          const own = unpairedOptions(loss, settings);
          return { ...found, objective: unpairedObjective({ policy: trainee.policy, ...own }) };
        },
      },
      options,
      given as GivenRows<UnpairedRow>,
      evaluation as GivenRows<UnpairedRow> | undefined,
    );
  }
  return trainRun<PreferenceRow, ReferencedPair>(
    {
      ...common,
      check: (rows) =>
        checkRowKind("align", rows, "readPreferences", "promptIds", "chosenIds", "rejectedIds"),
      async prepare(trainee, rows, held, isNew) {
        const reference = referenceOf(options, trainee);
        const found = await referenced(options, settings, trainee, reference, rows, held, isNew);
        const floor = await floorOf(options, settings, trainee, rows, held);
        const own = pairOptions(loss, settings, floor, reference);
        const objective = preferenceObjective({ policy: trainee.policy, ...own });
        const of = (given: Rows<ReferencedPair>) => sentenced(options, loss, given);
        return {
          rows: of(found.rows),
          held: found.held && of(found.held),
          objective: objective as AnyObjective<never, ReferencedPair>,
          comparesWithStart:
            own.reference !== undefined &&
            share(own.reference.parameters, trainee.policy.parameters),
        };
      },
    },
    options,
    given as GivenRows<PreferenceRow>,
    evaluation as GivenRows<PreferenceRow> | undefined,
  );
}

const hasSentences = (loss: AlignOptions["loss"]): boolean =>
  comparingIn(loss as LossChoice).includes("aspo");

/** Rejects what the division into sentences cannot be made with, or does not need. */
function checkSentences(
  { lm, similarity, images, completions, evaluation }: AlignOptions,
  { lossOptions: own = {} }: Settings,
  loss: NonNullable<AlignOptions["loss"]>,
): void {
  if (completions !== undefined || !hasSentences(loss)) {
    const given = { similarity, images };
    for (const [name, value] of Object.entries(given)) {
      if (value !== undefined) throw new TypeError(`align: ${name} is for the loss aspo`);
    }
    return;
  }
  const { tokenizer } = lm;
  if (!tokenizer) {
    throw new TypeError(
      "align: aspo divides completions into sentences: the model needs a tokenizer",
    );
  }
  withSentences(rowsOf<ReferencedPair>([]), tokenizer, present({ similarity, images }));
  if (images !== undefined && evaluation !== undefined) {
    throw new TypeError("align: images are those of pairs: hold rows of them out with evalShare");
  }
  const { alpha } = Array.isArray(loss) ? ((own.aspo ?? {}) as LossConfig) : own;
  if (alpha !== undefined && similarity === undefined) {
    throw new TypeError(
      "align: alpha of aspo is the similarity's share: give similarity, a function",
    );
  }
}

/** Rows with sentences, where the loss takes them. */
function sentenced(
  { lm, similarity, images }: AlignOptions,
  loss: NonNullable<AlignOptions["loss"]>,
  rows: Rows<ReferencedPair>,
): Rows<ReferencedPair> {
  if (!hasSentences(loss)) return rows;
  return withSentences(rows, lm.tokenizer!, present({ similarity, images }));
}

function isUnpairedLoss(loss: AlignOptions["loss"], given: boolean): boolean {
  const names: readonly string[] = UNPAIRED;
  const own = Array.isArray(loss) && loss.length === 1 ? loss[0] : loss;
  const isNamed = typeof own === "string" && names.includes(own);
  if (isNamed || !given) return isNamed;
  const shown = Array.isArray(loss) ? loss.join(" with ") : describeValue(loss);
  throw new TypeError(
    `align: completions are for the losses ${UNPAIRED.join(" and ")}, each alone, got ${shown}; other losses need pairs`,
  );
}

type Present<T> = { readonly [Name in keyof T]?: Exclude<T[Name], undefined> };

/** Options without those that are undefined. */
const present = <T extends object>(options: T): Present<T> =>
  Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Present<T>;

function unpairedOptions(loss: AlignOptions["loss"], settings: Settings) {
  const { beta, desirableWeight, undesirableWeight, batchSemantics } = settings;
  const [name] = [loss].flat() as UnpairedLoss[];
  const { desirable_weight, undesirable_weight, beta: _, ...others } = lossOptions(settings);
  const other = settings.spo === false ? Object.keys(others)[0] : "spo";
  if (other !== undefined) {
    throw new TypeError(`align: ${other} is for losses of pairs, not for ${name}`);
  }
  return present({ loss: name!, beta, desirableWeight, undesirableWeight, batchSemantics });
}

/** What a pairs' objective is made with. @param optimum v*, where it is what fine-tuning reaches. */
function pairOptions(
  loss: AlignOptions["loss"],
  settings: Settings,
  optimum: number | null,
  reference: Policy<unknown>,
) {
  checkLossChoice("align", loss);
  const spo = spoOf(settings, optimum);
  const names = Array.isArray(loss) && loss.length === 1 ? loss[0] : loss;
  const all = lossOptions(settings);
  const own = settings.lossOptions ?? {};
  const unnamed = Object.keys(all).find((name) => !(name in own));
  if (typeof loss === "function" && unnamed !== undefined) {
    throw new TypeError(
      `align: ${unnamed} is for losses by name; options of a function are lossOptions`,
    );
  }
  return {
    loss: names as LossChoice,
    lossOptions: all,
    ...(comparingIn(names as LossChoice).length > 0 && { reference }),
    batchSemantics: settings.batchSemantics,
    seed: settings.seed,
    ...(spo && { spo }),
  };
}

function lossOptions(settings: Settings): LossConfig {
  return present({
    beta: settings.beta,
    label_smoothing: settings.labelSmoothing,
    loss_weights: settings.lossWeights,
    f_divergence_type: settings.fDivergenceType,
    f_alpha_divergence_coef: settings.fAlphaDivergenceCoef,
    discopop_tau: settings.discopopTau,
    simpo_gamma: settings.simpoGamma,
    cpo_alpha: settings.cpoAlpha,
    desirable_weight: settings.desirableWeight,
    undesirable_weight: settings.undesirableWeight,
    use_weighting: settings.useWeighting || undefined,
    ...settings.lossOptions,
  });
}

/** Whether v* is what fine-tuning reaches. */
const wantsOptimum = ({ spo, spoFloor }: Settings): boolean =>
  spo !== false && (spoFloor ?? (spo === "dual" ? "optimum" : "reference")) === "optimum";

function spoOf(settings: Settings, optimum: number | null): SpoOptions | undefined {
  const { spo, spoGamma: gamma, spoDualRate: dualRate, spoDamping: damping } = settings;
  if (spo === false) return undefined;
  const { spoEpsilon: epsilon, spoEta: eta, spoAlpha: alpha, spoFloor } = settings;
  if (settings.spoFloorSteps !== undefined && !wantsOptimum(settings)) {
    throw new TypeError('align: spo: floorSteps are of the floor "optimum"');
  }
  const floor = wantsOptimum(settings) ? optimum! : (spoFloor as SpoOptions["floor"]);
  const own = { epsilon, dualRate, damping, eta, alpha, floor };
  if (spo === "dual" && typeof gamma === "number") {
    throw new TypeError(
      `align: spo: with dual γ moves by itself; for a γ of ${gamma} give the method penalty`,
    );
  }
  if (spo !== "dual" && gamma === "dual") {
    throw new TypeError(`align: spo: a dual γ is not for the method ${spo}`);
  }
  if (spo === "dual") return present({ ...own, gamma: "dual" });
  if (spo === "hinge") return present({ ...own, gamma, hinge: true });
  if (spo === "penalty") return present({ ...own, gamma });
  return present({ ...own, method: spo, gamma });
}

/** Whether trees have a tensor in common. */
function share(one: unknown, other: unknown): boolean {
  const own = new Set(treeLeaves(one));
  return treeLeaves(other).some((t) => own.has(t));
}

/** The reference model: the one that is given, or what is trained as it is before. */
function referenceOf<P>({ reference, lm }: AlignOptions, trainee: Trainee<P>): Policy<unknown> {
  const parameters = trainee.whole(trainee.policy.parameters);
  return fullPolicy(reference ?? { model: lm.model, parameters }) as Policy<unknown>;
}

/** Rows with the reference's log-probabilities, which the policy must start at. */
async function referenced<P, R extends PreferenceRow | UnpairedRow>(
  { reference, cache, signal, observer }: AlignOptions,
  { evalBatchSize: batchSize }: Settings,
  trainee: Trainee<P>,
  policy: Policy<unknown>,
  rows: Rows<R>,
  held: Rows<R> | null,
  isNew: boolean,
) {
  const count = rows.length + (held?.length ?? 0);
  const of = (own: Rows<R>, before: number) =>
    withReferences(own, {
      policy,
      batchSize,
      ...(cache !== undefined && { cache }),
      onProgress(done) {
        observer?.references?.(before + done, count);
        if (signal?.aborted) throw new Stopped();
      },
    });
  const found = await of(rows, 0);
  const foundHeld = held && (await of(held, rows.length));
  if (found.cached !== null) {
    observer?.notice?.(
      found.cached
        ? "the reference's log-probabilities were in the cache"
        : "the reference's log-probabilities are kept in the cache",
    );
  }
  if (isNew && !reference) await checkReferences(found.rows, { policy: trainee.policy });
  return { rows: found.rows, held: foundHeld?.rows ?? null };
}

/** v*, where it is what fine-tuning reaches; kept in the cache. */
async function floorOf<P>(
  { cache, signal, observer }: AlignOptions,
  settings: Settings,
  { policy, adapter }: Trainee<P>,
  rows: Rows<PreferenceRow>,
  heldOut: Rows<PreferenceRow> | null,
): Promise<number | null> {
  if (!wantsOptimum(settings)) return null;
  const { batchSize, gradientAccumulationSteps, seed, epochs, maxSteps } = settings;
  const perEpoch = Math.ceil(rows.length / (batchSize * gradientAccumulationSteps));
  const { floor, step, cached } = await optimumFloor(rows, {
    policy,
    steps: settings.spoFloorSteps ?? Math.ceil((maxSteps ?? epochs * perEpoch) / 2),
    // Of TRL's supervised trainer; an adapter's is ten times that of a whole model.
    learningRate: adapter(policy.parameters) ? 2e-4 : 2e-5,
    batchSize,
    seed,
    ...(heldOut && { heldOut }),
    ...(cache !== undefined && { cache }),
    onProgress(done, steps) {
      observer?.floor?.(done, steps);
      if (signal?.aborted) throw new Stopped();
    },
  });
  const from = cached ? ", from the cache" : heldOut ? `, reached at step ${step}` : "";
  observer?.notice?.(`v* is ${floor} nats per token${from}`);
  return floor;
}
