/**
 * ASPO: pairs whose chosen completions are weighed sentence by sentence, from texts to a trained model.
 * @module
 */

import { checkCount, checkNumber, checkOptions, describeValue, isPlainObject } from "../checks.js";
import type { ReadOptions } from "../data/options.js";
import type { ReadSummary } from "../data/read.js";
import { readPreferences } from "../data/readPreferences.js";
import { type DataSource, openDataset, readRecords } from "../data/records.js";
import type { PreferenceRow, Rows } from "../data/rows.js";
import { type SentenceSimilarity, type WithSentences, withSentences } from "../data/sentences.js";
import type { AspoLossOptions } from "../losses/aspo.js";
import type { LoraOptions } from "../models/lora.js";
import type { Tokenizer } from "../models/tokenizer.js";
import type { FitState } from "../training/fitState.js";
import { batchesOf, rowsPrint } from "../training/keptNumbers.js";
import type { SpoOptions } from "../training/preferenceObjective.js";
import { differencesOf } from "../training/runSettings.js";
import { turn } from "../training/turn.js";
import { checkSampled } from "./candidates.js";
import {
  checkedTraining,
  type RoundTraining,
  type TrainedModel,
  trainedOn,
} from "./pairTraining.js";

/** A model that is trained on texts: what {@link loadModel} gives, or any with `packedHidden`, parameters and a tokenizer. */
export type AspoModel<P> = Omit<TrainedModel<P>, "tokenizer"> & {
  readonly tokenizer: Tokenizer | null;
};

/** How far {@link aspo} is. */
export interface AspoProgress {
  /** Rows whose sentences have their similarities, or steps that are trained. */
  readonly phase: "similarity" | "train";
  readonly done: number;
  readonly of: number;
  /** Of the step. */
  readonly loss?: number;
}

/** Where {@link aspo} stands, as a tree that {@link saveTree} writes and `from` takes back. */
export interface AspoState {
  /** What tells runs apart, as JSON; a run goes on only with the same. Model and similarity are not in it. */
  readonly settings: string;
  /** Similarities of rows' sentences, by the rows' numbers, as JSON. */
  readonly similarities: string;
  /** Where the training stands. */
  readonly fit: FitState | null;
}

/** Options of {@link aspo}. */
export interface AspoOptions<P> {
  /** The model; its parameters stay as they are, and are the reference. */
  readonly lm: AspoModel<P>;
  /** Pairs as {@link readPreferences} reads them: `prompt`, `chosen` and `rejected`, texts or conversations. */
  readonly data: DataSource;
  /** How they are read; default `maxLength` the model's context, at most 1024. */
  readonly reading?: Omit<ReadOptions, "cache">;
  /** How well a sentence fits the row's image, on any scale; default: sentences weigh by perplexity alone. Called once each. */
  readonly similarity?: SentenceSimilarity;
  /** The column of the images, default `"image"`; null where `similarity` looks at none. */
  readonly imageColumn?: string | null;
  /** Language of the chosen completions; default `"en"`. */
  readonly locale?: string;
  /** α in [0, 1], the similarity's share of a weight; default 0.5. Needs `similarity`. */
  readonly alpha?: number;
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** Default `"weights"`: see {@link aspoLoss}. */
  readonly normalize?: NonNullable<AspoLossOptions["normalize"]>;
  /** SPO around the loss; default: not. */
  readonly spo?: SpoOptions;
  /** Trains an adapter, which is in the weights at the end; `lm` is then what {@link loadModel} gives. Default: all parameters. */
  readonly lora?: Omit<LoraOptions, "seed">;
  /** Options of {@link fit}; `learningRate` is needed, and `seed` is of the order of rows. */
  readonly training: Omit<RoundTraining<NoInfer<P>>, "evaluation">;
  /** Of the adapter; default 0. */
  readonly seed?: number | string;
  /** A state to go on from. */
  readonly from?: AspoState;
  /** Stops it after the row or the step it is in. */
  readonly signal?: { readonly aborted: boolean };
  /** Rows between states to save while similarities are asked for; default 500. Steps are of `training.saveEvery`. */
  readonly saveEvery?: number;
  /** Is given states to save. */
  readonly onSave?: (state: AspoState) => void | Promise<void>;
  /** Hears how far it is. */
  readonly onProgress?: (progress: AspoProgress) => void | Promise<void>;
}

