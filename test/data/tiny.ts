/**
 * A tokenizer whose tokens are bytes and a few merged words, with what tests of data read it by.
 */

import { loadTokenizer, type Tokenizer } from "../../src/models/index.js";
import { byteLevel, split, tokenizerFiles } from "../models/tinyTokenizer.js";

/** A conversation as `<user>Hi<e>\n<assistant>Ho<e>\n`: there is a newline behind the last EOS. */
export const CHAT =
  "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}\n{% endfor %}" +
  "{% if add_generation_prompt %}<assistant>{% endif %}";

/** What differs from tokenizer to tokenizer. */
export interface TinyParts {
  readonly merges?: readonly string[];
  /** Whether every text begins with `<s>`. Default false. */
  readonly bos?: boolean;
  /** Whether there is an EOS. Default true. */
  readonly eos?: boolean;
  /** Null for none. */
  readonly template?: string | null;
}

export function tiny({ merges = [], bos = false, eos = true, template = CHAT }: TinyParts = {}) {
  const start = 256 + merges.length;
  const json = byteLevel({
    merges,
    added: [{ content: "<s>" }, { content: "<e>" }],
    // Words with the space before them, and digits one by one.
    preTokenizer: {
      type: "Sequence",
      pretokenizers: [
        split("\\d| ?\\p{L}+| ?[^\\s\\p{L}\\d]+|\\s+", "Isolated"),
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    ...(bos && {
      postProcessor: {
        type: "TemplateProcessing",
        single: [
          { SpecialToken: { id: "<s>", type_id: 0 } },
          { Sequence: { id: "A", type_id: 0 } },
        ],
        pair: [],
        special_tokens: { "<s>": { id: "<s>", ids: [start], tokens: ["<s>"] } },
      },
    }),
  });
  const config = { bos_token: bos ? "<s>" : null, eos_token: eos ? "<e>" : null };
  return loadTokenizer(tokenizerFiles(json, config, template ?? undefined));
}

/** Each token's text, with bars between them. */
export const shown = (tokenizer: Tokenizer, ids: ArrayLike<number>): string =>
  Array.from(ids, (id) => tokenizer.decode([id])).join("|");

/** Every row. */
export const all = <Row>({ length, read }: { length: number; read(i: number[]): Promise<Row> }) =>
  read(Array.from({ length }, (_, i) => i));

export const user = (content: string) => ({ role: "user", content });
export const assistant = (content: string) => ({ role: "assistant", content });
