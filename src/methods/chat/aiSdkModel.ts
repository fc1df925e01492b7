/**
 * The AI SDK's language models.
 * @module
 */

import { checkChoice, describeValue } from "../../checks.js";
import { ChatError, type ChatModel, type ChatTurn } from "./chatModel.js";
import type { PlatformSignal } from "./platform.js";
import { messageLine } from "./redact.js";

/** What is asked of an {@link AiSdkModel}. */
export interface AiSdkCall {
  /** The conversation. */
  prompt: (
    | { role: "system"; content: string }
    | { role: "user" | "assistant"; content: { type: "text"; text: string }[] }
  )[];
  /** Tokens of the answer, at most. */
  maxOutputTokens?: number;
  /** Of the draws. */
  temperature?: number;
  /** Of the draws. */
  seed?: number;
  /** Ends the request. */
  abortSignal?: PlatformSignal;
}

/** A language model of the AI SDK, by the part of its type that is used here: `openai("gpt-…")`, `anthropic("…")`, …. */
export interface AiSdkModel {
  /** `"v2"`, `"v3"` or `"v4"`. */
  readonly specificationVersion: string;
  /** Whose it is. */
  readonly provider: string;
  /** Which one it is. */
  readonly modelId: string;
  /** Answers. */
  doGenerate(call: AiSdkCall): PromiseLike<{
    /** Parts of the answer, of which texts are used. */
    readonly content: readonly { readonly type: string; readonly text?: unknown }[];
    /** Tokens, as numbers or with a `total`. */
    readonly usage?: unknown;
  }>;
}

const VERSIONS = ["v2", "v3", "v4"];

/**
 * A language model of the AI SDK, of version 2, 3 or 4 of its interface, as a {@link ChatModel}. The package is no
 * dependency: the type is structural. Retries of this library come instead of the SDK's, which `doGenerate` has none of.
 *
 * @throws for what is no such model. The model rejects with a {@link ChatError} for the SDK's errors that say whether to
 * try again; of their text a line is told, without what looks like a key.
 * @example const judge = aiSdkModel(openai("gpt-4o"));
 */
export function aiSdkModel(model: AiSdkModel): ChatModel {
  if (typeof model?.doGenerate !== "function") {
    throw new TypeError(
      `aiSdkModel: expected a language model of the AI SDK, as openai("gpt-4o") gives, got ${describeValue(model)}`,
    );
  }
  checkChoice("aiSdkModel", "specificationVersion", model.specificationVersion, VERSIONS);
  return async (messages, { temperature, maxTokens, seed, signal, onUsage }) => {
    const call: AiSdkCall = {
      prompt: messages.map(partsOf),
      ...(maxTokens !== undefined && { maxOutputTokens: maxTokens }),
      ...(temperature !== undefined && { temperature }),
      ...(seed !== undefined && { seed }),
      ...(signal && { abortSignal: signal }),
    };
    let answer: Awaited<ReturnType<AiSdkModel["doGenerate"]>>;
    try {
      answer = await model.doGenerate(call);
    } catch (error) {
      throw signal?.aborted ? error : asChatError(model, error);
    }
    const { inputTokens, outputTokens } = (answer.usage ?? {}) as Readonly<Record<string, unknown>>;
    const [prompt, completion] = [countOf(inputTokens), countOf(outputTokens)];
    if (prompt !== undefined && completion !== undefined) onUsage?.({ prompt, completion });
    return answer.content
      .filter(({ type, text }) => type === "text" && typeof text === "string")
      .map(({ text }) => text)
      .join("");
  };
}

function partsOf({ role, content }: ChatTurn): AiSdkCall["prompt"][number] {
  return role === "system"
    ? { role, content }
    : { role, content: [{ type: "text", text: content }] };
}

/** Version 2 has numbers, later ones numbers with their parts. */
function countOf(tokens: unknown): number | undefined {
  const count = typeof tokens === "object" ? (tokens as { total?: unknown } | null)?.total : tokens;
  return Number.isSafeInteger(count) && (count as number) >= 0 ? (count as number) : undefined;
}

function asChatError({ provider, modelId }: AiSdkModel, error: unknown): unknown {
  const { message, statusCode, isRetryable, responseHeaders } = (error ?? {}) as {
    readonly message: string;
    readonly statusCode?: number;
    readonly isRetryable?: boolean;
    readonly responseHeaders?: Readonly<Record<string, string>>;
  };
  if (typeof isRetryable !== "boolean") return error;
  const wait = Number(responseHeaders?.["retry-after"] ?? Number.NaN);
  return new ChatError(messageLine(`${provider} ${modelId}: ${message}`), {
    retryable: isRetryable,
    status: statusCode,
    retryAfter: wait >= 0 ? wait : undefined,
  });
}
