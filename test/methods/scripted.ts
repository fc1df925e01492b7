/**
 * Models that follow a script, whose best prompt is known.
 */

import type { ChatModel, ChatTurn } from "../../src/methods/index.js";

/** The text between the marks of a request, by its label; of several the first. */
export function fenced(turns: readonly ChatTurn[], label: string): string {
  const { content } = turns.at(-1)!;
  const found = new RegExp(
    `\\[begin ${label} (#\\d+)\\]\\n([\\s\\S]*?)\\n\\[end ${label} \\1\\]`,
  ).exec(content);
  return found![2]!;
}

/** What a request to a judge or a writer is for. */
export function purposeOf(turns: readonly ChatTurn[]): "choose" | "judge" | "prompt" | "answer" {
  const [{ content }] = turns as [ChatTurn];
  if (content.startsWith("You choose")) return "choose";
  if (content.startsWith("You judge")) return "judge";
  return content.startsWith("You improve") ? "prompt" : "answer";
}

/** A model that says which prompt it was given, and the query. */
export const echo: ChatModel = async (turns) => `${turns[0]!.content} / ${turns.at(-1)!.content}`;

/** A judge's answer. */
export const scored = (scores: object, feedback = "better"): string =>
  JSON.stringify({ scores, feedback });

/** Rewards of prompts, and which are written for which. */
export interface Tree {
  readonly [prompt: string]: readonly [reward: number, ...rewrites: string[]];
}

/** The only thing that trees are judged by. */
export const QUALITY = { quality: "Is it good?" };

/** Queries of trees: rewards are multiples of 1/4. */
export const FOUR = ["q0", "q1", "q2", "q3"];

/**
 * A judge of the prompts of a tree, which writes the children of a prompt in turn. Of the four queries' scores the mean is
 * the reward of the prompt.
 */
export function treeJudge(tree: Tree): ChatModel & { written: string[] } {
  const written: string[] = [];
  const judge: ChatModel = async (turns) => {
    if (purposeOf(turns) === "prompt") {
      const prompt = fenced(turns, "prompt");
      const [, ...rewrites] = tree[prompt]!;
      const nth = written.filter((own) => own === prompt).length;
      written.push(prompt);
      return JSON.stringify({ prompt: rewrites[nth % rewrites.length] });
    }
    const [prompt, query] = fenced(turns, "answer").split(" / ") as [string, string];
    const [reward] = tree[prompt]!;
    const share = 4 * (reward % 1);
    return scored({ quality: Math.floor(reward) + (FOUR.indexOf(query) < share ? 1 : 0) });
  };
  return Object.assign(judge, { written });
}

/** The rules that a good prompt has. */
export const RULES = ["be brief", "give reasons", "name sources"];

/**
 * A judge that scores 1 and one more for each rule of {@link RULES} that the prompt has, and a writer that adds a rule, which
 * the seed chooses; of four rules one is of no use.
 */
export const rulesJudge: ChatModel = async (turns, { seed }) => {
  if (purposeOf(turns) === "choose") return '{"aspects": ["clarity", "depth"]}';
  if (purposeOf(turns) === "prompt") {
    const rule = [...RULES, "be loud"][seed! % 4]!;
    const prompt = fenced(turns, "prompt");
    return JSON.stringify({ prompt: prompt.includes(rule) ? prompt : `${prompt}; ${rule}` });
  }
  const answer = fenced(turns, "answer");
  const score = 1 + RULES.filter((rule) => answer.includes(rule)).length;
  return scored({ clarity: score, depth: score });
};
