/**
 * Self-guided DPO: each completion's reward against a part of the other's.
 * @module
 */

import { checkNumber, checkOptions } from "../checks.js";
import type { DType } from "../kernels/dtype.js";
import { checkTokens, maskedCount } from "../logprobs/tokenInputs.js";
import { stopGradient } from "../ops/composite.js";
import {
  argsort,
  cast,
  cumsum,
  floor,
  maximum,
  minimum,
  slice,
  takeAlongAxis,
  where,
} from "../ops/index.js";
import { tensor } from "../tensor/create.js";
import { generatorOf, type RandomGenerator, randomGenerator } from "../tensor/random.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkBeta, checkLabelSmoothing } from "./inputs.js";
import { smoothedLogistic } from "./logistic.js";
import { logRatios, ratioLoss } from "./logRatios.js";
import { perPairTensor } from "./perPair.js";
import type { PairLogProbs, PreferenceLoss } from "./types.js";

/** Options of {@link sgdpoLoss}. */
export interface SgdpoLossOptions {
  /** P_w, log-ratio of a part of the chosen completion, nats, [batch]: see {@link sgdpoPilots}. Needed. */
  readonly pilotChosen?: Tensor;
  /** P_l, the same of the rejected completion. Needed. */
  readonly pilotRejected?: Tensor;
  /** β > 0; default 0.1. */
  readonly beta?: number;
  /** ε in [0, ½], in each half as in cDPO; default 0. */
  readonly labelSmoothing?: number;
}

/**
 * SGDPO (arXiv 2505.12435). With `r = log π_θ − log π_ref` and pilots P, nats:
 *
 * `½ h(β(r_w − P_l)) + ½ h(β(P_w − r_l))`, `h(z) = −(1−ε) log σ(z) − ε log σ(−z)`
 *
 * No gradient flows to the pilots. At policy = reference the loss is ln 2 and its gradient half of
 * DPO's. Rewards are `β·r`. The paper's text was not at hand.
 *
 * @param pairs Needs `referenceChosen` and `referenceRejected`.
 * @throws for missing or misshapen inputs (the pilots among them) and options out of range.
 */
export function sgdpoLoss(pairs: PairLogProbs, options: SgdpoLossOptions = {}): PreferenceLoss {
  const { beta = 0.1, labelSmoothing = 0 } = options;
  checkOptions("sgdpoLoss", options, "pilotChosen", "pilotRejected", "beta", "labelSmoothing");
  checkBeta("sgdpoLoss", beta);
  checkLabelSmoothing("sgdpoLoss", labelSmoothing);
  const ratios = logRatios("sgdpoLoss", pairs);
  const pilot = (which: "pilotChosen" | "pilotRejected") =>
    stopGradient(
      perPairTensor(
        "sgdpoLoss",
        which,
        "log-ratios of a part of the completions",
        options[which],
        pairs.chosen,
      ),
    );
  const guided = (margin: Tensor) => smoothedLogistic(margin.mul(beta), labelSmoothing).mul(0.5);
  const chosen = guided(ratios.chosenRatio.sub(pilot("pilotRejected")));
  const rejected = guided(pilot("pilotChosen").sub(ratios.rejectedRatio));
  return ratioLoss(chosen.add(rejected), ratios, beta);
}

/** A completion's tokens, for {@link sgdpoPilots}. */
export interface TokenRatios {
  /** `log π_θ − log π_ref` of each token, nats, [B, T−1]: see {@link tokenLogProbs}. */
  readonly ratios: Tensor;
  /** `[B, T]`: true or 1 at the completion's tokens. */
  readonly mask: Tensor;
}

/** Options of {@link sgdpoPilots}. */
export interface SgdpoPilotsOptions {
  /** Same seed, same draw; a generator continues its sequence. Wanted in evaluation too. */
  readonly seed: number | string | RandomGenerator;
  /** What tells pairs apart in the draw, [B]: their numbers in a dataset. Default: their places in the batch. */
  readonly rows?: readonly (number | string)[];
  /** r₁ in (0, 1], the chosen completion's part; default 0.6 (0.7 in the recipe for 8B models). */
  readonly chosenRatio?: number;
  /** r₂ in (0, 1], the rejected completion's part; default 0.9. */
  readonly rejectedRatio?: number;
}

