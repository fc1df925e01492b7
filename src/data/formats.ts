/**
 * The formats of a row, as TRL has them: texts or conversations, with or without a prompt, pairs or single completions.
 * Each row is looked at by itself.
 *
 * Formats: https://huggingface.co/docs/trl/dataset_formats
 * @module
 */

import { describeValue, isPlainObject } from "../checks.js";
import type { ChatMessage } from "../models/chatTemplate.js";
import { sharedTurns } from "./implicitPrompt.js";
import { RowProblem, together } from "./problems.js";

/** A text, or the messages of a conversation. */
export type Writing = string | readonly ChatMessage[];

/** What a row says besides its texts. */
export interface Extras {
  /** JSON schemas of functions that the model may call. */
  readonly tools?: readonly object[];
  /** Variables of the chat template, as `enable_thinking`. */
  readonly variables: Readonly<Record<string, unknown>>;
}

/** A prompt and completions of it. */
export interface Prompted extends Extras {
  /** Null where it is what two texts begin with, or where a text to learn has none. */
  readonly prompt: Writing | null;
  /** Of a pair the chosen one, then the rejected one. */
  readonly completions: readonly Writing[];
  /** Whether the prompt of a pair is what its completions begin with. */
  readonly implicit: boolean;
  /** Whether the completions began with the prompt that stands beside them. */
  readonly repeated: boolean;
}

/** Completions that are desirable or not. */
export interface Labelled extends Prompted {
  /** Of each completion. */
  readonly desirable: readonly boolean[];
}

/** A text to learn: the completion of a prompt, or all of it. */
export interface Learned extends Prompted {
  readonly completion: Writing;
}

/** A column that the library reads. */
export type ColumnName =
  | "prompt"
  | "chosen"
  | "rejected"
  | "completion"
  | "label"
  | "messages"
  | "conversations"
  | "text"
  | "tools"
  | "chat_template_kwargs";

/** All of them. */
export const COLUMNS: readonly ColumnName[] = [
  "prompt",
  "chosen",
  "rejected",
  "completion",
  "label",
  "messages",
  "conversations",
  "text",
  "tools",
  "chat_template_kwargs",
];

/** How rows are read. */
export interface RowReading {
  /** The columns of the data, by what they are here. */
  readonly columns: Readonly<Partial<Record<ColumnName, string>>>;
  /** The message that conversations without one begin with. */
  readonly system: string | undefined;
  /**
   * Whether rows are taken as TRL takes them: the roles of ShareGPT, `human` and `gpt`, stay, a prompt that completions
   * repeat is there twice, and completions may begin with what the user says.
   */
  readonly asTrl: boolean;
}

/** A pair of completions. @throws RowProblem for what is none. */
export function readPair(value: unknown, reading: RowReading): Prompted {
  const row = new Row(value, reading);
  const [given, chosen, rejected, said] = together([
    () => row.optional("prompt"),
    () => row.writing("chosen"),
    () => row.writing("rejected"),
    () => extras(row),
  ]);
  checkSame(["chosen", chosen], ["rejected", rejected]);
  // Conversations that hold the prompt, beside a column with its text.
  const beside =
    typeof given === "string" &&
    typeof chosen !== "string" &&
    chosen.find(({ role }) => role === "user")?.content === given;
  const prompt = beside ? null : given;
  if (prompt !== null) checkSame(["prompt", prompt], ["chosen", chosen]);
  together([() => checkWritten("chosen", chosen), () => checkWritten("rejected", rejected)]);
  const parts =
    prompt === null ? parted(chosen, rejected) : divided(prompt, [chosen, rejected], reading);
  if (!reading.asTrl) checkBegun(parts);
  return withSystem(
    { ...parts, ...said, ...(beside && { implicit: false, repeated: true }) },
    reading,
  );
}

/** What a row asks, and nothing else of it. */
export interface Asked extends Extras {
  readonly prompt: Writing;
}

/** The prompt of a row, without what may answer it. @throws RowProblem for a row without one. */
export function readAsked(value: unknown, reading: RowReading): Asked {
  const row = new Row(value, reading);
  const [prompt, said] = together([() => row.writing("prompt"), () => extras(row)]);
  return { prompt, ...said };
}

