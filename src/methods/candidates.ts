/**
 * Candidates: completions sampled from a model for each of many prompts, with their rewards.
 * @module
 */

import { checkCount, describeValue } from "../checks.js";
import { type GenerateOptions, generateStream } from "../models/generate.js";
import type { LanguageModel } from "../models/languageModel.js";
import { checkSampling, type SamplingOptions } from "../models/sampling.js";
import type { Tokenizer } from "../models/tokenizer.js";
import type { TokenDecoder } from "../models/writtenText.js";
import { turn } from "../training/turn.js";
import { type Reward, rewardsOf } from "./reward.js";

/** What a prompt is: a text where the model has a tokenizer, else the ids of its tokens. */
export type PromptText = string | readonly number[];

/** What of a tokenizer sampling needs. */
export type TextTokenizer = Pick<Tokenizer, "encode"> & TokenDecoder;

/** A model to sample from: what {@link loadModel} gives, or any model with its parameters. */
export interface SampledModel<P> extends Pick<GenerateOptions, "generationConfig"> {
  readonly model: LanguageModel<P>;
  readonly parameters: P;
  /** Makes texts of ids; without one, prompts and completions are ids. */
  readonly tokenizer?: TextTokenizer | null;
}

/** How candidates are sampled. */
export interface CandidateOptions extends SamplingOptions {
  /** Candidates of each prompt. */
  readonly samples: number;
  /** Tokens of a candidate, at most. */
  readonly maxNewTokens: number;
  /** Default those of the model's `generationConfig`; without that, none, and every candidate has `maxNewTokens`. */
  readonly stopTokens?: GenerateOptions["stopTokens"];
  /** Candidates that are sampled together; default 32. It changes no draw. */
  readonly samplingBatchSize?: number;
}

/** The names of {@link CandidateOptions}. */
export const CANDIDATE_OPTIONS = [
  "samples",
  "maxNewTokens",
  "stopTokens",
  "samplingBatchSize",
  "temperature",
  "topK",
  "topP",
  "minP",
  "repetitionPenalty",
] as const;

/** A prompt as the model reads it, and as rewards do. */
export interface Prompt<Text> {
  readonly ids: readonly number[];
  readonly text: Text;
}

/** A prompt's candidates. */
export interface Candidates<Text> {
  /** The prompt's place. */
  readonly index: number;
  readonly prompt: Prompt<Text>;
  readonly completionIds: readonly (readonly number[])[];
  readonly completions: readonly Text[];
  readonly rewards: readonly number[];
}

/** Prompts as the model reads them. @throws for prompts of another kind, empty ones, and those that leave no room. */
export function promptsOf<Text extends PromptText>(
  caller: string,
  {
    model: { config },
    tokenizer,
  }: Pick<SampledModel<unknown>, "tokenizer"> & {
    readonly model: Pick<LanguageModel<unknown>, "config">;
  },
  prompts: readonly Text[],
  maxNewTokens: number,
): readonly Prompt<Text>[] {
  if (!Array.isArray(prompts) || prompts.length === 0) {
    throw new TypeError(
      `${caller}: prompts must be a list of at least one, got ${describeValue(prompts)}`,
    );
  }
  return prompts.map((text: Text, i) => {
    if ((typeof text === "string") !== Boolean(tokenizer)) {
      throw new TypeError(
        `${caller}: prompts are ${tokenizer ? "texts, since the model has a tokenizer" : "lists of ids, since the model has no tokenizer"}, ` +
          `got ${describeValue(text)} at ${i}`,
      );
    }
    const ids: readonly number[] = typeof text === "string" ? tokenizer!.encode(text) : text;
    if (ids.length > 0 && ids.length + maxNewTokens <= config.contextLength) return { ids, text };
    throw new RangeError(
      `${caller}: prompt ${i} has ${ids.length} tokens; it needs at least one, and with ${maxNewTokens} new ones ` +
        `(maxNewTokens) at most ${config.contextLength}, the model's context`,
    );
  });
}

/** Checks how candidates are sampled. */
export function checkCandidates(caller: string, options: CandidateOptions): void {
  const { samples, maxNewTokens, samplingBatchSize = 32 } = options;
  checkCount(caller, "samples", samples, 1);
  checkCount(caller, "maxNewTokens", maxNewTokens, 1);
  checkCount(caller, "samplingBatchSize", samplingBatchSize, 1);
  checkSampling(caller, options);
}

/**
 * The candidates of prompts, from one place on, in their order. A candidate's draws follow from the seed, its prompt's
 * place and its own, whatever is sampled beside it. Temperature is 1 unless it is given. A signal ends them early, and a
 * reward that fails after those before it.
 */
export async function* candidatesOf<P, Text extends PromptText>(
  lm: SampledModel<P>,
  prompts: readonly Prompt<Text>[],
  reward: Reward<Text>,
  options: CandidateOptions & {
    readonly seed: number | string;
    readonly first?: number;
    readonly signal?: { readonly aborted: boolean } | undefined;
  },
): AsyncGenerator<Candidates<Text>, void, undefined> {
  const { samples, samplingBatchSize = 32, seed, first = 0, signal, ...others } = options;
  const sampling = { ...others, temperature: others.temperature ?? 1 };
  const { model, parameters, tokenizer, generationConfig } = lm;
  const together = Math.max(1, Math.floor(samplingBatchSize / samples));
  for (let from = first; from < prompts.length && !signal?.aborted; from += together) {
    const batch = prompts.slice(from, from + together);
    const asked = batch.flatMap(({ ids }, i) =>
      Array.from({ length: samples }, (_, k) => ({ ids, seed: `${seed} ${from + i} ${k}` })),
    );
    const written: number[][] = asked.map(() => []);
    for (let start = 0; start < asked.length; start += samplingBatchSize) {
      const own = asked.slice(start, start + samplingBatchSize);
      const tokens = generateStream(
        model,
        parameters,
        own.map(({ ids }) => ids),
        { ...sampling, generationConfig, seed: own.map((one) => one.seed) },
      );
      let before = -1;
      for await (const { row, token } of tokens) {
        written[start + row]!.push(token);
        if (row <= before) await turn();
        before = row;
        if (signal?.aborted) return;
      }
      await turn();
    }
    const scored = batch.map(async (prompt, i) => {
      const completionIds = written.slice(i * samples, (i + 1) * samples);
      const completions = completionIds.map(
        (ids) => (tokenizer ? tokenizer.decode(ids, { skipSpecialTokens: true }) : ids) as Text,
      );
      const rewards = await rewardsOf(reward, prompt.text, completions);
      return { index: from + i, prompt, completionIds, completions, rewards };
    });
    // Each is waited for in its turn; one that fails before that is not unheard of.
    for (const one of scored) one.catch(() => undefined);
    for (const one of scored) yield await one;
  }
}

/** Rejects what is no model to sample from. */
export function checkSampled(caller: string, lm: unknown): void {
  const { model, parameters } = (lm ?? {}) as Partial<SampledModel<unknown>>;
  if (typeof model?.hidden === "function" && parameters !== undefined) return;
  throw new TypeError(
    `${caller}: lm must be a model with its parameters, as loadModel gives it, or { model, parameters, tokenizer }, ` +
      `got ${describeValue(lm)}`,
  );
}
