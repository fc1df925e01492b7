/**
 * A tokenizer's files as transformers reads them, in terms that the library of tokenizers computes
 * alike. What it would compute differently is rewritten, or refused by name.
 * @module
 */

import type { ConfigJson } from "./families/configReader.js";

/** A step of the pipeline: a normalizer, pre-tokenizer, post-processor or decoder. */
interface Step {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** A token that is cut out of a text before anything else happens to it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Whether it swallows the white space before it, or after it. */
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly single_word?: boolean;
  readonly normalized?: boolean;
}

/** A `tokenizer.json`. */
export interface TokenizerJson {
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: Step | null;
  readonly pre_tokenizer: Step | null;
  readonly post_processor: Step | null;
  readonly decoder: Step | null;
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>;
    readonly [f: string]: unknown;
  };
}

/** GPT-2's words: contractions, letters, numbers, other characters, white space. */
const GPT2_WORDS =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const ANY = "[\\s\\S]";
const NORMALIZERS = ["NFC", "NFD", "NFKC", "NFKD", "Prepend", "Replace"];
const POST_PROCESSORS = ["ByteLevel", "TemplateProcessing"];
const DECODERS = ["ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "Strip"];

/**
 * The `tokenizer.json` that gives the library what transformers makes of both files.
 * @throws for what the library would compute differently.
 */
export function readTokenizerJson(file: ConfigJson, config: ConfigJson): TokenizerJson {
  const json = file as unknown as TokenizerJson;
  const model = checkedModel(json.model);
  if (config.split_special_tokens === true) refuse("split_special_tokens");
  const added_tokens = addedTokens(json, config);
  // Every list of steps is there.
  stepsOf(json.pre_tokenizer ?? null, "pretokenizers");
  return {
    added_tokens,
    model,
    normalizer: allowed("normalizer", json.normalizer, "normalizers", NORMALIZERS),
    pre_tokenizer: preTokenizer(json.pre_tokenizer ?? null),
    post_processor: allowed("post-processor", json.post_processor, "processors", POST_PROCESSORS),
    decoder: allowed("decoder", json.decoder, "decoders", DECODERS),
  };
}

/** Every step of a pipeline, those within sequences one by one. */
export function stepsOf(step: Step | null, list: string): readonly Step[] {
  if (step === null) return [];
  if (typeof step.type !== "string") malformed(`a step among its ${list} has no type`);
  if (step.type !== "Sequence") return [step];
  const steps = step[list];
  if (!Array.isArray(steps) || steps.includes(null)) malformed(`a Sequence has no list of ${list}`);
  return steps.flatMap((inner: Step) => stepsOf(inner, list));
}

/** The text of a token in `tokenizer_config.json`, which is a string or an object; null for neither. */
export function tokenText(value: unknown): string | null {
  const text = typeof value === "object" ? (value as AddedToken | null)?.content : value;
  return typeof text === "string" ? text : null;
}

function malformed(what: string): never {
  throw new TypeError(`loadTokenizer: the tokenizer's files are malformed: ${what}`);
}

function refuse(what: string): never {
  throw new TypeError(`loadTokenizer: tokenizers with ${what} are not supported`);
}

function allowed(
  part: string,
  step: Step | null | undefined,
  list: string,
  known: readonly string[],
): Step | null {
  for (const { type } of stepsOf(step ?? null, list)) {
    if (!known.includes(type)) refuse(`a ${part} ${JSON.stringify(type)}`);
  }
  return step ?? null;
}

function checkedModel(model: TokenizerJson["model"] | undefined): TokenizerJson["model"] {
  if (typeof model?.vocab !== "object" || model.vocab === null) {
    throw new TypeError("loadTokenizer: tokenizer.json has no vocabulary: model.vocab is missing");
  }
  // Files of the first years have no type.
  const type = model.type ?? (Array.isArray(model.merges) ? "BPE" : "unknown");
  if (type !== "BPE" || !Array.isArray(model.merges)) {
    refuse(`a model ${JSON.stringify(type)}, which is not byte-pair encoding ("BPE"),`);
  }
  for (const field of ["dropout", "continuing_subword_prefix", "end_of_word_suffix"]) {
    if (model[field]) refuse(`${field} in their model`);
  }
  return { ...model, type };
}

/** The tokens of both files. What only the configuration names is added as transformers adds it. */
function addedTokens(json: TokenizerJson, config: ConfigJson): readonly AddedToken[] {
  const { added_tokens: listed = [] } = json;
  const isToken = (token: AddedToken) => Number.isInteger(token?.id) && tokenText(token) !== null;
  if (!Array.isArray(listed) || !listed.every(isToken)) {
    malformed("added_tokens is no list of { id, content }");
  }
  const tokens: AddedToken[] = [...listed];
  const known = new Set(tokens.map(({ content }) => content));
  const { vocab } = json.model;
  let next = tokens.reduce((most, { id }) => Math.max(most, id + 1), Object.keys(vocab).length);
  const add = (token: Omit<AddedToken, "id">): void => {
    if (known.has(token.content)) return;
    known.add(token.content);
    tokens.push({ ...token, id: vocab[token.content] ?? next++ });
  };
  const declared = Object.entries(
    (config.added_tokens_decoder ?? {}) as Record<string, AddedToken>,
  );
  for (const [, token] of declared.sort(([a], [b]) => Number(a) - Number(b))) {
    if (tokenText(token) === null) malformed("added_tokens_decoder has a token without content");
    add(token);
  }
  const named = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((name) => `${name}_token`);
  const others = Object.keys(config).filter((key) => key.endsWith("_token"));
  const lists = [config.additional_special_tokens, config.extra_special_tokens];
  const values = [...new Set([...named, ...others])].map((key) => config[key]);
  for (const value of [...values, ...lists.flatMap((list) => Object.values(list ?? {}))]) {
    const content = tokenText(value);
    if (content !== null) add({ content, special: true });
  }
  const word = tokens.find((token) => token.single_word === true);
  if (word) refuse(`tokens that must stand alone (single_word: ${JSON.stringify(word.content)})`);
  return tokens;
}

/**
 * The library's own regular expressions know ASCII where tokenizers know Unicode, and its splits have
 * two behaviours of five. It translates the expressions of `Split` well, so all become such.
 */
function preTokenizer(step: Step | null): Step | null {
  if (step === null) return null;
  switch (step.type) {
    case "Sequence":
      return sequence((step.pretokenizers as Step[]).map((inner) => preTokenizer(inner)!));
    case "ByteLevel":
      return step.use_regex === false ? step : byteLevelWords(step);
    case "Digits":
      return split(step.individual_digits === true ? "\\p{N}" : "\\p{N}+");
    case "Metaspace":
      return metaspace(step);
    case "Punctuation":
      return behaving("[!-/:-@\\[-`{-~\\p{P}]", String(step.behavior ?? "Isolated"));
    case "Split":
      return checkedSplit(step);
    case "Whitespace":
      return matches("\\w+|[^\\w\\s]+");
    case "WhitespaceSplit":
      return matches("\\S+");
    default:
      return refuse(`a pre-tokenizer ${JSON.stringify(step.type)}`);
  }
}

const sequence = (pretokenizers: readonly Step[]): Step => ({ type: "Sequence", pretokenizers });

/** Matches and what is between them. */
const split = (regex: string): Step => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false,
});

