/**
 * Dynamic rewarding with prompt optimization: a search for the system prompt under which a model answers best.
 * @module
 */

import { checkCount, checkNumber, checkOptions, describeValue } from "../../checks.js";
import { randomGenerator } from "../../tensor/random.js";
import type { ChatModel } from "../chat/chatModel.js";
import {
  allOf,
  Halted,
  REQUEST_OPTIONS,
  type RequestOptions,
  requestsOf,
} from "../chat/requests.js";
import { type Aspects, REWARD_ASPECTS } from "./aspects.js";
import { bestExamples, type PromptExample, promptMessages } from "./examples.js";
import { checkAspects, judgeOf } from "./judge.js";
import { type JudgedAnswer, promptRequest, WRITER_TOKENS, writtenIn } from "./writer.js";

/** Options of {@link optimizePrompt}. */
export interface OptimizePromptOptions extends RequestOptions {
  /** The model whose prompt is sought. */
  readonly model: ChatModel;
  /** Judges its answers. */
  readonly judge: ChatModel;
  /** Writes prompts and examples anew; default the judge. */
  readonly writer?: ChatModel | undefined;
  /** Queries as the model will get them, each once. */
  readonly queries: readonly string[];
  /** The prompt to begin with; default "You are a helpful assistant." */
  readonly prompt?: string | undefined;
  /** What answers are judged by; default {@link REWARD_ASPECTS}. */
  readonly aspects?: Aspects | undefined;
  /** Prompts written for each one that is kept; default 3. */
  readonly rewrites?: number | undefined;
  /** Prompts that are kept; default 2. */
  readonly beam?: number | undefined;
  /** Rounds; default 20. */
  readonly depth?: number | undefined;
  /** Queries of a round, in turn; default 4, at most all. */
  readonly queriesPerStep?: number | undefined;
  /** A mean score above which nothing is rewritten; default 4.5. */
  readonly enough?: number | undefined;
  /** Queries of which examples are made before the search; default 16, at most all; 0: no examples. */
  readonly examples?: number | undefined;
  /** Rewrites of an example's answer, one after the other; default 5. */
  readonly exampleRewrites?: number | undefined;
  /** Examples that are shown before a query; default 3. */
  readonly shown?: number | undefined;
  /** Of the writer's draws of prompts; default 0.7. */
  readonly temperature?: number | undefined;
  /** Tokens of an answer of the model, at most; default 1024. */
  readonly maxTokens?: number | undefined;
  /** Characters of a prompt, at most; default 8000. A longer one is dropped. */
  readonly maxPrompt?: number | undefined;
  /** Of the queries' order and of the seeds that the writer is given; default 0. */
  readonly seed?: number | string | undefined;
  /** Is told how far things are. */
  readonly onProgress?: ((progress: PromptProgress) => void) | undefined;
}

/** How far {@link optimizePrompt} is. */
export interface PromptProgress {
  /** What is sought: examples, or the prompt. */
  readonly stage: "examples" | "prompt";
  /** Examples found, or rounds made. */
  readonly done: number;
  /** Of how many. */
  readonly of: number;
  /** The best prompt so far, with its mean score; null before the first is judged. */
  readonly best: { readonly prompt: string; readonly reward: number } | null;
  /** Requests made, those of the transcript included. */
  readonly requests: number;
  /** Tokens of them. */
  readonly tokens: number;
}

/** A prompt on the way to the best one. */
export interface PromptState {
  readonly prompt: string;
  /** The mean score of the round's answers. */
  readonly reward: number;
}

/** What {@link optimizePrompt} found. */
export interface OptimizedPrompt {
  /** The best prompt. */
  readonly prompt: string;
  /** Its mean score, over the rounds in which it was judged; null where none was finished. */
  readonly reward: number | null;
  /** The way to it: a prompt a round, from the one that was given. */
  readonly path: readonly PromptState[];
  /** The mean of the way's rewards; null where it is empty. */
  readonly score: number | null;
  /** Examples to show with it ({@link promptMessages}). */
  readonly examples: readonly PromptExample[];
  /** Why it ended: all rounds are made, the budget is spent, or the signal was set. */
  readonly end: "depth" | "budget" | "signal";
  readonly counts: {
    /** Requests made, failed ones and those of the transcript included. */
    readonly requests: number;
    /** Tokens of them. */
    readonly tokens: number;
    /** Verdicts that could not be read, and scored 0. */
    readonly unparsed: number;
    /** Choices of aspects that named fewer than two. */
    readonly unchosen: number;
    /** Prompts that could not be read, or were too long. */
    readonly dropped: number;
  };
}

