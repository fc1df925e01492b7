/**
 * The implicit reward of a policy and its reference.
 * @module
 */

import { checkCount, checkNumber, checkOptions, describeValue } from "../checks.js";
import { checkTokenizer } from "../data/options.js";
import { promptTokenizer } from "../data/tokens.js";
import type { Tokenizer } from "../models/tokenizer.js";
import { realize } from "../tensor/evaluate.js";
import { checkPolicy, type Policy } from "../training/policy.js";
import { completion, packSequences, type Sequence, scoreSequences } from "../training/sequences.js";
import type { PromptText } from "./candidates.js";
import type { Reward } from "./reward.js";

/** Options of {@link implicitReward}. */
export interface ImplicitRewardOptions {
  /** The policy π_θ: {@link fullPolicy} of a model, or {@link loraPolicy} of one with an adapter. */
  readonly policy: Policy<unknown>;
  /** The reference π_ref; its tokens are the policy's. */
  readonly reference: Policy<unknown>;
  /** β > 0; default 0.1, as {@link dpoLoss} has it. It changes no order. */
  readonly beta?: number;
  /**
   * Makes tokens of texts as {@link readPreferences} does, so with the end token behind a completion. Default none: prompts
   * and completions are ids, which say themselves whether they end.
   */
  readonly tokenizer?: Tokenizer | null;
  /** Completions that are read together; default 8. */
  readonly batchSize?: number;
}

/** Sizes of packed batches are multiples of it: completions seldom have sizes that were met before. */
const MULTIPLE = 32;

/**
 * The implicit reward of a policy π_θ against its reference π_ref as a {@link Reward} (DPO; Rafailov et al. 2023, arXiv
 * 2305.18290, sections 4 and 5):
 *
 * `r(x, y) = β(log π_θ(y | x) − log π_ref(y | x))`,
 *
 * with log-probabilities in nats, summed over the completion's tokens. It is the reward under which π_θ is optimal against
 * π_ref with the penalty β·KL, but for a term of the prompt alone: rewards of one prompt's completions can be compared, those of
 * different prompts cannot. An empty completion has 0. Nothing is divided by lengths.
 *
 * @throws for options out of range. The reward rejects for ids that are none of the model's.
 * @example
 * const reward = implicitReward({ policy: loraPolicy(lm, adapter), reference: fullPolicy(lm), tokenizer: lm.tokenizer });
 */
export function implicitReward(
  options: ImplicitRewardOptions & { readonly tokenizer: Tokenizer },
): Reward;
export function implicitReward(options: ImplicitRewardOptions): Reward<readonly number[]>;
export function implicitReward(options: ImplicitRewardOptions): Reward<never> {
  const caller = "implicitReward";
  checkOptions(caller, options, "policy", "reference", "beta", "tokenizer", "batchSize");
  const { policy, reference, beta = 0.1, tokenizer, batchSize = 8 } = options;
  checkPolicy(caller, policy);
  checkPolicy(caller, reference);
  checkNumber(caller, "beta", beta, (b) => b > 0, "> 0");
  checkCount(caller, "batchSize", batchSize, 1);
  if (tokenizer) checkTokenizer(caller, tokenizer);
  const tokensOf = tokenizer ? textTokens(tokenizer) : idTokens;

  /** Log-probabilities of sequences, nats. */
  async function logRatios(sequences: readonly Sequence[]): Promise<number[]> {
    const packed = await packSequences(sequences, { multipleOf: MULTIPLE });
    const [own, other] = await realize([
      scoreSequences(policy, policy.parameters, packed).logProbs,
      scoreSequences(reference, reference.parameters, packed).logProbs,
    ]);
    const [logProbs, referenceLogProbs] = [await own!.data(), await other!.data()];
    return Array.from(logProbs, (logProb, i) => logProb - referenceLogProbs[i]!);
  }

  const reward: Reward<PromptText> = async (prompt, completions) => {
    const { promptIds, completionIds } = tokensOf(prompt, completions);
    const rewards = completions.map(() => 0);
    const asked = completionIds.flatMap((ids, i) =>
      ids.length === 0 ? [] : [{ i, sequence: completion(promptIds, ids) }],
    );
    for (let start = 0; start < asked.length; start += batchSize) {
      const batch = asked.slice(start, start + batchSize);
      const found = await logRatios(batch.map(({ sequence }) => sequence));
      for (const [k, { i }] of batch.entries()) rewards[i] = beta * found[k]!;
    }
    return rewards;
  };
  return reward as Reward<never>;
}

/** A prompt's tokens and its completions'. */
type TokensOf = (
  prompt: PromptText,
  completions: readonly PromptText[],
) => {
  readonly promptIds: ArrayLike<number>;
  readonly completionIds: readonly ArrayLike<number>[];
};

function textTokens(tokenizer: Tokenizer): TokensOf {
  const tokens = promptTokenizer(tokenizer, "safe");
  return (prompt, completions) => {
    if (typeof prompt !== "string") throw notOfKind("a text, since there is a tokenizer", prompt);
    const texts = completions as readonly string[];
    const row = { prompt, completions: texts, implicit: false, repeated: false, variables: {} };
    return texts.length === 0 ? { promptIds: [], completionIds: [] } : tokens(row);
  };
}

const idTokens: TokensOf = (prompt, completions) => {
  if (typeof prompt === "string") {
    throw notOfKind("ids; for texts give the option tokenizer", prompt);
  }
  return { promptIds: prompt, completionIds: completions as readonly (readonly number[])[] };
};

const notOfKind = (wanted: string, prompt: unknown): Error =>
  new TypeError(`implicitReward: the prompt must be ${wanted}, got ${describeValue(prompt)}`);