/**
 * SGDPO's pilots (arXiv 2505.12435), [B] each, without gradient: the log-ratio summed over tokens drawn
 * without replacement, `max(⌊r₁·m⌋, 1)` of the chosen and, independently, `max(⌊r₂·m⌋, 1)` of the
 * rejected completion, m being the length of the shorter. An empty completion gives 0. The result goes
 * into {@link sgdpoLoss}'s options.
 *
 * What is drawn depends on the seed, a pair's number in `rows` (or its place in the batch) and its completions'
 * lengths, not on where the completions stand in the sequences or on how wide the batch is.
 *
 * @throws if shapes do not fit or a ratio is out of range.
 */
export function sgdpoPilots(
  chosen: TokenRatios,
  rejected: TokenRatios,
  options: SgdpoPilotsOptions,
): { readonly pilotChosen: Tensor; readonly pilotRejected: Tensor } {
  const { chosenRatio = 0.6, rejectedRatio = 0.9, seed } = options;
  checkOptions("sgdpoPilots", options, "seed", "rows", "chosenRatio", "rejectedRatio");
  checkNumber("sgdpoPilots", "chosenRatio", chosenRatio, (r) => r > 0 && r <= 1, "in (0, 1]");
  checkNumber("sgdpoPilots", "rejectedRatio", rejectedRatio, (r) => r > 0 && r <= 1, "in (0, 1]");
  for (const { ratios, mask } of [chosen, rejected]) {
    checkTokens("sgdpoPilots", "ratios", ratios, mask);
  }
  if (chosen.ratios.shape[0] !== rejected.ratios.shape[0]) {
    throw new RangeError(
      `sgdpoPilots: chosen ${formatShape(chosen.ratios.shape)} and rejected ${formatShape(rejected.ratios.shape)} differ in B`,
    );
  }
  const count = chosen.ratios.shape[0]!;
  const { rows = Array.from({ length: count }, (_, row) => row) } = options;
  if (rows.length !== count) {
    throw new RangeError(`sgdpoPilots: rows must have ${count} entries, got ${rows.length}`);
  }
  const { dtype } = chosen.ratios;
  const lengths = [chosen, rejected].map(({ mask }) => maskedCount(mask, dtype));
  const shorter = minimum(lengths[0]!, lengths[1]!);
  const root = generatorOf("sgdpoPilot", seed)();
  const pilot = ({ ratios, mask }: TokenRatios, share: number, side: string): Tensor => {
    // r·m that is an integer but for rounding stays it: 2⁻²² is more than float32 loses of the share and of the product.
    const size = maximum(floor(shorter.mul(share * (1 + 2 ** -22))), 1);
    const within = slice(cast(mask, "bool"), null, [1]);
    const nth = maximum(cumsum(within).sub(1), 0);
    const seeds = rows.map((row) => `${root} ${side} ${row}`);
    const drawn = takeAlongAxis(draws(seeds, ratios.shape[1]!, dtype), nth);
    const rank = argsort(argsort(where(within, drawn, 2)));
    const taken = rank.less(size.reshape([ratios.shape[0]!, 1]));
    return stopGradient(where(taken, where(within, ratios, 0), 0).sum(-1));
  };
  return {
    pilotChosen: pilot(chosen, chosenRatio, "chosen"),
    pilotRejected: pilot(rejected, rejectedRatio, "rejected"),
  };
}

/** Uniform numbers, each row with a generator of its own: a wider row begins with the same ones. */
function draws(seeds: readonly string[], columns: number, dtype: DType): Tensor {
  const values = seeds.flatMap((seed) => Array.from({ length: columns }, randomGenerator(seed)));
  return tensor(values, { dtype }).reshape([seeds.length, columns]);
}
