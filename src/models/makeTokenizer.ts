/**
 * A tokenizer over the two libraries that know the formats, with what they do differently from Python's
 * put right. It is loaded with the first tokenizer.
 * @module
 */

import type * as Library from "@huggingface/tokenizers";
import { checkFlag, checkOptions, describeValue, isPlainObject, nearestName } from "../checks.js";
import {
  type ChatMessage,
  type ChatTemplateOptions,
  type CompiledTemplate,
  chooseTemplate,
  compileTemplate,
  type RenderedChat,
  readTemplates,
  renderChat,
} from "./chatTemplate.js";
import type { ConfigJson } from "./families/configReader.js";
import type { MaskedChat, Tokenizer } from "./tokenizer.js";
import { readTokenizerJson, stepsOf, tokenText } from "./tokenizerJson.js";
import { isByteLevel, tokenBytes, tokenOffsets } from "./tokenOffsets.js";

/**
 * The tokenizer of `tokenizer.json`, `tokenizer_config.json` and the text of `chat_template.jinja`.
 * @throws for kinds of tokenizers whose ids would not be transformers'.
 */
export async function makeTokenizer(
  file: ConfigJson,
  config: ConfigJson,
  template: string | null,
): Promise<Omit<Tokenizer, "fingerprint">> {
  const json = readTokenizerJson(file, config);
  const chatTemplates = readTemplates(template, config);
  const [library, jinja] = await Promise.all([
    import("@huggingface/tokenizers"),
    import("@huggingface/jinja"),
  ]);
  // All that the configuration says is in `json`.
  const inner = new library.Tokenizer(json, {});
  repairDecoders(inner);
  const added = new Map(json.added_tokens.map((token) => [token.id, token]));
  const special = new Set(json.added_tokens.filter((t) => t.special).map(({ id }) => id));
  const ids = new Map(Object.entries(json.model.vocab));
  for (const { content, id } of json.added_tokens) ids.set(content, id);
  const byteLevel = stepsOf(json.pre_tokenizer, "pretokenizers").some(
    ({ type }) => type === "ByteLevel",
  );
  const prepends = stepsOf(json.normalizer, "normalizers").some(({ type }) => type === "Prepend");
  // A "▁" that is written in a text becomes a space as well.
  const spaced = (text: string): string => (byteLevel ? text : text.replaceAll("▁", " "));
  const named = (key: string): string | null => tokenText(config[key]);
  const idOf = (token: string | null): number | null =>
    token === null ? null : (ids.get(token) ?? null);
  const templateTokens = Object.keys(config)
    .filter((key) => key.endsWith("_token") && named(key) !== null)
    .map((key) => [key, named(key)]);
  const compiled = new Map<string, CompiledTemplate>();
  const compile = (source: string): CompiledTemplate => {
    const template = compiled.get(source) ?? compileTemplate(jinja.Template, source);
    compiled.set(source, template);
    return template;
  };

  const encode: Tokenizer["encode"] = (text, options = {}) => {
    checkOptions("encode", options, "addSpecialTokens");
    const { addSpecialTokens = true } = options;
    checkFlag("encode", "addSpecialTokens", addSpecialTokens);
    checkText("encode", text);
    return inner.encode(text, { add_special_tokens: addSpecialTokens }).ids;
  };

  const offsets: Tokenizer["offsets"] = (text) => {
    const tokens = encode(text, { addSpecialTokens: false }).map((id) => {
      const token = added.get(id);
      const bytes = token
        ? new TextEncoder().encode(spaced(token.content))
        : tokenBytes(inner.id_to_token(id)!, byteLevel);
      return { bytes, added: token };
    });
    return tokenOffsets(spaced(text), tokens, prepends);
  };

  const masked = ({ text, assistantSpans }: RenderedChat): MaskedChat => ({
    ids: encode(text, { addSpecialTokens: false }),
    assistantMask: offsets(text).map(([from, to]) =>
      assistantSpans.some(([start, end]) => from < end && to > start) ? 1 : 0,
    ),
  });

  function applyChatTemplate(
    messages: readonly ChatMessage[],
    options: ChatTemplateOptions = {},
  ): never {
    const {
      addGenerationPrompt = false,
      continueFinalMessage = false,
      tokenize = false,
      returnAssistantTokensMask = false,
      tools,
      chatTemplate,
      ...variables
    } = checkedChat(messages, options);
    const source = chooseTemplate(chatTemplates, chatTemplate, tools !== undefined);
    checkVariables(variables, source);
    const chat = renderChat(
      compile,
      source,
      {
        documents: null,
        ...Object.fromEntries(templateTokens),
        ...variables,
        messages,
        tools: tools ?? null,
        add_generation_prompt: addGenerationPrompt,
      },
      { continueFinal: continueFinalMessage, spans: returnAssistantTokensMask },
    );
    if (returnAssistantTokensMask) return masked(chat) as never;
    return (tokenize ? encode(chat.text, { addSpecialTokens: false }) : chat.text) as never;
  }

  return {
    vocabularySize: ids.size,
    bosToken: named("bos_token"),
    bosTokenId: idOf(named("bos_token")),
    eosToken: named("eos_token"),
    eosTokenId: idOf(named("eos_token")),
    padToken: named("pad_token"),
    padTokenId: idOf(named("pad_token")),
    unkToken: named("unk_token"),
    unkTokenId: idOf(named("unk_token")),
    chatTemplates,
    encode,
    decode(given, options = {}) {
      checkOptions("decode", options, "skipSpecialTokens");
      const { skipSpecialTokens = false } = options;
      checkFlag("decode", "skipSpecialTokens", skipSpecialTokens);
      const kept: number[] = [];
      for (const id of given) {
        if (!(Number.isInteger(id) && id >= 0)) {
          throw new TypeError(`decode: ids must be integers ≥ 0, got ${describeValue(id)}`);
        }
        if (skipSpecialTokens && special.has(id)) continue;
        if (inner.id_to_token(id) !== undefined) kept.push(id);
      }
      if (kept.length === 0) return "";
      return inner.decode(kept, { clean_up_tokenization_spaces: false });
    },
    offsets,
    applyChatTemplate,
  };
}