/** A completion with its label, or both of a pair. @throws RowProblem for what is neither. */
export function readLabelled(value: unknown, reading: RowReading): Labelled {
  const row = new Row(value, reading);
  if (row.get("chosen") !== undefined || row.get("rejected") !== undefined) {
    return { ...readPair(value, reading), desirable: [true, false] };
  }
  const [prompt, completion, desirable, said] = together([
    () => row.writing("prompt"),
    () => row.writing("completion"),
    () => labelOf(row),
    () => extras(row),
  ]);
  checkSame(["prompt", prompt], ["completion", completion]);
  checkWritten("completion", completion);
  const parts = divided(prompt, [completion], reading);
  if (!reading.asTrl) checkBegun(parts);
  return { ...withSystem({ ...parts, ...said }, reading), desirable: [desirable] };
}

function labelOf(row: Row): boolean {
  const label = row.get("label");
  if (label === true || label === false || label === 0 || label === 1) return Boolean(label);
  throw new RowProblem(
    label === undefined
      ? "label is missing; it says whether the completion is desirable, true or false"
      : `label must be true or false, got ${describeValue(label)}`,
  );
}

/** A text to learn. @throws RowProblem for what is none. */
export function readLearned(value: unknown, reading: RowReading): Learned {
  const row = new Row(value, reading);
  const has = (name: ColumnName): boolean => row.get(name) !== undefined;
  const whole = (["messages", "conversations", "text"] as const).find(has);
  const name = has("completion") || has("prompt") ? "completion" : whole;
  if (name === undefined) {
    throw new RowProblem(
      `has none of messages, conversations, text, and prompt with completion; ${row.names}`,
    );
  }
  const [prompt, completion, said] = together([
    () => (name === "completion" ? row.writing("prompt") : null),
    () => row.writing(name),
    () => extras(row),
  ]);
  if (prompt !== null) checkSame(["prompt", prompt], ["completion", completion]);
  checkWritten(name, completion);
  const parts =
    prompt === null
      ? { prompt, completions: [completion], implicit: false, repeated: false }
      : divided(prompt, [completion], reading);
  const read = withSystem({ ...parts, ...said }, reading);
  return { ...read, completion: read.completions[0]! };
}

/** Prompt and completions of a row. */
type Parts = Omit<Prompted, keyof Extras>;

/** A pair without a prompt of its own. Where two texts are divided, their tokens decide. */
function parted(chosen: Writing, rejected: Writing): Parts {
  const found = { implicit: true, repeated: false };
  if (typeof chosen === "string" || typeof rejected === "string") {
    return { prompt: null, completions: [chosen, rejected], ...found };
  }
  const shared = sharedTurns(chosen, rejected);
  if (shared === 0) {
    throw new RowProblem(
      "chosen and rejected share no first message, so the row has no prompt; give the column prompt",
    );
  }
  const completions = [chosen, rejected].map((messages) => messages.slice(shared));
  return { prompt: chosen.slice(0, shared), completions, ...found };
}

/** A prompt and completions, which do not repeat it. */
function divided(prompt: Writing, completions: readonly Writing[], { asTrl }: RowReading): Parts {
  const repeated = completions.every((completion) => repeats(completion, prompt));
  return {
    prompt,
    completions:
      repeated && !asTrl
        ? completions.map((completion) => completion.slice(prompt.length))
        : completions,
    implicit: false,
    repeated,
  };
}

/** Whether a completion begins with the prompt and goes on. An answer may begin with a prompt of one word by itself. */
function repeats(completion: Writing, prompt: Writing): boolean {
  if (completion.length <= prompt.length) return false;
  if (typeof prompt === "string") {
    return /\S\s/.test(prompt) && (completion as string).startsWith(prompt);
  }
  const turns = completion.slice(0, prompt.length);
  return JSON.stringify(turns) === JSON.stringify(prompt);
}

