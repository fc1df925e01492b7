/**
 * Chat templates: Jinja as transformers runs it.
 * @module
 */

import type { Template } from "@huggingface/jinja";
import type { ConfigJson } from "./families/configReader.js";

/** One message of a conversation. Templates read further fields, as `tool_calls`. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

/** Options of `tokenizer.applyChatTemplate`. */
export interface ChatTemplateOptions {
  /** Whether the text ends where the assistant's answer begins. Default false. */
  readonly addGenerationPrompt?: boolean;
  /** Whether the text ends within the last message, to be continued. Default false. */
  readonly continueFinalMessage?: boolean;
  /** Whether to give ids instead of text. Default false. */
  readonly tokenize?: boolean;
  /** Whether to give ids, and which of them the assistant wrote. Default false. */
  readonly returnAssistantTokensMask?: boolean;
  /** JSON schemas of functions that the model may call. */
  readonly tools?: readonly object[];
  /** A template, or the name of one of the tokenizer's. */
  readonly chatTemplate?: string;
  /** What else the template reads: `enable_thinking`, `documents`, … */
  readonly [variable: string]: unknown;
}

/** A conversation as text, and where the assistant wrote it: from and to, in UTF-16 code units. */
export interface RenderedChat {
  readonly text: string;
  readonly assistantSpans: readonly (readonly [from: number, to: number])[];
}

/** What a conversation is rendered with. */
export interface ChatVariables {
  readonly messages: readonly ChatMessage[];
  readonly [variable: string]: unknown;
}

/**
 * The templates of a tokenizer by their names: `chat_template.jinja` before what `tokenizer_config.json`
 * has, which is one template or a list of named ones.
 */
export function readTemplates(
  file: string | null,
  config: ConfigJson,
): ReadonlyMap<string, string> {
  if (file !== null) return new Map([["default", file]]);
  const { chat_template: own } = config;
  if (own === undefined || own === null) return new Map();
  if (typeof own === "string") return new Map([["default", own]]);
  const entries = Array.isArray(own)
    ? own.map(({ name, template }) => [name, template] as [unknown, unknown])
    : [[undefined, undefined] as [unknown, unknown]];
  if (entries.flat().some((text) => typeof text !== "string")) {
    throw new TypeError(
      "loadTokenizer: chat_template of tokenizer_config.json must be a template or a list of { name, template }",
    );
  }
  return new Map(entries as [string, string][]);
}

/** The template to use: what was asked for, else `tool_use` where there are tools, else `default`. */
export function chooseTemplate(
  templates: ReadonlyMap<string, string>,
  asked: string | undefined,
  tools: boolean,
): string {
  if (asked !== undefined) return templates.get(asked) ?? asked;
  const template = (tools ? templates.get("tool_use") : undefined) ?? templates.get("default");
  if (template !== undefined) return template;
  const names = [...templates.keys()].map((name) => `"${name}"`).join(", ");
  throw new TypeError(
    names
      ? `applyChatTemplate: no template is the default; give chatTemplate, one of ${names}`
      : "applyChatTemplate: the tokenizer has no chat template; give one as chatTemplate",
  );
}

/** A template that is parsed once. */
export type CompiledTemplate = (variables: ChatVariables) => string;

/** No template can have a variable of this name. */
const STRIP = "strip of strings";

/** Parses a template. `strip`, `lstrip`, `rstrip` and `trim` are Python's. */
export function compileTemplate(Template_: typeof Template, source: string): CompiledTemplate {
  const template = new Template_(source.replace(/\r\n?/g, "\n"));
  usePythonsStrip(template.parsed);
  return (variables) => template.render({ ...variables, ...STRIPS });
}

interface SyntaxNode {
  type: string;
  value?: unknown;
  object?: SyntaxNode;
  property?: SyntaxNode;
  callee?: SyntaxNode;
  args?: SyntaxNode[];
  operand?: SyntaxNode;
  filter?: SyntaxNode;
  computed?: boolean;
}

/** Makes `x.lstrip(c)` and `x | trim(c)` calls of functions, which get x and c. */
function usePythonsStrip(tree: unknown): void {
  if (tree instanceof Map) for (const entry of tree) usePythonsStrip(entry);
  if (typeof tree !== "object" || tree === null) return;
  for (const child of Object.values(tree)) usePythonsStrip(child);
  const node = tree as SyntaxNode;
  const { callee, filter } = node;
  if (node.type === "CallExpression" && callee?.type === "MemberExpression" && !callee.computed) {
    const method = callee.property!;
    if (!/^[lr]?strip$/.test(String(method.value))) return;
    method.value = `${method.value} of strings`;
    node.args = [callee.object!, ...node.args!];
    node.callee = method;
  } else if (node.type === "FilterExpression") {
    const name = filter!.type === "CallExpression" ? filter!.callee! : filter!;
    if (name.value !== "trim") return;
    name.value = STRIP;
    node.type = "CallExpression";
    node.args = [node.operand!, ...(filter!.args ?? [])];
    node.callee = name;
  }
}

