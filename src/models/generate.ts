/**
 * Writing text with a language model.
 * @module
 */

import { checkCount, checkFlag, checkOptions, describeValue } from "../checks.js";
import { randomGenerator } from "../tensor/random.js";
import type { GenerationConfig } from "./generationConfig.js";
import type { LanguageModel } from "./languageModel.js";
import { nextLogits } from "./nextLogits.js";
import { checkSampling, chooseToken, type SamplingOptions } from "./sampling.js";
import { type TokenDecoder, WrittenText } from "./writtenText.js";

/** Options of {@link generate} and {@link generateStream}. */
export interface GenerateOptions extends SamplingOptions {
  /** Tokens to write after each prompt, at most. */
  readonly maxNewTokens: number;
  /**
   * Of the draws, default 0. One seed gives each prompt random numbers by its place; a list has a seed for each prompt,
   * whose numbers are the same wherever in a batch it is.
   */
  readonly seed?: number | string | readonly (number | string)[] | undefined;
  /**
   * A token, or several, each of which ends a prompt's continuation, and is its last token. Default: those of
   * `generationConfig`; without that, none, and every continuation has `maxNewTokens`.
   */
  readonly stopTokens?: number | Iterable<number> | undefined;
  /** A loaded model's. Only its `eosTokenIds` are used, where `stopTokens` are not given: nothing of it makes draws. */
  readonly generationConfig?: Pick<GenerationConfig, "eosTokenIds"> | undefined;
  /** A string, or several, each of which ends a continuation with the token that completes it; they need a tokenizer. */
  readonly stopStrings?: string | readonly string[] | undefined;
  /** Makes text of the tokens written: for stop strings, and the text of a stream. Default: none. */
  readonly tokenizer?: TokenDecoder | null | undefined;
  /**
   * Whether a stream's text is without special tokens, as an end token's `<|im_end|>`. Default true. Ids are the same, and
   * stop strings are sought in the text with them.
   */
  readonly skipSpecialTokens?: boolean | undefined;
}

/** A token that {@link generateStream} wrote. */
export interface GeneratedToken {
  /** The prompt's place. */
  readonly row: number;
  readonly token: number;
  /**
   * The characters that the token completes; those of all tokens are the continuation's text. Empty without a
   * tokenizer.
   */
  readonly text: string;
  /** log p(token | text before it) in nats, of the model's own logits, before penalty and temperature. */
  readonly logProb: number;
}

/**
 * Continues every prompt, all in one batch. A model that keeps keys and values ({@link CachedDecoding}) computes
 * every token once; another one computes the whole texts for each token. The tokens are the same. A prompt's likeliest
 * tokens are the same alone and in a batch, and so are draws from a seed of its own. Ties go to the lower token.
 *
 * @param prompts Lists of ids, at least one id each.
 * @returns the new tokens of each prompt, without the prompt.
 * @throws (the returned promise rejects) for an empty prompt, ids outside the vocabulary, prompts that with the new
 * tokens exceed the context, options out of range, or logits that are NaN.
 * @example await generate(model, parameters, [[1, 2, 3], [4]], { maxNewTokens: 8, stopTokens: 0 });
 */
export async function generate<P>(
  model: LanguageModel<P>,
  parameters: P,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): Promise<number[][]> {
  const settled = checkGenerate(model.config, prompts, options);
  const written: number[][] = prompts.map(() => []);
  for await (const { row, token } of tokens(model, parameters, prompts, settled)) {
    written[row]!.push(token);
  }
  return written;
}

/**
 * {@link generate}, token by token: in each turn one of every prompt that goes on, in the prompts' order. Leaving the
 * loop gives the cache's memory back.
 *
 * @example
 * const options = { maxNewTokens: 64, tokenizer };
 * for await (const { text } of generateStream(model, parameters, [ids], options)) show(text);
 */
export function generateStream<P>(
  model: LanguageModel<P>,
  parameters: P,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): AsyncGenerator<GeneratedToken, void, undefined> {
  return tokens(model, parameters, prompts, checkGenerate(model.config, prompts, options));
}

async function* tokens<P>(
  model: LanguageModel<P>,
  parameters: P,
  prompts: readonly (readonly number[])[],
  options: SettledOptions,
): AsyncGenerator<GeneratedToken, void, undefined> {
  const { maxNewTokens, stopTokens, stopStrings, seeds, tokenizer, skipSpecialTokens } = options;
  const rows = prompts.map((prompt, row) => ({
    row,
    text: [...prompt],
    shown: tokenizer && new WrittenText(tokenizer, prompt, [], skipSpecialTokens),
    sought:
      tokenizer && stopStrings.length > 0 ? new WrittenText(tokenizer, prompt, stopStrings) : null,
    random: randomGenerator(seeds[row]!),
  }));
  const texts = rows.map((row) => row.text);
  const longest = prompts.reduce((most, prompt) => Math.max(most, prompt.length), 0);
  const logits = nextLogits(model, parameters, prompts.length, longest + maxNewTokens);
  let running = rows;
  try {
    for (let made = 1; made <= maxNewTokens && running.length > 0; made++) {
      const found = await logits.after(texts);
      const chosen = running.map(({ row, text, shown, sought, random }) => {
        const { values, logSumExp } = found[row]!;
        const token = chooseToken(values, text, options, random);
        text.push(token);
        const isLast = made === maxNewTokens || stopTokens.has(token);
        const ends = sought?.push(token, isLast).stops || isLast;
        const read = shown?.push(token, ends);
        const logProb = values[token]! - logSumExp;
        return { row, token, text: read?.text ?? "", logProb, ends };
      });
      running = running.filter((_, i) => !chosen[i]!.ends);
      for (const { row, token, text, logProb } of chosen) yield { row, token, text, logProb };
    }
  } finally {
    logits.dispose();
  }
}

