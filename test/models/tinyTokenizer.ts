/**
 * Tokenizers of a few hundred tokens, in the format of `tokenizer.json`, whose merges show where words end.
 */

/** The parts of a `tokenizer.json` that a test sets. */
export interface TokenizerParts {
  /** Pairs to merge, in order, as `"a b"`. */
  readonly merges?: readonly string[];
  readonly added?: readonly ({ readonly content: string } & Record<string, unknown>)[];
  readonly normalizer?: object;
  readonly preTokenizer?: object;
  readonly postProcessor?: object;
  readonly decoder?: object;
  readonly model?: object;
}

const printable = (byte: number): boolean =>
  (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
let next = 0x100;
/** The characters of byte-level vocabularies, by the bytes they stand for. */
export const BYTE_CHARACTERS: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  String.fromCharCode(printable(byte) ? byte : next++),
);

const SPLIT = { type: "Split", invert: false } as const;
/** A step that cuts a text at a regular expression. */
export const split = (Regex: string, behavior: string, more = {}) => ({
  ...SPLIT,
  pattern: { Regex },
  behavior,
  ...more,
});
/** Bytes of words as GPT-2 has them. */
export const WORDS = {
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: true,
};
/** Bytes without words. */
export const BYTES = { ...WORDS, use_regex: false };
/** Steps one after the other. */
export const steps = (...pretokenizers: object[]) => ({ type: "Sequence", pretokenizers });

function json(base: readonly string[], parts: TokenizerParts, defaults: TokenizerParts) {
  const merges = (parts.merges ?? []).map((pair) => pair.split(" "));
  const tokens = [...base, ...merges.map((pair) => pair.join(""))];
  const added = (parts.added ?? []).map((token, i) => ({
    id: tokens.length + i,
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    ...token,
  }));
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: parts.normalizer ?? defaults.normalizer ?? null,
    pre_tokenizer: parts.preTokenizer ?? defaults.preTokenizer ?? null,
    post_processor: parts.postProcessor ?? null,
    decoder: parts.decoder ?? defaults.decoder,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
      ...defaults.model,
      ...parts.model,
    },
  };
}

/** As GPT-2's, whose 256 first tokens are bytes. */
export function byteLevel(parts: TokenizerParts = {}) {
  return json(BYTE_CHARACTERS, parts, {
    preTokenizer: WORDS,
    decoder: WORDS,
  });
}

/** As Llama 2's: `<unk>`, then 256 tokens for bytes, then `▁` and small letters. */
export function byteFallback(parts: TokenizerParts = {}) {
  const bytes = BYTE_CHARACTERS.map(
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
  return json(["<unk>", ...bytes, "▁", ..."abcdefghijklmnopqrstuvwxyz"], parts, {
    preTokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: { unk_token: "<unk>", fuse_unk: true, byte_fallback: true },
  });
}

/** The files of a tokenizer by name. */
export function tokenizerFiles(json: object, config?: object, template?: string) {
  const bytes = (text: string) => new TextEncoder().encode(text);
  return {
    "tokenizer.json": bytes(JSON.stringify(json)),
    ...(config && { "tokenizer_config.json": bytes(JSON.stringify(config)) }),
    ...(template !== undefined && { "chat_template.jinja": bytes(template) }),
  };
}
