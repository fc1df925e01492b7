/**
 * Requests to models: not too many at a time, again where they fail, none twice, none above the budget, each one noted.
 * @module
 */

import {
  checkCount,
  checkFunction,
  checkNumber,
  checkOptions,
  describeValue,
} from "../../checks.js";
import { randomGenerator } from "../../tensor/random.js";
import { ChatError, type ChatModel, type ChatOptions, type ChatTurn } from "./chatModel.js";
import type { PlatformSignal } from "./platform.js";
import { messageLine, plainText } from "./redact.js";
import type { Exchange, Transcript } from "./transcript.js";

/** What requests may cost. Reaching it is no error: the work ends with what it has. */
export interface RequestBudget {
  /** Requests, failed ones included; default no limit. */
  readonly requests?: number | undefined;
  /** Tokens of conversations and answers; default no limit. Requests on their way when it is reached come on top. */
  readonly tokens?: number | undefined;
}

/** Time, for tests. */
export interface Clock {
  /** Ends after so many seconds, or when the signal is set; it does not reject. */
  sleep(seconds: number, signal: PlatformSignal): Promise<void>;
}

/** How models are asked. */
export interface RequestOptions {
  /** Requests at a time, at most; default 4. */
  readonly concurrency?: number | undefined;
  /** Seconds after which a request counts as failed; default 120. */
  readonly timeout?: number | undefined;
  /** How often a request that failed and may succeed later is made again; default 5. */
  readonly retries?: number | undefined;
  /** Seconds between tries, at most; default 60. Where a server asks for more, the request fails. */
  readonly maxDelay?: number | undefined;
  /** Characters of an answer, at most; default 32,768. A longer one is cut. */
  readonly maxAnswer?: number | undefined;
  /** What the requests may cost, those of the transcript included; default no limit. */
  readonly budget?: RequestBudget | undefined;
  /** Where exchanges are noted, and found again; default nowhere. */
  readonly transcript?: Transcript | undefined;
  /** Ends the work, with what it has. */
  readonly signal?: PlatformSignal | undefined;
  /** Time; default the system's. */
  readonly clock?: Clock | undefined;
}

/** The names of {@link RequestOptions}. */
export const REQUEST_OPTIONS = [
  "concurrency",
  "timeout",
  "retries",
  "maxDelay",
  "maxAnswer",
  "budget",
  "transcript",
  "signal",
  "clock",
] as const;

/** Asks a model; equal questions are asked once. */
export type Ask = (
  messages: readonly ChatTurn[],
  options: Pick<ChatOptions, "temperature" | "maxTokens" | "seed">,
) => Promise<string>;

/** Models that are asked under common limits. */
export interface Requests {
  /** What was spent, the transcript's included. */
  readonly spent: { readonly requests: number; readonly tokens: number };
  /** Makes a model one that is asked under these limits. `who` tells it apart in the transcript. */
  of(who: string, model: ChatModel): Ask;
}

/** No more requests are made. */
export class Halted extends Error {
  constructor(readonly reason: "budget" | "signal") {
    super(
      reason === "budget" ? "the budget of requests is spent" : "the signal stopped the requests",
    );
  }
}

const systemClock: Clock = {
  sleep: (seconds, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const end = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, 1000 * seconds);
      signal.addEventListener("abort", end);
    }),
};

/** Seconds before the second try; doubled before each further one. */
const FIRST_DELAY = 1;
/** `setTimeout` counts no further. */
const LONGEST = 2 ** 31 / 1000 - 1;
/** Characters of a token, about. */
const CHARACTERS = 4;