/** Fields of the library's decoders, which its types do not show. */
interface LibraryDecoder {
  decoders?: LibraryDecoder[];
  added_tokens: readonly { readonly content: string }[];
  text_decoder?: { decode(bytes: Uint8Array): string };
}

/**
 * Bytes that are no UTF-8 become one U+FFFD each where byte tokens fill up a vocabulary, and U+FEFF is a
 * character as any other. Added tokens are text where they cannot be bytes, within sequences too.
 */
function repairDecoders(tokenizer: Library.Tokenizer): void {
  const whole = tokenizer.decoder as unknown as LibraryDecoder | null;
  const text = whole?.added_tokens.filter(({ content }) => !isByteLevel(content)) ?? [];
  const repair = (decoder: LibraryDecoder): void => {
    decoder.added_tokens = text;
    if (decoder.text_decoder && !("byte_decoder" in decoder)) decoder.text_decoder = BYTE_TOKENS;
    decoder.decoders?.forEach(repair);
  };
  if (whole) repair(whole);
}

const BYTE_TOKENS = {
  decode(bytes: Uint8Array): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return "\ufffd".repeat(bytes.length);
    }
  },
};

function checkText(caller: string, text: string): void {
  if (typeof text !== "string") {
    throw new TypeError(`${caller}: text must be a string, got ${describeValue(text)}`);
  }
  const alone = text.search(/\p{Surrogate}/u);
  if (alone < 0) return;
  throw new RangeError(
    `${caller}: the text has half of a surrogate pair at position ${alone}, ` +
      `U+${text.charCodeAt(alone).toString(16).toUpperCase()}, which is no character; ` +
      "text.toWellFormed() replaces it",
  );
}

const FLAGS = [
  "addGenerationPrompt",
  "continueFinalMessage",
  "tokenize",
  "returnAssistantTokensMask",
] as const;

function checkedChat(
  messages: readonly ChatMessage[],
  options: ChatTemplateOptions,
): ChatTemplateOptions {
  const caller = "applyChatTemplate";
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new TypeError(`${caller}: messages must be an array of at least one { role, content }`);
  }
  const wrong = messages.findIndex((message) => typeof message?.role !== "string");
  if (wrong >= 0) {
    throw new TypeError(
      `${caller}: messages[${wrong}] must be { role, content }, got ${describeValue(messages[wrong])}`,
    );
  }
  if (!isPlainObject(options)) {
    throw new TypeError(`${caller}: options must be an object, got ${describeValue(options)}`);
  }
  for (const flag of FLAGS) if (options[flag] !== undefined) checkFlag(caller, flag, options[flag]);
  if (options.addGenerationPrompt && options.continueFinalMessage) {
    throw new TypeError(
      `${caller}: addGenerationPrompt begins a message and continueFinalMessage goes on with one; give one of them`,
    );
  }
  return options;
}

/** A variable that the template does not have may be an option that was mistyped. */
function checkVariables(variables: object, template: string): void {
  for (const name of Object.keys(variables)) {
    const nearest = nearestName(name, [...FLAGS, "tools", "chatTemplate"]);
    if (nearest === undefined || template.includes(name)) continue;
    throw new TypeError(
      `applyChatTemplate: has no option \`${name}\`, and the template no such variable; did you mean \`${nearest}\`?`,
    );
  }
}
