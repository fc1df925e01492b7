/**
 * Models behind OpenAI-compatible endpoints.
 * @module
 */

import { checkCount, checkOptions, describeValue, isPlainObject } from "../../checks.js";
import { ChatError, type ChatModel, type ChatOptions, type ChatTurn } from "./chatModel.js";
import type { PlatformFetch } from "./platform.js";
import { messageLine, plainText, redactor } from "./redact.js";

/** Options of {@link endpointModel}. */
export interface EndpointOptions {
  /** Address of the interface, `https://api.example.org/v1`; `/chat/completions` is added. */
  readonly url: string;
  /** The model's name there. */
  readonly model: string;
  /** Sent as `Authorization: Bearer …`; default none. It stands in no message, answer or file. */
  readonly apiKey?: string | undefined;
  /** Further headers; their values are kept as secret as the key. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Further fields of the request; `undefined` leaves one out: `{ max_tokens: undefined, max_completion_tokens: 512 }`. */
  readonly body?: Readonly<Record<string, unknown>> | undefined;
  /** Bytes of a response, at most; default 4,194,304. A longer one is not read to its end. */
  readonly maxBytes?: number | undefined;
  /** Sends requests; default the global `fetch`. */
  readonly fetch?: PlatformFetch | undefined;
}

const CALLER = "endpointModel";
/** Statuses under which the same request may succeed later, besides those from 500 on. */
const LATER = [408, 409, 425, 429];
/** Longest wait that a date may ask for, seconds. */
const DAY = 86_400;

/**
 * A model behind an endpoint that speaks OpenAI's chat completions: hosted ones, vLLM, llama.cpp, Ollama, LM Studio, ….
 * A refusal is the answer; an answer that is missing is empty.
 *
 * The server is not trusted. Its response is read up to `maxBytes`, it may not redirect, and of what it says to an error a
 * line of 300 characters is told. Key, headers and the address's query are taken out of all that it sends back.
 *
 * @throws for an address that is none or holds a password, and a key that no header can hold. The model rejects with a
 * {@link ChatError} for statuses other than 2xx, with what the server says in `Retry-After`, and for responses that are no
 * chat completion or too long.
 * @example const model = endpointModel({ url: "http://localhost:8080/v1", model: "qwen3", apiKey: process.env.KEY });
 */
export function endpointModel(options: EndpointOptions): ChatModel {
  checkOptions(CALLER, options, "url", "model", "apiKey", "headers", "body", "maxBytes", "fetch");
  const { model, apiKey, headers = {}, body = {}, maxBytes = 2 ** 22 } = options;
  const url = addressOf(options.url);
  if (typeof model !== "string" || model === "") {
    throw new TypeError(`${CALLER}: model must be a name, got ${describeValue(model)}`);
  }
  checkCount(CALLER, "maxBytes", maxBytes, 1);
  const own = { ...headers, ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }) };
  checkHeaders({ ...headers, ...(apiKey !== undefined && { apiKey }) });
  const queries = [...url.searchParams.values()];
  const redacted = redactor([
    ...(apiKey === undefined ? [] : [apiKey]),
    // The words of "Bearer TOKEN", too.
    ...Object.values(headers).flatMap((value) => [value, ...value.split(/\s+/)]),
    ...queries,
  ]);
  // Control characters first: what they divide would be whole without them.
  const shown = (text: string): string => redacted(plainText(text));
  const place = url.origin + url.pathname;
  /** An error that names the endpoint and nothing secret. */
  const failed = (what: string, retryable: boolean, rest: object = {}): ChatError =>
    new ChatError(`${place}: ${messageLine(shown(what))}`, { retryable, ...rest });

  return async (messages, asked) => {
    const send = options.fetch ?? globalThis.fetch;
    const request = {
      method: "POST",
      headers: { ...own, "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify({ ...fieldsOf(model, messages, asked), ...body }),
      // A redirect could take headers to another server.
      redirect: "manual" as const,
      ...(asked.signal && { signal: asked.signal }),
    };
    let response: Response;
    let text: string;
    try {
      response = await send(url, request);
      text = await textOf(response, maxBytes);
    } catch (error) {
      if (asked.signal?.aborted) throw error;
      if (error instanceof TooLong) throw failed(error.message, false);
      throw failed(`cannot be reached: ${reasonOf(error)}`, true);
    }
    const { status, headers: said } = response;
    // A browser does not tell the status of what it would be redirected to.
    if (response.type === "opaqueredirect" || (status >= 300 && status < 400)) {
      throw failed("it redirects, which is refused; give the address that it leads to", false, {
        status,
      });
    }
    const found = parsed(text);
    const complaint = messageIn(found);
    if (!response.ok) {
      const retryable = status >= 500 || LATER.includes(status);
      const words = complaint === undefined ? "" : `: ${complaint}`;
      throw failed(`status ${status}${words}`, retryable, { status, retryAfter: waitOf(said) });
    }
    const answer = answerIn(found);
    if (answer === null) {
      throw failed(complaint ?? "the response is no chat completion", true, { status });
    }
    const { prompt_tokens: prompt, completion_tokens: completion } = fieldOf(found, "usage");
    if (isCount(prompt) && isCount(completion)) asked.onUsage?.({ prompt, completion });
    return shown(answer);
  };
}

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;