/** Models under common limits. */
export function requestsOf(caller: string, options: RequestOptions): Requests {
  const { concurrency = 4, timeout = 120, retries = 5, maxDelay = 60 } = options;
  const { maxAnswer = 32_768, budget = {}, transcript, clock = systemClock } = options;
  const { signal = new AbortController().signal } = options;
  checkCount(caller, "concurrency", concurrency, 1);
  const isTime = (s: number): boolean => s > 0 && s <= LONGEST;
  checkNumber(caller, "timeout", timeout, isTime, "of seconds > 0");
  checkCount(caller, "retries", retries);
  checkNumber(caller, "maxDelay", maxDelay, isTime, "of seconds > 0");
  checkCount(caller, "maxAnswer", maxAnswer, 1);
  checkOptions(`${caller}: budget`, budget, "requests", "tokens");
  const { requests: mostRequests, tokens: mostTokens } = budget;
  if (mostRequests !== undefined) checkCount(caller, "budget.requests", mostRequests);
  if (mostTokens !== undefined) checkCount(caller, "budget.tokens", mostTokens);

  const spent = { requests: 0, tokens: 0 };
  const answers = new Map<string, Promise<string>>();
  for (const { who, messages, options: own, answer, requests, tokens } of transcript?.exchanges ??
    []) {
    spent.requests += requests;
    spent.tokens += tokens;
    if (answer !== null) answers.set(keyOf(who, messages, own), Promise.resolve(answer));
  }

  const turns = turnsOf(concurrency);
  const jitter = randomGenerator("delays");
  /** Set when no more requests are to be made: ends all waiting. */
  const halt = new AbortController();
  const waiting = AbortSignal.any([signal, halt.signal]);

  /** @throws where no further request may be made. */
  function checkGoing(): void {
    if (signal.aborted) throw new Halted("signal");
    if (halt.signal.aborted) throw halt.signal.reason;
    const { requests, tokens } = spent;
    if (requests < (mostRequests ?? Infinity) && tokens < (mostTokens ?? Infinity)) return;
    halt.abort(new Halted("budget"));
    throw halt.signal.reason;
  }

  /** One request: its answer, or what went wrong. */
  async function tried(model: ChatModel, messages: readonly ChatTurn[], own: Exchange["options"]) {
    const over = new AbortController();
    const late = clock.sleep(timeout, over.signal).then((): never | undefined => {
      if (over.signal.aborted) return undefined;
      throw new ChatError(`no answer within ${timeout} seconds (timeout)`, { retryable: true });
    });
    const stopped = new Promise<never>((_, reject) => {
      const stop = () => reject(new Halted("signal"));
      signal.addEventListener("abort", stop, { signal: over.signal });
    });
    let tokens: number | undefined;
    try {
      const asked: ChatOptions = {
        ...own,
        signal: AbortSignal.any([signal, over.signal]),
        onUsage: ({ prompt, completion }) => {
          tokens = prompt + completion;
        },
      };
      const answer: unknown = await Promise.race([model(messages, asked), late, stopped]);
      if (typeof answer !== "string") {
        throw new TypeError(
          `${caller}: a model must answer with a text, got ${describeValue(answer)}`,
        );
      }
      const text = plainText(answer.slice(0, maxAnswer));
      const characters = messages.reduce((sum, { content }) => sum + content.length, text.length);
      return { text, tokens: tokens ?? Math.ceil(characters / CHARACTERS) };
    } finally {
      over.abort();
    }
  }

  /** An answer, after as many tries as it takes. */
  async function asked(
    who: string,
    model: ChatModel,
    messages: readonly ChatTurn[],
    own: Exchange["options"],
  ): Promise<string> {
    for (let requests = 1; ; requests++) {
      checkGoing();
      spent.requests++;
      try {
        const { text: answer, tokens } = await tried(model, messages, own);
        spent.tokens += tokens;
        await transcript?.add({ who, messages, options: own, answer, requests, tokens });
        return answer;
      } catch (error) {
        if (signal.aborted || error instanceof Halted) throw new Halted("signal");
        const delay = delayAfter(error, requests);
        if (delay === null) {
          const failure = failureOf(who, error);
          const { message } = failure;
          const line = {
            who,
            messages,
            options: own,
            answer: null,
            error: message,
            requests,
            tokens: 0,
          };
          halt.abort(failure);
          await transcript?.add(line);
          throw failure;
        }
        await clock.sleep(delay, waiting);
      }
    }
  }

  /** Seconds to wait for the next try; null where there is none. Doubled each time, and up to a quarter less. */
  function delayAfter(error: unknown, requests: number): number | null {
    if (!(error instanceof ChatError && error.retryable) || requests > retries) return null;
    const { retryAfter = 0 } = error;
    if (retryAfter > maxDelay) return null;
    const own = Math.min(maxDelay, FIRST_DELAY * 2 ** (requests - 1));
    return Math.max(retryAfter, own * (1 - jitter() / 4));
  }

  return {
    spent,
    of(who, model) {
      checkFunction(`${caller}: ${who}`, model);
      return (messages, own) => {
        const key = keyOf(who, messages, own);
        const known = answers.get(key);
        if (known) return known;
        const answer = turns(() => asked(who, model, messages, own));
        answers.set(key, answer);
        return answer;
      };
    },
  };
}

/** What tells questions apart. */
const keyOf = (who: string, messages: readonly ChatTurn[], own: Exchange["options"]): string => {
  const turns = messages.map(({ role, content }) => [role, content]);
  const { temperature, maxTokens, seed } = own;
  return JSON.stringify([who, turns, [temperature, maxTokens, seed].map((value) => value ?? null)]);
};

/** An error that says who failed. Its text is a line without what looks like a key. */
function failureOf(who: string, error: unknown): Error {
  const { retryAfter, status } = (error ?? {}) as Partial<ChatError>;
  const wait = retryAfter === undefined ? "" : `; it asks to wait ${Math.ceil(retryAfter)} seconds`;
  const message = messageLine(`${who}: ${error instanceof Error ? error.message : String(error)}`);
  return new ChatError(message + wait, { retryable: false, status, retryAfter });
}

/** Work that goes on in so many places at a time, in the order in which it was given. */
function turnsOf(places: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = places;
  const queue: (() => void)[] = [];
  return async (work) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => queue.push(resolve));
    try {
      return await work();
    } finally {
      const next = queue.shift();
      if (next) next();
      else free++;
    }
  };
}

/** Waits for all, also where one fails: what was asked is answered and noted before the first failure is told. */
export async function allOf<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises);
  return results.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}