/** Completions begin with the assistant: what the user says is not learned. */
function checkBegun({ completions, implicit }: Parts): void {
  for (const completion of completions) {
    if (typeof completion === "string" || completion[0]?.role === "assistant") continue;
    throw new RowProblem(
      implicit
        ? `chosen and rejected differ first in a message of the ${completion[0]?.role}, so they answer different prompts; ` +
            "give pairs that differ in what the assistant says"
        : `a completion begins with a message of the ${completion[0]?.role}, which would be learned; messages before ` +
            "the assistant's belong to prompt",
    );
  }
}

/** A row, read by the names that columns have here. */
class Row {
  private readonly fields: Readonly<Record<string, unknown>>;

  constructor(
    value: unknown,
    private readonly reading: RowReading,
  ) {
    if (!isPlainObject(value)) {
      throw new RowProblem(
        `must be an object with a field for each column, got ${describeValue(value)}`,
      );
    }
    this.fields = value as Readonly<Record<string, unknown>>;
  }

  /** The value of a column. What a table has nothing for is null there. */
  get(name: ColumnName): unknown {
    return this.fields[this.reading.columns[name] ?? name] ?? undefined;
  }

  /** What the row has, and what may be done about what it has not. */
  get names(): string {
    const names = Object.keys(this.fields).join(", ") || "no fields";
    return `the row has ${names}: the option columns says which is which`;
  }

  /** A text or conversation; null where there is none. */
  optional(name: ColumnName): Writing | null {
    const value = this.get(name);
    if (value === undefined) return null;
    if (isBlank(value) || (Array.isArray(value) && value.length === 0)) {
      throw new RowProblem(`${name} is empty; fill it in or leave the row out`);
    }
    if (typeof value === "string") return wellFormed(name, value);
    if (Array.isArray(value)) {
      return together(value.map((one, i) => () => message(one, `${name}[${i}]`, this.reading)));
    }
    throw new RowProblem(
      `${name} must be a text or a list of { role, content }, got ${describeValue(value)}`,
    );
  }

  /** A text or conversation. */
  writing(name: ColumnName): Writing {
    const found = this.optional(name);
    if (found !== null) return found;
    throw new RowProblem(`${name} is missing; ${this.names}`);
  }
}

/** Whether a text has nothing but white space, if anything. */
const isBlank = (value: unknown): boolean => typeof value === "string" && value.trim() === "";

/** Roles of messages, as chat templates have them. */
const ROLES = ["system", "developer", "user", "assistant", "tool", "function", "ipython"];

/** Names for them in ShareGPT's format. */
const SHARED: ReadonlyMap<string, string> = new Map([
  ["human", "user"],
  ["gpt", "assistant"],
  ["chatgpt", "assistant"],
  ["bing", "assistant"],
  ["bard", "assistant"],
  ["observation", "tool"],
  ["function_call", "assistant"],
  ["function_response", "tool"],
]);

function message(value: unknown, name: string, { asTrl }: RowReading): ChatMessage {
  if (!isPlainObject(value)) {
    throw new RowProblem(`${name} must be { role, content }, got ${describeValue(value)}`);
  }
  const {
    from,
    value: said,
    ...fields
  } = withoutNulls(value, name) as Readonly<Record<string, unknown>>;
  const shared = fields.role === undefined && from !== undefined;
  const given = shared ? from : fields.role;
  if (typeof given !== "string") {
    throw new RowProblem(`${name}.role must be a text as "user", got ${describeValue(given)}`);
  }
  const known = shared ? (SHARED.get(given) ?? given) : given;
  const role = asTrl ? given : known;
  if (!ROLES.includes(known)) {
    throw new RowProblem(
      `${name} has the unknown role ${describeValue(given)}; roles are ${ROLES.join(", ")}`,
    );
  }
  const content = shared ? said : fields.content;
  checkContent(content, name, "tool_calls" in fields);
  return { ...fields, role, ...(content !== undefined && { content }) };
}