/** The address of chat completions. Errors do not show what may hold a password. */
function addressOf(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new TypeError(`${CALLER}: url must be an address such as https://api.example.org/v1`);
  }
  if (!/^https?:$/.test(url.protocol)) {
    throw new TypeError(`${CALLER}: url must begin with https:// or http://, got ${url.protocol}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError(`${CALLER}: url must hold no user and password; give apiKey or headers`);
  }
  const path = url.pathname.replace(/\/+$/, "");
  url.pathname = path.endsWith("/chat/completions") ? path : `${path}/chat/completions`;
  url.hash = "";
  return url;
}

/** Rejects what no header can hold; the engine's own error would show it. */
function checkHeaders(headers: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === "string" && /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value))
      continue;
    throw new TypeError(
      `${CALLER}: ${name} must be a text of printable ASCII without spaces around it; its value is not shown`,
    );
  }
}

function fieldsOf(model: string, messages: readonly ChatTurn[], asked: ChatOptions): object {
  const { temperature, maxTokens: max_tokens, seed } = asked;
  const turns = messages.map(({ role, content }) => ({ role, content }));
  return { model, messages: turns, temperature, max_tokens, seed, stream: false };
}

/** A response of more bytes than are read. */
class TooLong extends Error {}

async function textOf({ body }: Response, maxBytes: number): Promise<string> {
  const reader = body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for (let next = await reader?.read(); next && !next.done; next = await reader!.read()) {
    size += next.value.length;
    if (size > maxBytes) {
      await reader!.cancel().catch(() => undefined);
      throw new TooLong(`the response is longer than ${maxBytes} bytes (maxBytes)`);
    }
    text += decoder.decode(next.value, { stream: true });
  }
  return text + decoder.decode();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** An object's field that is an object, or an empty one. */
function fieldOf(value: unknown, name: string): Readonly<Record<string, unknown>> {
  const field = isPlainObject(value) ? (value as Record<string, unknown>)[name] : undefined;
  return isPlainObject(field) ? (field as Record<string, unknown>) : {};
}

/** What the server says is wrong. */
function messageIn(value: unknown): string | undefined {
  const { error } = (isPlainObject(value) ? value : {}) as { readonly error?: unknown };
  const { message } = fieldOf(value, "error");
  return [message, error].find((own): own is string => typeof own === "string");
}

/** The text of the first choice; null where there is none. */
function answerIn(value: unknown): string | null {
  const { choices } = (isPlainObject(value) ? value : {}) as { readonly choices?: unknown };
  const first: unknown = Array.isArray(choices) ? choices[0] : undefined;
  if (!isPlainObject((first as { readonly message?: unknown } | undefined)?.message)) return null;
  const { content, refusal } = fieldOf(first, "message");
  if (typeof content === "string") return content;
  if (typeof refusal === "string") return refusal;
  if (!Array.isArray(content)) return content === null || content === undefined ? "" : null;
  return content
    .map((part: unknown) => (part as { readonly text?: unknown } | null)?.text)
    .filter((text) => typeof text === "string")
    .join("");
}

/** Seconds to wait, as `Retry-After` has them: a number, or a date. */
function waitOf(headers: Headers): number | undefined {
  const text = headers.get("retry-after")?.trim();
  if (text === undefined) return undefined;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  const wait = (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(wait) ? Math.min(DAY, Math.max(0, wait)) : undefined;
}

/** Why a request did not arrive: the system's code, else what the error says. */
function reasonOf(error: unknown): string {
  const { cause, message = String(error) } = (error ?? {}) as Partial<Error>;
  const { code, message: why } = (cause ?? {}) as {
    readonly code?: string;
    readonly message?: string;
  };
  return code ?? why ?? message;
}
