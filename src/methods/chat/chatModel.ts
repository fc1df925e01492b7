/**
 * Models that answer conversations, wherever they run.
 * @module
 */
import type { PlatformSignal } from "./platform.js";

/** A message of a conversation with a {@link ChatModel}. */
export interface ChatTurn {
  /** Who says it. */
  readonly role: "system" | "user" | "assistant";
  /** What is said. */
  readonly content: string;
}

/** Tokens that an answer took. */
export interface ChatUsage {
  /** Of the conversation. */
  readonly prompt: number;
  /** Of the answer. */
  readonly completion: number;
}

/** How a {@link ChatModel} is to answer. What is not given is the model's own. */
export interface ChatOptions {
  /** Of the draws; 0: the likeliest tokens. */
  readonly temperature?: number | undefined;
  /** Tokens of the answer, at most. */
  readonly maxTokens?: number | undefined;
  /** Of the draws, where the model takes one: an integer. */
  readonly seed?: number | undefined;
  /** Ends the request. */
  readonly signal?: PlatformSignal | undefined;
  /** Is told the tokens that the answer took, where the model knows them. */
  readonly onUsage?: ((usage: ChatUsage) => void) | undefined;
}

/**
 * A model that answers a conversation with a text. {@link endpointModel}, {@link aiSdkModel} and {@link localModel} make
 * one; any function of this type is one, too. It rejects with a {@link ChatError} where the same request may succeed later.
 */
export type ChatModel = (messages: readonly ChatTurn[], options: ChatOptions) => Promise<string>;

/** What is known of a request that failed. */
export interface ChatFailure {
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  /** The server's status, where it answered. */
  readonly status?: number | undefined;
  /** Seconds that the server asks to wait. */
  readonly retryAfter?: number | undefined;
}

/** A request to a {@link ChatModel} that failed. */
export class ChatError extends Error {
  override readonly name = "ChatError";
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  /** The server's status, where it answered. */
  readonly status: number | undefined;
  /** Seconds that the server asks to wait. */
  readonly retryAfter: number | undefined;

  constructor(message: string, { retryable, status, retryAfter }: ChatFailure) {
    super(message);
    this.retryable = retryable;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}