/** Options whose lists were read once. */
interface SettledOptions extends GenerateOptions {
  readonly stopTokens: ReadonlySet<number>;
  readonly stopStrings: readonly string[];
  /** One a prompt. */
  readonly seeds: readonly (number | string)[];
  readonly skipSpecialTokens: boolean;
}

function listOf<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value as T];
}

/** The ids of a token or of several. */
function idsOf(option: string, value: unknown): ReadonlySet<number> {
  const several = typeof value === "object" && value !== null && Symbol.iterator in value;
  const ids = new Set(several ? (value as Iterable<number>) : [value as number]);
  for (const id of ids) {
    if (Number.isInteger(id)) continue;
    throw new TypeError(`generate: ${option} must be ids, got ${describeValue(id)}`);
  }
  return ids;
}

function stopTokensOf({ stopTokens, generationConfig }: GenerateOptions): ReadonlySet<number> {
  const wanted = stopTokens === undefined ? new Set<number>() : idsOf("stopTokens", stopTokens);
  if (generationConfig === undefined) return wanted;
  const own = idsOf("generationConfig.eosTokenIds", generationConfig?.eosTokenIds);
  return stopTokens === undefined ? own : wanted;
}

/** A seed for each prompt. */
function seedsOf(seed: GenerateOptions["seed"] = 0, prompts: number): readonly (number | string)[] {
  const several = Array.isArray(seed);
  const wrong = listOf(seed).find((one) => typeof one !== "number" && typeof one !== "string");
  if (wrong !== undefined || (several && seed.length !== prompts)) {
    throw new TypeError(
      "generate: seed must be a number or a string, or a list of one for each of the " +
        `${prompts} prompts, got ${wrong === undefined ? `${listOf(seed).length}` : describeValue(wrong)}`,
    );
  }
  return several ? seed : Array.from({ length: prompts }, (_, row) => `${seed} ${row}`);
}

/** Rejects what cannot be generated, and settles the options. */
function checkGenerate(
  config: LanguageModel<unknown>["config"],
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): SettledOptions {
  checkOptions(
    "generate",
    options,
    "maxNewTokens",
    "temperature",
    "topK",
    "topP",
    "minP",
    "repetitionPenalty",
    "seed",
    "stopTokens",
    "generationConfig",
    "stopStrings",
    "tokenizer",
    "skipSpecialTokens",
  );
  const { maxNewTokens, tokenizer, skipSpecialTokens = true } = options;
  checkCount("generate", "maxNewTokens", maxNewTokens);
  checkSampling("generate", options);
  checkFlag("generate", "skipSpecialTokens", skipSpecialTokens);
  const stopTokens = stopTokensOf(options);
  const stopStrings = listOf(options.stopStrings);
  if (!stopStrings.every((text) => typeof text === "string" && text !== "")) {
    throw new TypeError("generate: stopStrings must be strings that are not empty");
  }
  if (stopStrings.length > 0 && !tokenizer) {
    throw new TypeError("generate: stopStrings need the option tokenizer, { decode(ids) }");
  }
  if (tokenizer && typeof tokenizer.decode !== "function") {
    throw new TypeError("generate: tokenizer must have a function decode(ids)");
  }
  checkPrompts(config, prompts, maxNewTokens);
  const seeds = seedsOf(options.seed, prompts.length);
  return { ...options, stopTokens, stopStrings, seeds, skipSpecialTokens };
}

function isArrayOfIds(prompt: unknown): prompt is readonly number[] {
  return Array.isArray(prompt) || ArrayBuffer.isView(prompt);
}

/** Rejects what cannot be continued. */
function checkPrompts(
  { vocabularySize, contextLength }: LanguageModel<unknown>["config"],
  prompts: readonly (readonly number[])[],
  maxNewTokens: number,
): void {
  if (!Array.isArray(prompts)) {
    throw new TypeError(
      `generate: prompts must be an array of arrays of ids, got ${describeValue(prompts)}`,
    );
  }
  for (const [row, prompt] of prompts.entries()) {
    if (!isArrayOfIds(prompt)) {
      throw new TypeError(
        `generate: prompts must be an array of arrays of ids, got ${describeValue(prompt)} at ${row}; ` +
          "one prompt is [[1, 2, 3]], and a text is tokenized first",
      );
    }
    if (prompt.length === 0) {
      throw new RangeError(`generate: prompt ${row} is empty; it needs at least one token`);
    }
    const wrong = prompt.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
    if (wrong !== undefined) {
      throw new RangeError(
        `generate: id ${wrong} of prompt ${row} is outside the vocabulary 0 … ${vocabularySize - 1}`,
      );
    }
    if (prompt.length + maxNewTokens > contextLength) {
      throw new RangeError(
        `generate: prompt ${row} (${prompt.length} tokens) and ${maxNewTokens} new tokens exceed the ` +
          `context of ${contextLength}`,
      );
    }
  }
}
