/**
 * Directions to step against, made of a gradient and its moments, with their constants: what optimizers
 * and the links of chains share, for one parameter.
 * @module
 */

import { checkNumber } from "../checks.js";
import { add, div, mul, square } from "../ops/elementwise.js";
import type { Tensor } from "../tensor/tensor.js";
import { softRoot } from "./softRoot.js";

/** `v ← μ·v + g`; the direction is v, or `g + μ·v` with Nesterov's look-ahead. */
export function momentumDirection(
  g: Tensor,
  velocity: Tensor,
  momentum: number,
  nesterov = false,
): [direction: Tensor, velocity: Tensor] {
  const moved = add(mul(velocity, momentum), g);
  return [nesterov ? add(g, mul(moved, momentum)) : moved, moved];
}

/** Rejects a momentum, or the decay of a moving mean, outside [0, 1). */
export function checkDecay(caller: string, option: string, decay: number): void {
  checkNumber(caller, option, decay, (x) => x >= 0 && x < 1, "in [0, 1)");
}

/** Constants of RMSProp: options of {@link scaleByRms}, and of {@link rmsprop} among others. */
export interface RmsOptions {
  /** Decay ρ of the mean of the squared gradients, in [0, 1); default 0.99. */
  readonly decay?: number;
  /** ε > 0, added to the root; default 1e-8. */
  readonly epsilon?: number;
}

/** The constants, checked. */
export function rmsConstants(caller: string, options: RmsOptions): Required<RmsOptions> {
  const { decay = 0.99, epsilon = 1e-8 } = options;
  checkDecay(caller, "decay", decay);
  checkNumber(caller, "epsilon", epsilon, (x) => x > 0, "> 0");
  return { decay, epsilon };
}

/** `s ← ρs + (1−ρ)g²`; the direction is `g/(√s + ε)`. */
export function rmsDirection(
  g: Tensor,
  secondMoment: Tensor,
  { decay, epsilon }: Required<RmsOptions>,
): [direction: Tensor, secondMoment: Tensor] {
  const second = add(mul(secondMoment, decay), mul(square(g), 1 - decay));
  return [div(g, add(softRoot(second, softening(epsilon)), epsilon)), second];
}

/** Constants of Adam: options of {@link scaleByAdam}, and of {@link adamw} among others. */
export interface AdamOptions {
  /** Decay β₁ of the mean of the gradients, in [0, 1); default 0.9. */
  readonly beta1?: number;
  /** Decay β₂ of the mean of their squares, in [0, 1); default 0.999. */
  readonly beta2?: number;
  /** ε > 0, added to the root; default 1e-8. */
  readonly epsilon?: number;
}

/** The constants, checked. */
export function adamConstants(caller: string, options: AdamOptions): Required<AdamOptions> {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = options;
  checkDecay(caller, "beta1", beta1);
  checkDecay(caller, "beta2", beta2);
  checkNumber(caller, "epsilon", epsilon, (x) => x > 0, "> 0");
  return { beta1, beta2, epsilon };
}

/**
 * `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`; the direction is `rate · m̂/(√v̂ + ε)` with
 * `m̂ = m/(1−β₁ᵗ)` and `v̂ = v/(1−β₂ᵗ)` at update `t = step + 1`.
 */
export function adamDirection(
  g: Tensor,
  firstMoment: Tensor,
  secondMoment: Tensor,
  { beta1, beta2, epsilon }: Required<AdamOptions>,
  step: number,
  rate = 1,
): [direction: Tensor, firstMoment: Tensor, secondMoment: Tensor] {
  const correction1 = 1 - beta1 ** (step + 1);
  const correction2 = 1 - beta2 ** (step + 1);
  const scale = Math.sqrt(correction2);
  const first = add(mul(firstMoment, beta1), mul(g, 1 - beta1));
  const second = add(mul(secondMoment, beta2), mul(square(g), 1 - beta2));
  // m̂/(√v̂ + ε) = m·(√c₂/c₁)/(√v + ε√c₂), which scales numbers instead of tensors.
  const root = add(softRoot(second, softening(epsilon) * correction2), epsilon * scale);
  return [div(mul(first, (rate * scale) / correction1), root), first, second];
}

/** What derivatives, not values, add under a root: noticeable only for gradients far below ε. */
function softening(epsilon: number): number {
  return (epsilon / 100) ** 2;
}
