/**
 * Rewards: what a completion of a prompt is worth, and the check of what a reward gives.
 * @module
 */

import { checkFunction, describeValue } from "../checks.js";

/**
 * A reward: a number for each completion of a prompt, the larger the better, in their order. It may be an exact checker,
 * a function of one's own, the log-ratio of a policy and its reference, or a judge model. The same prompt and completions
 * are to give the same numbers, else a run that goes on ends elsewhere.
 *
 * @typeParam Text what it reads: texts (default), or the ids of tokens where there is no tokenizer.
 * @example const exact: Reward = (prompt, completions) => completions.map((text) => Number(text === answers.get(prompt)));
 */
export type Reward<Text = string> = (
  prompt: Text,
  completions: readonly Text[],
) => ArrayLike<number> | PromiseLike<ArrayLike<number>>;

/**
 * The rewards of a prompt's completions, checked.
 *
 * @returns as many finite numbers as completions.
 * @throws (the returned promise rejects) for a reward that is no function, gives another number of numbers, or one that
 * is not finite, naming the prompt; and whatever the reward throws.
 * @example const rewards = await rewardsOf(exact, "2+2=", ["4", "5"]); // [1, 0]
 */
export async function rewardsOf<Text = string>(
  reward: Reward<Text>,
  prompt: Text,
  completions: readonly Text[],
): Promise<number[]> {
  checkFunction("reward", reward);
  const given: unknown = await reward(prompt, completions);
  if (!isList(given) || given.length !== completions.length) {
    const found = isList(given) ? `${given.length}` : describeValue(given);
    throw new TypeError(
      `reward: it must give ${completions.length} numbers, one for each completion, got ${found} for the ` +
        `prompt ${inFewWords(prompt)}`,
    );
  }
  const rewards = Array.from(given);
  const wrong = rewards.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) {
    throw new RangeError(
      `reward: it must give finite numbers, got ${describeValue(rewards[wrong])} for completion ${wrong} of the prompt ` +
        inFewWords(prompt),
    );
  }
  return rewards as number[];
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && "length" in value);
}

/** A prompt's beginning. */
function inFewWords(prompt: unknown): string {
  const text = JSON.stringify(prompt);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