/** What {@link aspo} gives. */
export interface AspoResult<P> {
  /** The model's parameters; before the end those that it began with. */
  readonly parameters: P;
  /** What was found in the data. */
  readonly summary: ReadSummary;
  /** Sentences of the chosen completions, in all. */
  readonly sentences: number;
  readonly steps: number;
  /** Mean loss of the last row of the training's log; null where there was none. */
  readonly loss: number | null;
  readonly state: AspoState;
  /** False if the signal stopped it. */
  readonly done: boolean;
}

const OPTIONS = [
  "lm",
  "data",
  "reading",
  "similarity",
  "imageColumn",
  "locale",
  "alpha",
  "beta",
  "normalize",
  "spo",
  "lora",
  "training",
  "seed",
  "from",
  "signal",
  "saveEvery",
  "onSave",
  "onProgress",
] as const;

/** Most tokens of a row where nothing says how many, as in TRL. */
const MAX_LENGTH = 1024;

/**
 * Adaptive sentence-level preference optimization (ASPO; arXiv 2505.19100) in one call, a reconstruction: the paper's text was
 * not at hand. It reads pairs, divides the chosen completions into sentences ({@link withSentences}), asks `similarity` for each
 * sentence and the image of its row, once, and trains with {@link aspoLoss}, whose weights ({@link aspoWeights}) are those of the
 * policy at each step:
 *
 * `−log σ(M)`, `M = ρ Σ_i β(1 + w_i) r(s_i) − β r_l`, `w_i = α S'_i + (1 − α) PPL'_i`
 *
 * The images are the caller's affair: the model reads texts alone. Same options, same bits, on one device; a run that goes
 * on from a state ends with those of one that never stopped, and asks for nothing of rows whose similarities are in it.
 *
 * @throws (the returned promise rejects) for options that are unknown or out of range, data that cannot be read
 * ({@link DataError}), and rows without images, before anything is computed; and what the similarity and {@link fit} throw.
 * @example
 * const { parameters } = await aspo({
 *   lm, data: "pairs.jsonl", similarity: (sentence, image) => clip(sentence, image), training: { learningRate: 1e-6 },
 * });
 */
export async function aspo<P>(options: AspoOptions<P>): Promise<AspoResult<P>> {
  const { lm, signal, saveEvery = 500, seed = 0, onSave, onProgress, similarity } = options ?? {};
  const { objective, fitSettings } = checked(options);
  const tokenizer = lm.tokenizer!;
  const { rows, summary, images } = await readPairs(options, tokenizer);
  const locale = options.locale ?? "en";
  const divided = withSentences(rows, tokenizer, { locale });
  const settings = JSON.stringify({
    method: "aspo",
    locale,
    similarity: similarity !== undefined,
    ...(similarity && {
      imageColumn: options.imageColumn === undefined ? "image" : options.imageColumn,
    }),
    lossOptions: objective.lossOptions,
    spo: objective.spo,
    lora: objective.lora,
    seed,
    rows: await rowsPrint(rows),
    fit: fitSettings,
  });
  let state = firstState(options.from, settings);
  const known = new Map<number, readonly number[]>(JSON.parse(state.similarities));
  const sentences = await sentencesIn(divided);
  const result = (rest: Partial<AspoResult<P>>): AspoResult<P> => ({
    ...{ parameters: lm.parameters, summary, sentences, steps: 0, loss: null, done: false },
    ...rest,
    state,
  });
  const save = async (now: Partial<AspoState>): Promise<void> => {
    state = { ...state, ...now };
    await onSave?.(state);
  };
  const similarities = () => JSON.stringify([...known]);

  if (similarity) {
    const asked = withSentences(rows, tokenizer, { locale, similarity, ...(images && { images }) });
    for (let i = 0; i < rows.length; i++) {
      if (signal?.aborted) {
        await save({ similarities: similarities() });
        return result({});
      }
      const [{ row }] = (await rows.read([i])) as [PreferenceRow];
      if (known.has(row)) continue;
      const [own] = (await asked.read([i])) as [WithSentences<PreferenceRow>];
      known.set(row, own.similarities!);
      await onProgress?.({ phase: "similarity", done: i + 1, of: rows.length });
      if ((i + 1) % saveEvery === 0 || i + 1 === rows.length) {
        await save({ similarities: similarities() });
        await turn();
      }
    }
  }

  const { stopped, ...trained } = await trainedOn<P>({
    ...objective,
    lm,
    rows: similarity ? withKnown(divided, known) : divided,
    seed: String(seed),
    training: options.training,
    from: state.fit,
    signal,
    onStep: (done, of, loss) => onProgress?.({ phase: "train", done, of, loss }),
    onSave: (fit) => save({ fit }),
  });
  if (stopped) {
    state = { ...state, fit: stopped };
    return result({ steps: trained.steps, loss: trained.loss });
  }
  return result({ ...trained, done: true });
}

