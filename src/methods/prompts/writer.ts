/**
 * A model that writes prompts and answers anew, after what a judge said of them.
 * @module
 */

import type { ChatTurn } from "../chat/chatModel.js";
import { plainText } from "../chat/redact.js";
import { FENCES_NOTE, fencesFor, objectIn, ownField } from "./fences.js";
import type { Verdict } from "./judge.js";

/** An answer that was judged. */
export interface JudgedAnswer {
  readonly query: string;
  readonly answer: string;
  readonly verdict: Verdict;
}

/** Tokens of what is written, at most. */
export const WRITER_TOKENS = 4096;

const scoresOf = ({ scores }: Verdict): string =>
  Object.entries(scores)
    .map(([name, score]) => `${name} ${score}`)
    .join(", ") || "none";

const textsOf = ({ query, answer, verdict }: JudgedAnswer): string[] => [
  query,
  answer,
  verdict.feedback,
];

function judgedText(judged: JudgedAnswer, fence: ReturnType<typeof fencesFor>): string {
  const [query, answer, feedback] = textsOf(judged);
  return [
    fence("query", query!),
    fence("answer", answer!),
    `Scores, 1 to 5: ${scoresOf(judged.verdict)}`,
    fence("feedback", feedback!),
  ].join("\n");
}

/** Asks for a better system prompt. */
export function promptRequest(
  prompt: string,
  judged: readonly JudgedAnswer[],
): readonly ChatTurn[] {
  const fence = fencesFor([prompt, ...judged.flatMap(textsOf)]);
  return [
    {
      role: "system",
      content:
        "You improve the system prompt of a language model. You see the prompt, queries, what the model answered under the " +
        "prompt, and what a judge said. Keep what works, and change or add what makes the model answer queries of this kind better, not " +
        `these queries alone. ${FENCES_NOTE} Answer with one JSON object and nothing else: {"prompt": "the whole new system prompt"}.`,
    },
    {
      role: "user",
      content: [fence("prompt", prompt), ...judged.map((own) => judgedText(own, fence))].join(
        "\n\n",
      ),
    },
  ];
}

/** Asks for a better answer. */
export function answerRequest(judged: JudgedAnswer): readonly ChatTurn[] {
  const fence = fencesFor(textsOf(judged));
  return [
    {
      role: "system",
      content:
        "You rewrite an answer to a query so that it is better in what a judge found wanting. " +
        `${FENCES_NOTE} Answer with one JSON object and nothing else: {"answer": "the whole new answer"}.`,
    },
    { role: "user", content: judgedText(judged, fence) },
  ];
}

/** What was written; null where the writer's answer cannot be read, or the text is empty or too long. */
export function writtenIn(
  said: string,
  field: "prompt" | "answer",
  longest: number,
): string | null {
  const text = ownField(objectIn(said) ?? {}, field);
  if (typeof text !== "string") return null;
  const plain = plainText(text).trim();
  return plain === "" || plain.length > longest ? null : plain;
}