/** A kept prompt, and the way to it. */
interface Node {
  readonly path: readonly PromptState[];
  /** The mean of the path's rewards. */
  readonly score: number;
  /** The last round's answers under it. */
  readonly judged: readonly JudgedAnswer[];
}

const CALLER = "optimizePrompt";

/**
 * Dynamic rewarding with prompt optimization (DRPO; Singla et al. 2024, arXiv 2411.08733; the paper's text was not at hand, so
 * this is a reconstruction). It needs no gradients: a judge model scores the answers that a model gives under a system prompt, and
 * a writer, by default the judge, writes the prompt anew.
 *
 * 1. **Examples**: for some queries the model's answer is judged, and rewritten up to five times at temperature 0; the best is kept.
 * 2. **Prompt**: beam search. A state is a system prompt; its reward is the mean score (1 to 5) of the answers to the round's queries,
 *    by the two to five aspects that the judge chose for each query. Every kept state is rewritten three times, unless its
 *    reward exceeds 4.5; the two paths with the largest mean reward are kept; twenty rounds.
 *
 * The result is the prompt with the largest mean reward on the best path, the first of equals. An answer of the judge that cannot
 * be read scores 0 and is counted, an aspect that it invents is ignored, and a prompt that cannot be read is dropped.
 * With equal seeds and models that answer alike it asks the same, so that with a `transcript` a run that was killed goes on
 * without asking anything again, and ends as one that never stopped.
 *
 * @returns the best prompt, also where the budget or the signal ended the search.
 * @throws (the returned promise rejects) for options out of range, before anything is asked, and a {@link ChatError} for a
 * request that fails for good; with a transcript, a further run goes on from there.
 * @example const { prompt } = await optimizePrompt({ model, judge, queries, budget: { requests: 2000 } });
 */
export async function optimizePrompt(options: OptimizePromptOptions): Promise<OptimizedPrompt> {
  const own = checked(options);
  const { queries, prompt, seed, enough } = own;
  const requests = requestsOf(CALLER, own.how);
  const model = requests.of("model", options.model);
  const writer = requests.of("writer", options.writer ?? options.judge);
  const judge = judgeOf(requests.of("judge", options.judge), own.aspects);
  const order = shuffled(queries, seed);
  let examples: readonly PromptExample[] = [];
  let beam: readonly Node[] = [];
  let dropped = 0;

  const tell = (stage: PromptProgress["stage"], done: number, of: number): void =>
    options.onProgress?.({ stage, done, of, best: bestOf(beam[0]?.path ?? []), ...requests.spent });

  /** The queries of a round. */
  const queriesOf = (round: number): readonly string[] => {
    const count = Math.min(own.queriesPerStep, order.length);
    return Array.from({ length: count }, (_, i) => order[(round * count + i) % order.length]!);
  };

  /** A prompt after a path, judged by its answers to some queries. */
  async function judgedNode(
    text: string,
    before: readonly PromptState[],
    asked: readonly string[],
  ): Promise<Node> {
    const judged = await allOf(
      asked.map(async (query): Promise<JudgedAnswer> => {
        const messages = promptMessages({ prompt: text, examples }, query, own.shown);
        const answer = await model(messages, { temperature: 0, maxTokens: own.maxTokens });
        return { query, answer, verdict: await judge.judge(query, answer) };
      }),
    );
    const reward = mean(judged.map(({ verdict }) => verdict.reward));
    const path = [...before, { prompt: text, reward }];
    return { path, score: mean(path.map((state) => state.reward)), judged };
  }

  /** A state's prompts in the next round; its own where it is good enough, or none could be read. */
  async function rewritten({ path, judged }: Node, round: number): Promise<readonly string[]> {
    const state = path.at(-1)!;
    if (state.reward > enough) return [state.prompt];
    const request = promptRequest(state.prompt, judged);
    const said = await allOf(
      Array.from({ length: own.rewrites }, (_, i) => {
        const draw = Math.floor(randomGenerator(`${seed} ${round} ${i}`)() * 2 ** 31);
        const how = { temperature: own.temperature, maxTokens: WRITER_TOKENS, seed: draw };
        return writer(request, how);
      }),
    );
    const prompts = said.map((text) => writtenIn(text, "prompt", own.maxPrompt));
    const read = prompts.filter((text) => text !== null);
    dropped += prompts.length - read.length;
    return read.length > 0 ? read : [state.prompt];
  }

  /** The beam of the next round. Of equal prompts the one on the best path stands for all. */
  async function next(round: number): Promise<readonly Node[]> {
    const found = new Map<string, Node>();
    const children = await allOf(beam.map((node) => rewritten(node, round)));
    for (const [i, prompts] of children.entries()) {
      for (const text of prompts) if (!found.has(text)) found.set(text, beam[i]!);
    }
    const asked = queriesOf(round);
    const nodes = await allOf([...found].map(([text, { path }]) => judgedNode(text, path, asked)));
    return nodes.sort((a, b) => b.score - a.score).slice(0, own.beam);
  }

  let end: OptimizedPrompt["end"] = "depth";
  try {
    if (own.examples > 0) {
      const { rewrites: _, ...rest } = own;
      const stage = { ...rest, model, writer, judge, rewrites: own.exampleRewrites };
      tell("examples", 0, own.examples);
      await bestExamples(order.slice(0, own.examples), stage, (made) => {
        examples = made;
        tell("examples", made.length, own.examples);
      });
    }
    beam = [await judgedNode(prompt, [], queriesOf(0))];
    tell("prompt", 0, own.depth);
    for (let round = 1; round <= own.depth; round++) {
      beam = await next(round);
      tell("prompt", round, own.depth);
    }
  } catch (error) {
    if (!(error instanceof Halted)) throw error;
    end = error.reason;
  }
  const { path = [], score = null } = beam[0] ?? {};
  const best = bestOf(path);
  return {
    prompt: best?.prompt ?? prompt,
    reward: best?.reward ?? null,
    path,
    score,
    examples,
    end,
    counts: { ...requests.spent, ...judge.counts, dropped },
  };
}