function checkContent(content: unknown, name: string, calls: boolean): void {
  if (typeof content === "string") {
    wellFormed(`${name}.content`, content);
    return;
  }
  if (content === undefined) {
    if (calls) return;
    throw new RowProblem(`${name}.content is missing`);
  }
  const parts = Array.isArray(content) ? content : [];
  if (parts.length === 0) {
    throw new RowProblem(`${name}.content must be a text, got ${describeValue(content)}`);
  }
  for (const part of parts) {
    if (part?.type !== "text" || typeof part.text !== "string") {
      throw new RowProblem(
        `${name}.content has a part that is no { type: "text", text }; models here read text only`,
      );
    }
    wellFormed(`${name}.content`, part.text);
  }
}

/** Levels of a value, of which no schema has so many; what refers to itself has more. */
const DEEPEST = 200;

/** A value as JSON has it. Tables fill absent fields with nulls, which templates would print. */
function withoutNulls(value: unknown, name: string, depth = 0): unknown {
  if (depth > DEEPEST) {
    throw new RowProblem(`${name} is nested more than ${DEEPEST} levels deep; flatten it`);
  }
  const inner = (one: unknown): unknown => withoutNulls(one, name, depth + 1);
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(inner);
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, one]) => (one === null ? [] : [[key, inner(one)]])),
  );
}

function wellFormed(name: string, text: string): string {
  const alone = text.search(/\p{Surrogate}/u);
  if (alone < 0) return text;
  throw new RowProblem(
    `${name} has half of a surrogate pair at position ${alone}, which is no character; text.toWellFormed() replaces it`,
  );
}

const kindOf = (given: Writing): string =>
  typeof given === "string" ? "a text" : "a conversation";

function checkSame([name, one]: [string, Writing], [otherName, other]: [string, Writing]): void {
  if (kindOf(one) === kindOf(other)) return;
  throw new RowProblem(
    `${name} is ${kindOf(one)} and ${otherName} ${kindOf(other)}; a row has either texts or conversations`,
  );
}

/** What the assistant writes is not empty. */
function checkWritten(name: string, given: Writing): void {
  if (typeof given === "string") return;
  const answers = given.filter(({ role }) => (SHARED.get(role) ?? role) === "assistant");
  if (answers.length === 0) {
    throw new RowProblem(`${name} has no message of the assistant, so there is nothing to learn`);
  }
  if (answers.some((answer) => isBlank(answer.content) && !("tool_calls" in answer))) {
    throw new RowProblem(
      `${name} has an empty message of the assistant; fill it in or leave the row out`,
    );
  }
}

function extras(row: Row): Extras {
  const [tools, variables] = [row.get("tools"), row.get("chat_template_kwargs")];
  const list = typeof tools === "string" && tools !== "" ? parsedTools(tools) : tools || [];
  if (!(Array.isArray(list) && list.every(isPlainObject))) {
    throw new RowProblem(
      `tools must be a list of JSON schemas, or its JSON, got ${describeValue(tools)}`,
    );
  }
  if (variables !== undefined && !isPlainObject(variables)) {
    throw new RowProblem(`chat_template_kwargs must be an object, got ${describeValue(variables)}`);
  }
  return {
    ...(list.length > 0 && { tools: withoutNulls(list, "tools") as object[] }),
    variables: withoutNulls(variables ?? {}, "chat_template_kwargs") as Readonly<
      Record<string, unknown>
    >,
  };
}

function parsedTools(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new RowProblem("tools is no JSON; it must be a list of JSON schemas, or its JSON");
  }
}

/** The row with the system message in front of its conversation, where there is none. */
function withSystem<Given extends Prompted>(given: Given, { system }: RowReading): Given {
  if (system === undefined) return given;
  const begun = (messages: Writing): Writing => begunWith(system, messages);
  return given.prompt === null
    ? { ...given, completions: given.completions.map(begun) }
    : { ...given, prompt: begun(given.prompt) };
}

/** A conversation that begins with a message of the system: its own, or this one. Texts stay. */
export function begunWith(system: string, messages: Writing): Writing {
  return typeof messages === "string" || ["system", "developer"].includes(messages[0]?.role ?? "")
    ? messages
    : [{ role: "system", content: system }, ...messages];
}
