/**
 * APO: iterations of preference optimization with momentum over the parameters.
 * @module
 */

import { checkNumber } from "../checks.js";
import type { LossConfig } from "../losses/names/lossConfig.js";
import type { LossChoice } from "../training/preferenceLosses.js";
import type { PromptText } from "./candidates.js";
import { firstRoundRank, type Pairing } from "./rewardRanking.js";
import { type LoopOptions, type LoopResult, trainRounds } from "./rounds.js";

/** Options of {@link apo}. */
export interface ApoOptions<P, Text extends PromptText = string> extends LoopOptions<P, Text> {
  /** Iterations; default 3. */
  readonly rounds?: number;
  /** Default 2. */
  readonly samples?: number;
  /** Momentum, at least 0 and below 1; default 0.3. At 0 it is iterative DPO. */
  readonly alpha?: number;
  /** Default `"sigmoid"`, which is DPO. */
  readonly loss?: LossChoice;
  /** Default for `"sigmoid"`: β 0.01, 0.1, and 1 from the third iteration on; else the loss's own. */
  readonly lossOptions?: LossConfig | ((round: number) => LossConfig);
  /** Default {@link firstRoundRank}, of all candidates. */
  readonly pairing?: Pairing;
}

/**
 * Accelerated preference optimization (APO; He et al. 2024, arXiv 2410.06293). From θ₀ = θ̂₀, iteration t samples from
 * `π(θ_t)`, ranks the candidates into pairs by reward, trains from θ_t with a loss of pairs whose reference is `π(θ_t)`,
 * which ends at θ̂, and extrapolates it:
 *
 * `θ_{t+1} = θ̂_{t+1} + α(θ̂_{t+1} − θ̂_t)`
 *
 * The result is θ̂ of the last iteration; θ is `state.policy`, with one iteration ExPO's ({@link extrapolate}). The
 * momentum is over all of the model's parameters; with `lora` over its weights with each iteration's adapter in them, so
 * over the adapters' products, not their factors.
 *
 * Where logits are the parameters and each iteration ends at its optimum, the policy is
 * `π̂_{t+1} ∝ π₀·exp(Σ_i (1 − α^(t+1−i))/(1 − α)·r_i/β)`.
 *
 * The paper's text was not at hand: formulas and settings are those of secondary descriptions.
 *
 * Same options, same bits, on one device; a loop that goes on from a state ends with those of one that never stopped.
 *
 * @throws (the returned promise rejects) for options that are unknown or out of range, before anything is computed; and
 * what the reward and {@link fit} throw.
 * @example
 * const { parameters } = await apo({
 *   lm, prompts, reward, maxNewTokens: 64, alpha: 0.3, training: { learningRate: 1e-5, epochs: 1 },
 * });
 */
export async function apo<P, Text extends PromptText = string>(
  options: ApoOptions<P, Text>,
): Promise<LoopResult<P>> {
  const { rounds = 3, samples = 2, alpha = 0.3, loss = "sigmoid" } = options ?? {};
  const { lossOptions = loss === "sigmoid" ? publishedBeta : {}, pairing = firstRoundRank } =
    options ?? {};
  checkNumber("apo", "alpha", alpha, (a) => a >= 0 && a < 1, "≥ 0 and < 1");
  checkNumber("apo", "samples", samples, (n) => n >= 2, "≥ 2, which make a pair");
  return trainRounds(
    {
      name: "apo",
      rounds,
      samples,
      loss,
      lossOptions,
      pairing,
      alpha,
      own: { alpha },
      accepted: (rewards) => rewards.map((_, i) => i),
    },
    options,
  );
}

/** The paper's, as secondary sources have it. */
const publishedBeta = (round: number): LossConfig => ({ beta: [0.01, 0.1][round] ?? 1 });