/** The options with their defaults. */
function checked(options: OptimizePromptOptions) {
  checkOptions(
    CALLER,
    options,
    "model",
    "judge",
    "writer",
    "queries",
    "prompt",
    "aspects",
    "rewrites",
    "beam",
    "depth",
    "queriesPerStep",
    "enough",
    "examples",
    "exampleRewrites",
    "shown",
    "temperature",
    "maxTokens",
    "maxPrompt",
    "seed",
    "onProgress",
    ...REQUEST_OPTIONS,
  );
  const { queries, prompt = "You are a helpful assistant.", aspects = REWARD_ASPECTS } = options;
  const { rewrites = 3, beam = 2, depth = 20, queriesPerStep = 4, enough = 4.5 } = options;
  const { examples = 16, exampleRewrites = 5, shown = 3, temperature = 0.7, seed = 0 } = options;
  const { maxTokens = 1024, maxPrompt = 8000, maxAnswer = 32_768 } = options;
  const isText = (text: unknown): boolean => typeof text === "string" && text.trim() !== "";
  if (!Array.isArray(queries) || queries.length === 0 || !queries.every(isText)) {
    throw new TypeError(`${CALLER}: queries must be a list of texts, none of them empty`);
  }
  if (new Set(queries).size < queries.length) {
    throw new TypeError(`${CALLER}: queries must be distinct, ${queries.length} hold an equal one`);
  }
  if (!isText(prompt)) {
    throw new TypeError(`${CALLER}: prompt must be a text, got ${describeValue(prompt)}`);
  }
  checkAspects(CALLER, aspects);
  const counts = { rewrites, beam, queriesPerStep, maxTokens, maxPrompt };
  for (const [name, count] of Object.entries(counts)) checkCount(CALLER, name, count, 1);
  const others = { depth, examples, exampleRewrites, shown };
  for (const [name, count] of Object.entries(others)) checkCount(CALLER, name, count);
  checkNumber(CALLER, "enough", enough, () => true, "that is finite");
  checkNumber(CALLER, "temperature", temperature, (t) => t >= 0, "≥ 0");
  const how = Object.fromEntries(
    REQUEST_OPTIONS.flatMap((name) => (name in options ? [[name, options[name]]] : [])),
  ) as RequestOptions;
  return {
    ...{ queries, prompt, aspects, enough, temperature, seed, maxAnswer, how },
    ...counts,
    ...others,
    examples: Math.min(examples, queries.length),
  };
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** The prompt of a path with the largest mean reward, the first of equals. */
function bestOf(path: readonly PromptState[]): PromptState | null {
  const rewards = new Map<string, number[]>();
  for (const { prompt, reward } of path) {
    rewards.set(prompt, [...(rewards.get(prompt) ?? []), reward]);
  }
  let best: PromptState | null = null;
  for (const [prompt, own] of rewards) {
    const reward = mean(own);
    if (best === null || reward > best.reward) best = { prompt, reward };
  }
  return best;
}

/** Queries in random order (Fisher–Yates). */
function shuffled(queries: readonly string[], seed: number | string): readonly string[] {
  const next = randomGenerator(`${seed} queries`);
  const order = [...queries];
  for (let last = order.length - 1; last > 0; last--) {
    const k = Math.floor(next() * (last + 1));
    [order[last], order[k]] = [order[k]!, order[last]!];
  }
  return order;
}