/** What Python takes for white space; JavaScript's differs. */
const WHITE =
  "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a" +
  "\u2028\u2029\u202f\u205f\u3000";

const STRIPS = {
  [STRIP]: (text: unknown, set?: unknown) => stripped(text, set, true, true),
  [`l${STRIP}`]: (text: unknown, set?: unknown) => stripped(text, set, true, false),
  [`r${STRIP}`]: (text: unknown, set?: unknown) => stripped(text, set, false, true),
};

/** Python's `strip` of the characters of `set`, which is text, the argument `chars` by its name, or absent. */
function stripped(value: unknown, set: unknown, left: boolean, right: boolean): string {
  const given = set instanceof Map ? set.get("chars")?.value : set;
  const strips = new Set(typeof given === "string" ? given : WHITE);
  const characters = Array.from(typeof value === "string" ? value : String(value ?? ""));
  let [from, to] = [0, characters.length];
  while (left && from < to && strips.has(characters[from]!)) from++;
  while (right && from < to && strips.has(characters[to - 1]!)) to--;
  return characters.slice(from, to).join("");
}

/** A statement that begins or ends what the assistant wrote. */
const GENERATION = /\{%(-?)\s*(end)?generation\s*(-?)%\}/g;

/** A character for private use, to be found again in a rendered text. */
const PRIVATE_USE = 0xe000;

/**
 * Renders a conversation.
 * @throws where the template refuses it, where its last message cannot be continued, and where spans are
 * asked for and the template marks none.
 */
export function renderChat(
  compile: (source: string) => CompiledTemplate,
  source: string,
  variables: ChatVariables,
  { continueFinal, spans }: { readonly continueFinal: boolean; readonly spans: boolean },
): RenderedChat {
  if (spans && source.search(GENERATION) < 0) {
    throw new TypeError(
      "applyChatTemplate: the chat template does not say what the assistant wrote; give a chatTemplate " +
        "with {% generation %} … {% endgeneration %} around it",
    );
  }
  // Characters that occur in neither the template nor what it is given.
  const taken = source + JSON.stringify(variables);
  let next = PRIVATE_USE;
  const mark = (): string => {
    while (taken.includes(String.fromCharCode(next))) next++;
    return String.fromCharCode(next++);
  };
  const cut = mark();
  const [open, close] = spans ? [mark(), mark()] : ["", ""];
  // The library drops these tags, and with them what they do to the white space around them.
  const marked = source.replace(
    GENERATION,
    (_, before, end, after) => `{%${before} if true %}${end ? close : open}{% endif ${after}%}`,
  );
  const final = variables.messages.at(-1)!;
  const messages = continueFinal
    ? [...variables.messages.slice(0, -1), { ...final, content: `${textOf(final)}${cut} ` }]
    : variables.messages;
  let rendered: string;
  try {
    rendered = compile(marked)({ ...variables, messages });
  } catch (error) {
    throw new TypeError(`applyChatTemplate: the chat template fails: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const { text, assistantSpans } = spans
    ? withoutMarks(rendered, open, close)
    : { text: rendered, assistantSpans: [] };
  if (!continueFinal) return { text, assistantSpans };
  const end = text.lastIndexOf(cut);
  if (end < 0 || !text.includes(stripped(textOf(final), undefined, true, true))) {
    throw new TypeError(
      "applyChatTemplate: continueFinalMessage cannot find the last message in what the template makes of it",
    );
  }
  // Where the template trims messages, the space after the mark is gone.
  const before = text.slice(0, end);
  const kept = text[end + 1] === " " ? before : stripped(before, undefined, false, true);
  return {
    text: kept,
    assistantSpans: assistantSpans
      .map(([from, to]) => [from, Math.min(to, kept.length)] as const)
      .filter(([from, to]) => from < to),
  };
}

function textOf({ content }: ChatMessage): string {
  if (typeof content === "string") return content;
  throw new TypeError(
    "applyChatTemplate: continueFinalMessage needs a last message whose content is text",
  );
}

function withoutMarks(rendered: string, open: string, close: string): RenderedChat {
  let text = "";
  let from = 0;
  const assistantSpans: [number, number][] = [];
  for (const piece of rendered.split(new RegExp(`([${open}${close}])`))) {
    if (piece === open) from = text.length;
    else if (piece === close) assistantSpans.push([from, text.length]);
    else text += piece;
  }
  return { text, assistantSpans };
}