/** Matches alone. */
const matches = (regex: string): Step => ({ ...split(regex), behavior: "Removed", invert: true });

function byteLevelWords(step: Step): Step {
  const bytes = { ...step, add_prefix_space: false, use_regex: false };
  // The space is added once, before words are told apart.
  const space = { type: "Replace", pattern: { Regex: "\\A[^ ]" }, content: " $&" };
  const words = [split(GPT2_WORDS), bytes];
  return sequence(step.add_prefix_space === true ? [space, ...words] : words);
}

function metaspace(step: Step): Step {
  const prepend_scheme =
    step.prepend_scheme ?? (step.add_prefix_space === false ? "never" : "always");
  const marked = { ...step, prepend_scheme };
  if (step.split === false) return marked;
  return sequence([marked, behaving(escaped(String(step.replacement ?? "▁")), "MergedWithNext")]);
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");

function checkedSplit(step: Step): Step {
  const { pattern, behavior, invert } = step as Step & {
    pattern: { Regex?: string; String?: string };
  };
  const regex = pattern?.Regex ?? escaped(pattern?.String ?? malformed("a Split has no pattern"));
  if (invert !== true) return behaving(regex, String(behavior));
  if (behavior === "Removed") return matches(regex);
  return behavior === "Isolated" ? split(regex) : refuse(`an inverted Split of ${behavior}`);
}

/** The pieces of a text between matches of an expression, which go where the behaviour says. */
function behaving(regex: string, behavior: string): Step {
  const match = `(?:${regex})`;
  const other = `(?:(?!${match})${ANY})`;
  switch (behavior) {
    case "Isolated":
      return split(regex);
    case "Removed":
      return matches(`${other}+`);
    case "Contiguous":
      return matches(`${match}+|${other}+`);
    case "MergedWithPrevious":
      return matches(`${other}*${match}|${other}+`);
    case "MergedWithNext":
      return matches(`${match}${other}*|${other}+`);
    default:
      return refuse(`a Split of ${behavior}`);
  }
}
