/**
 * Examples in a conversation: a query and an answer that was judged good.
 * @module
 */

import type { ChatTurn } from "../chat/chatModel.js";
import { type Ask, allOf } from "../chat/requests.js";
import type { Judge } from "./judge.js";
import { answerRequest, WRITER_TOKENS, writtenIn } from "./writer.js";

/** A query with the best answer that was found. */
export interface PromptExample {
  readonly query: string;
  readonly answer: string;
  /** Its mean score. */
  readonly reward: number;
}

/** What finding examples needs. */
export interface ExampleStage {
  readonly model: Ask;
  readonly writer: Ask;
  readonly judge: Judge;
  readonly prompt: string;
  readonly rewrites: number;
  /** A mean score above which nothing is rewritten. */
  readonly enough: number;
  readonly maxTokens: number;
  readonly maxAnswer: number;
}

/** The best of an answer and its rewrites, each of the one before it, at temperature 0. */
async function bestExample(query: string, stage: ExampleStage): Promise<PromptExample> {
  const { model, writer, judge, prompt, rewrites, enough, maxTokens, maxAnswer } = stage;
  const first = promptMessages({ prompt, examples: [] }, query);
  let answer = await model(first, { temperature: 0, maxTokens });
  let verdict = await judge.judge(query, answer);
  let best: PromptExample = { query, answer, reward: verdict.reward };
  for (let i = 0; i < rewrites && best.reward <= enough; i++) {
    const request = answerRequest({ query, answer, verdict });
    const said = await writer(request, { temperature: 0, maxTokens: WRITER_TOKENS });
    const next = writtenIn(said, "answer", maxAnswer);
    // Asked the same again at temperature 0, the writer would write the same.
    if (next === null || next === answer) break;
    answer = next;
    verdict = await judge.judge(query, answer);
    if (verdict.reward > best.reward) best = { query, answer, reward: verdict.reward };
  }
  return best;
}

/**
 * Makes the best examples for several queries.
 * @param onDone Gets those that are made so far, in the queries' order.
 */
export async function bestExamples(
  queries: readonly string[],
  stage: ExampleStage,
  onDone: (examples: readonly PromptExample[]) => void,
): Promise<void> {
  const made = new Map<string, PromptExample>();
  await allOf(
    [...new Set(queries)].map(async (query) => {
      made.set(query, await bestExample(query, stage));
      onDone(queries.flatMap((own) => made.get(own) ?? []));
    }),
  );
}

/** Examples that are shown before a query. */
const SHOWN = 3;

/**
 * The conversation in which a model gets a prompt that {@link optimizePrompt} found: the system prompt, the examples whose queries
 * have most words in common with the query (cosine of word counts; ties in their order), and the query.
 *
 * @param shown Examples, at most; default 3.
 * @example const answer = await model(promptMessages(found, query), {});
 */
export function promptMessages(
  { prompt, examples }: { readonly prompt: string; readonly examples: readonly PromptExample[] },
  query: string,
  shown = SHOWN,
): readonly ChatTurn[] {
  const own = wordsOf(query);
  const near = examples
    .filter((example) => example.query !== query)
    .map((example) => ({ example, likeness: cosine(own, wordsOf(example.query)) }))
    .sort((a, b) => b.likeness - a.likeness)
    .slice(0, shown);
  return [
    { role: "system", content: prompt },
    // The likest stands last, next to the query.
    ...near.reverse().flatMap(({ example }): ChatTurn[] => [
      { role: "user", content: example.query },
      { role: "assistant", content: example.answer },
    ]),
    { role: "user", content: query },
  ];
}

function wordsOf(text: string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{N}]+/gu)) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

function cosine(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  const norm = (counts: ReadonlyMap<string, number>): number =>
    Math.sqrt([...counts.values()].reduce((sum, n) => sum + n * n, 0));
  const product = [...a].reduce((sum, [word, n]) => sum + n * (b.get(word) ?? 0), 0);
  return product === 0 ? 0 : product / (norm(a) * norm(b));
}
