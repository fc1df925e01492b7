/**
 * Reading a `config.json`. Every key is either read by the family, known to change no formula, or an
 * error: a model never runs with a formula that is silently another one.
 * @module
 */

import { describeValue } from "../../checks.js";

/** The contents of a `config.json`. */
export type ConfigJson = Readonly<Record<string, unknown>>;

/**
 * Keys that say how to train, store or sample, and nothing about the forward pass. Old files of transformers say here
 * how to sample.
 */
const HARMLESS: ReadonlySet<string> = new Set([
  "_attn_implementation_autoset",
  "_name_or_path",
  "_sliding_window_pattern",
  "architectures",
  "attention_dropout",
  "attn_pdrop",
  // Where the code of a family was before transformers had it.
  "auto_map",
  "bos_token_id",
  "cache_implementation",
  "chunk_size_feed_forward",
  "diversity_penalty",
  "do_sample",
  "dtype",
  "embd_pdrop",
  "encoder_no_repeat_ngram_size",
  "eos_token_id",
  "finetuning_task",
  "hidden_dropout",
  "id2label",
  "initializer_range",
  "is_llama_config",
  "label2id",
  "length_penalty",
  "max_length",
  "max_new_tokens",
  "max_window_layers",
  "min_length",
  "min_p",
  "model_type",
  "n_ctx",
  "n_special",
  "no_repeat_ngram_size",
  "num_beam_groups",
  "num_beams",
  "num_return_sequences",
  "pad_token_id",
  "predict_special_tokens",
  "prefix",
  "pretraining_tp",
  "problem_type",
  "repetition_penalty",
  "resid_pdrop",
  "return_dict",
  "summary_activation",
  "summary_first_dropout",
  "summary_proj_to_labels",
  "summary_type",
  "summary_use_proj",
  "task_specific_params",
  "temperature",
  "tokenizer_class",
  "top_k",
  "top_p",
  "torch_dtype",
  "transformers.js_config",
  "transformers_version",
  "typical_p",
  "unk_token_id",
  "unsloth_fixed",
  "unsloth_version",
  "use_cache",
]);

/** More than any model has. */
const MOST_LAYERS = 10_000;

/** Keys that change nothing at these values. */
const DEFAULTS: ConfigJson = { is_causal: true, pruned_heads: {} };

/** Reads keys of a config and remembers which. */
export class ConfigReader {
  private readonly seen = new Set<string>();

  constructor(
    private readonly json: ConfigJson,
    private readonly where = "config.json",
  ) {}

  /** Whether the key is there and not null. */
  has(key: string): boolean {
    return this.json[key] !== undefined && this.json[key] !== null;
  }

  /** Whether the key is there, null included. */
  mentions(key: string): boolean {
    return this.json[key] !== undefined;
  }

  /** A positive integer. Without a default it must be there. */
  integer(key: string, fallback?: number): number {
    const value = this.take(key, fallback);
    if (Number.isSafeInteger(value) && (value as number) > 0) return value as number;
    throw this.wrong(key, value, "a positive integer");
  }

  /** A number of layers: few enough that their tensors can be listed, whatever a file says. */
  layerCount(key: string, fallback?: number): number {
    const count = this.integer(key, fallback);
    if (count <= MOST_LAYERS) return count;
    throw this.wrong(key, count, `at most ${MOST_LAYERS}`);
  }

  /** A finite number, of which a condition may hold. Without a default it must be there. */
  number(
    key: string,
    fallback?: number,
    holds: (value: number) => boolean = () => true,
    condition = "",
  ): number {
    const value = this.take(key, fallback);
    if (typeof value === "number" && Number.isFinite(value) && holds(value)) return value;
    throw this.wrong(key, value, `a number${condition && ` ${condition}`}`);
  }

  /** A number above 0. Without a default it must be there. */
  positive(key: string, fallback?: number): number {
    return this.number(key, fallback, (value) => value > 0, "> 0");
  }

  /** True or false. */
  flag(key: string, fallback: boolean): boolean {
    const value = this.take(key, fallback);
    if (typeof value === "boolean") return value;
    throw this.wrong(key, value, "true or false");
  }

  /** One of the names of a table, as what stands there. */
  choice<T>(key: string, table: Readonly<Record<string, T>>, fallback?: string): T {
    const value = this.take(key, fallback);
    if (typeof value === "string" && Object.hasOwn(table, value)) return table[value]!;
    throw this.wrong(key, value, `one of ${Object.keys(table).join(", ")}`);
  }

  /** A list with a value a layer, or undefined where there is none. */
  list<T>(
    key: string,
    length: number,
    isItem: (item: unknown) => item is T,
  ): readonly T[] | undefined {
    const value = this.take(key, null);
    if (value === null) return undefined;
    if (Array.isArray(value) && value.length === length && value.every(isItem)) return value;
    throw this.wrong(key, value, `a list with a value for each of the ${length} layers`);
  }

  /** An object with a reader of its own, or undefined where there is none. */
  object(key: string): ConfigReader | undefined {
    const value = this.take(key, null);
    if (value === null) return undefined;
    if (typeof value === "object" && !Array.isArray(value)) {
      return new ConfigReader(value as ConfigJson, `${this.where}: ${key}`);
    }
    throw this.wrong(key, value, "an object");
  }

  /** Keys that another key makes void. */
  ignore(...keys: string[]): void {
    for (const key of keys) this.seen.add(key);
  }

  /** @throws naming a key that nothing has read and that is not known to be harmless. */
  finish(): void {
    for (const [key, value] of Object.entries(this.json)) {
      if (this.seen.has(key) || HARMLESS.has(key) || value === null) continue;
      const harmless = DEFAULTS[key] ?? false;
      if (JSON.stringify(value) === JSON.stringify(harmless)) continue;
      throw new TypeError(
        `${this.where}: "${key}": ${JSON.stringify(value)} is not supported; ` +
          "if it changes nothing for this model, take the key out of the file",
      );
    }
  }

  private take(key: string, fallback: unknown): unknown {
    this.seen.add(key);
    return this.json[key] ?? fallback;
  }

  private wrong(key: string, value: unknown, kind: string): TypeError {
    if (value === undefined) return new TypeError(`${this.where}: "${key}" is missing`);
    return new TypeError(`${this.where}: "${key}" must be ${kind}, got ${shown(value)}`);
  }
}

function shown(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : describeValue(value);
}