/** Checks everything before anything is read. */
function checked<P>(options: AspoOptions<P>) {
  checkOptions("aspo", options, ...OPTIONS);
  const { lm, saveEvery = 500, alpha, beta, normalize, similarity, imageColumn } = options;
  checkSampled("aspo", lm);
  if (typeof lm.tokenizer?.offsets !== "function") {
    throw new TypeError(
      `aspo: texts are divided into sentences, so lm needs a tokenizer of loadModel or loadTokenizer, got ${describeValue(lm.tokenizer)}`,
    );
  }
  checkCount("aspo", "saveEvery", saveEvery, 1);
  if (alpha !== undefined) {
    checkNumber("aspo", "alpha", alpha, (a) => a >= 0 && a <= 1, "in [0, 1]");
  }
  for (const [name, value] of Object.entries({ alpha, imageColumn })) {
    if (value === undefined || similarity !== undefined) continue;
    throw new TypeError(`aspo: ${name} is of similarity, which is not given`);
  }
  const objective = {
    loss: "aspo" as const,
    lossOptions: {
      ...(alpha !== undefined && { alpha }),
      ...(beta !== undefined && { beta }),
      ...(normalize !== undefined && { normalize }),
    },
    spo: options.spo,
    lora: options.lora,
  };
  return { objective, fitSettings: checkedTraining("aspo", lm, [objective], options.training) };
}

/** The pairs, and their images. */
async function readPairs<P>(
  { lm, data, reading = {}, similarity, imageColumn = "image" }: AspoOptions<P>,
  tokenizer: Tokenizer,
) {
  const source = similarity && imageColumn !== null ? await readTwice(data) : data;
  const maxLength = Math.min(MAX_LENGTH, lm.model.config.contextLength);
  const { rows, summary } = await readPreferences(source, tokenizer, { maxLength, ...reading });
  if (!similarity || imageColumn === null) return { rows, summary, images: undefined };
  const { split, revision, limit = Number.POSITIVE_INFINITY } = reading;
  const images: unknown[] = [];
  let names: readonly string[] = [];
  for await (const { row, value } of readRecords(
    await openDataset("aspo", source, { split, revision }),
    limit,
  )) {
    const fields = (isPlainObject(value) ? value : {}) as Readonly<Record<string, unknown>>;
    names = Object.keys(fields);
    images[row] = fields[imageColumn] ?? undefined;
  }
  const without = await rowWithout(rows, images);
  if (without === null) return { rows, summary, images };
  throw new TypeError(
    `aspo: row ${without} has no ${imageColumn} (rows have ${names.join(", ")}); imageColumn names the column, null is for a ` +
      "similarity that looks at no image",
  );
}

/** The first row without an image; null where all have one. */
async function rowWithout(
  rows: Rows<PreferenceRow>,
  images: readonly unknown[],
): Promise<number | null> {
  for await (const batch of batchesOf(rows, 256)) {
    const found = batch.find(({ row }) => images[row] === undefined);
    if (found) return found.row;
  }
  return null;
}

/** A source that can be read twice. */
async function readTwice(data: DataSource): Promise<DataSource> {
  if (typeof data !== "object" || Array.isArray(data) || ArrayBuffer.isView(data)) return data;
  if (!(Symbol.iterator in data || Symbol.asyncIterator in data)) return data;
  const all: unknown[] = [];
  for await (const one of data as AsyncIterable<unknown>) all.push(one);
  return all;
}

/** How many sentences the rows have. */
async function sentencesIn(rows: Rows<WithSentences<PreferenceRow>>): Promise<number> {
  let count = 0;
  for await (const batch of batchesOf(rows, 256)) {
    for (const { chosenSentences } of batch) count += new Set(chosenSentences).size;
  }
  return count;
}

/** Rows with the similarities that were asked for. */
function withKnown(
  rows: Rows<WithSentences<PreferenceRow>>,
  known: ReadonlyMap<number, readonly number[]>,
): Rows<WithSentences<PreferenceRow>> {
  return {
    length: rows.length,
    read: async (indices) =>
      (await rows.read(indices)).map((row) => ({ ...row, similarities: known.get(row.row)! })),
  };
}

/** The state to go on from, or the first one. */
function firstState(from: AspoState | undefined, settings: string): AspoState {
  if (!from) return { settings, similarities: "[]", fit: null };
  const differences = differencesOf(JSON.parse(from.settings), JSON.parse(settings));
  if (differences === "") return from;
  throw new TypeError(`aspo: from is of a run with other settings (${differences})`);
}
