/**
 * How a model's makers let it write: `generation_config.json`.
 * @module
 */

import { describeValue } from "../checks.js";
import { type ConfigJson, ConfigReader } from "./families/configReader.js";

/** What `generation_config.json` says, with transformers' defaults. Numbers are those that {@link generate} takes. */
export interface GenerationConfig {
  /** Tokens that end a text; none is possible. */
  readonly eosTokenIds: readonly number[];
  readonly bosTokenId: number | undefined;
  readonly padTokenId: number | undefined;
  /** Whether tokens are drawn (true), or always the likeliest (false, the default). */
  readonly doSample: boolean;
  /** Of draws; default 1. */
  readonly temperature: number;
  /** Default 50; undefined for all tokens, which the file calls 0. */
  readonly topK: number | undefined;
  /** Default 1: all tokens. */
  readonly topP: number;
  /** Default undefined: all tokens. */
  readonly minP: number | undefined;
  /** Default 1: none. */
  readonly repetitionPenalty: number;
  readonly maxNewTokens: number | undefined;
}

const FILE = "generation_config.json";

/**
 * Reads `generation_config.json`. Tokens that it does not name are those of `config.json`. Where there is no such file,
 * `config.json` says all: old files do.
 * @throws for a value of the wrong type or out of its range.
 */
export function readGenerationConfig(file: ConfigJson | null, model: ConfigJson): GenerationConfig {
  const json = file ?? model;
  const read = new ConfigReader(json, file ? FILE : "config.json");
  const ids = (key: string): readonly number[] => {
    const own = file?.[key] ?? undefined;
    const value = own ?? model[key] ?? [];
    const list: unknown[] = Array.isArray(value) ? value : [value];
    if (list.every((id) => Number.isInteger(id) && (id as number) >= 0)) return list as number[];
    // Llama's files say so that there is none.
    if (key === "pad_token_id" && value === -1) return [];
    throw new TypeError(
      `${own === undefined ? "config.json" : FILE}: "${key}" must be a token or a list of tokens, got ${describeValue(value)}`,
    );
  };
  return {
    eosTokenIds: ids("eos_token_id"),
    bosTokenId: ids("bos_token_id")[0],
    padTokenId: ids("pad_token_id")[0],
    doSample: read.flag("do_sample", false),
    temperature: read.number("temperature", 1, (t) => t >= 0, "≥ 0"),
    topK: read.number("top_k", 50, (k) => Number.isInteger(k) && k >= 0, "0, 1, 2, …") || undefined,
    topP: read.number("top_p", 1, (p) => p > 0 && p <= 1, "in (0, 1]"),
    minP: read.has("min_p")
      ? read.number("min_p", 0, (p) => p >= 0 && p <= 1, "in [0, 1]")
      : undefined,
    repetitionPenalty: read.positive("repetition_penalty", 1),
    maxNewTokens: read.has("max_new_tokens") ? read.integer("max_new_tokens") : undefined,
  };
}
