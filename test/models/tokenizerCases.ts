/**
 * Texts whose tokens tell whether a step of the pipeline is Python's: merges join what a wrong step
 * leaves together. The tokens are those of the `tokenizers` package (0.23) in Python.
 */

import { BYTES, byteFallback, byteLevel, split, steps, WORDS } from "./tinyTokenizer.js";

/** A tokenizer, a text, and its tokens, as the vocabulary writes them. */
export const PIPELINES: readonly (readonly [
  what: string,
  json: object,
  text: string,
  tokens: string,
])[] = [
  [
    "words end at every white space of Unicode",
    byteLevel({ merges: ["! Â", "!Â ħ"] }),
    "!\u0085!",
    "! Â ħ !",
  ],
  [
    "a byte order mark is no white space",
    byteLevel({ merges: ["! ï", "!ï »", "!ï» ¿"] }),
    "!\ufeff",
    "!ï»¿",
  ],
  [
    "a space before the first word",
    byteLevel({
      merges: ["Ġ a"],
      preTokenizer: { ...WORDS, add_prefix_space: true },
    }),
    "a a",
    "Ġa Ġa",
  ],
  [
    "a space that is there is not doubled",
    byteLevel({
      merges: ["Ġ a"],
      preTokenizer: { ...WORDS, add_prefix_space: true },
    }),
    " a👍a",
    "Ġa ð Ł ĳ į a",
  ],
  [
    "digits of every script stand alone",
    byteLevel({
      merges: ["½ Â"],
      preTokenizer: steps({ type: "Digits", individual_digits: true }, BYTES),
    }),
    "½½2",
    "Â ½ Â ½ 2",
  ],
  [
    "digits in a row stay together",
    byteLevel({
      merges: ["1 Â", "1Â ½", "a 1"],
      preTokenizer: steps({ type: "Digits", individual_digits: false }, BYTES),
    }),
    "a1½",
    "a 1Â½",
  ],
  [
    "words of letters beyond ASCII",
    byteLevel({ merges: ["Ã ©", "Ã© !"], preTokenizer: steps({ type: "Whitespace" }, BYTES) }),
    "é! a",
    "Ã© ! a",
  ],
  [
    "words between white space",
    byteLevel({ merges: ["a Â", "aÂ ħ"], preTokenizer: steps({ type: "WhitespaceSplit" }, BYTES) }),
    "a\u0085a",
    "a a",
  ],
  [
    "punctuation, one by one",
    byteLevel({
      merges: ["! !", "! $"],
      preTokenizer: steps({ type: "Punctuation", behavior: "Isolated" }, BYTES),
    }),
    "!!$",
    "! ! $",
  ],
  [
    "punctuation in runs",
    byteLevel({
      merges: ["! !", "a !"],
      preTokenizer: steps({ type: "Punctuation", behavior: "Contiguous" }, BYTES),
    }),
    "a!!",
    "a !!",
  ],
  [
    "matches that are removed",
    byteLevel({ preTokenizer: steps(split("-", "Removed"), BYTES) }),
    "a-b--",
    "a b",
  ],
  [
    "matches alone",
    byteLevel({ preTokenizer: steps(split("[a-z]", "Removed", { invert: true }), BYTES) }),
    "a-b--",
    "a b",
  ],
  [
    "an inverted isolated split",
    byteLevel({
      merges: ["a -"],
      preTokenizer: steps(split("[a-z]", "Isolated", { invert: true }), BYTES),
    }),
    "a-b",
    "a - b",
  ],
  [
    "matches that end a piece",
    byteLevel({
      merges: ["a -", "- b", "- -"],
      preTokenizer: steps(split("-", "MergedWithPrevious"), BYTES),
    }),
    "a-b--",
    "a- b - -",
  ],
  [
    "matches that begin a piece",
    byteLevel({
      merges: ["- b", "a -", "- -"],
      preTokenizer: steps(split("-", "MergedWithNext"), BYTES),
    }),
    "a-b--b",
    "a -b - -b",
  ],
  [
    "matches in a row",
    byteLevel({ merges: ["- -", "b -"], preTokenizer: steps(split("-", "Contiguous"), BYTES) }),
    "a-b--b",
    "a - b -- b",
  ],
  [
    "words that begin with ▁",
    byteFallback({
      merges: ["a ▁", "▁ a"],
      preTokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
    }),
    "a a",
    "▁a ▁a",
  ],
  [
    "no space before the first word",
    byteFallback({
      merges: ["▁ a"],
      preTokenizer: {
        type: "Metaspace",
        replacement: "▁",
        prepend_scheme: "never",
        split: false,
      },
    }),
    "a a",
    "a ▁a",
  ],
  [
    "a space before a text that has one",
    byteFallback({
      merges: ["▁ a", "▁ ▁"],
      normalizer: {
        type: "Sequence",
        normalizers: [
          { type: "Prepend", prepend: "▁" },
          { type: "Replace", pattern: { String: " " }, content: "▁" },
        ],
      },
    }),
    " a",
    "▁ ▁a",
  ],
  [
    "white space that an added token swallows",
    byteLevel({ added: [{ content: "<end>", rstrip: true, lstrip: true }] }),
    "a \n<end>\n b",
    "a <end> b",
  ],
];
