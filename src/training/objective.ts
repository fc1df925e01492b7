/**
 * What training descends: pure functions of parameters and rows whose results add up over the micro-batches of a
 * step, and how one gradient is made of the sums.
 * @module
 */

import type { Tensor } from "../tensor/tensor.js";

/**
 * A mean in two numbers, `[Σ w·x, Σ w]`, a tensor of shape [2]: it adds up over micro-batches, ranks and steps. One of
 * nothing, `[0, 0]`, is left out of the log.
 */
export type WeightedSum = Tensor;

/** A pure function of what it is given and of a micro-batch, whose result, a tree of tensors, is graph. */
// biome-ignore lint/suspicious/noExplicitAny: each part has its own input, which only its objective gives it.
export type Part<Batch> = (given: any, batch: Batch) => unknown;

/** What a part is given of all micro-batches, or of each by its index: a row's own share of a gradient, say. */
export type Given<P> = GivenTo<P> | ((microBatch: number) => GivenTo<P>);

/** The micro-batches of a step, in their order. */
export interface MicroBatches<Parts> {
  readonly count: number;
  /** Rows in all of them. */
  readonly rows: number;
  /**
   * `Σ part(given, batch)` over the micro-batches, evaluated: each by itself, then added in their order. The bits do
   * not depend on who computed a part. The result is the caller's own, and may be given up.
   */
  sum<Name extends keyof Parts>(
    part: Name,
    given: Given<Parts[Name]>,
  ): Promise<ResultOf<Parts[Name]>>;
  /** What the part gives of each micro-batch, evaluated; the caller's own, too. */
  each<Name extends keyof Parts>(
    part: Name,
    given: Given<Parts[Name]>,
  ): Promise<readonly ResultOf<Parts[Name]>[]>;
}

/** What a part is given. */
export type GivenTo<P> = P extends (given: infer Given, batch: never) => unknown ? Given : never;
/** What a part gives. */
export type ResultOf<P> = P extends (given: never, batch: never) => infer Result ? Result : never;

/** Where a step begins. */
export interface StepPoint<P, State> {
  readonly parameters: P;
  readonly state: State;
  /** Steps made before. */
  readonly step: number;
}

/** What a step's micro-batches come to. Everything is evaluated. */
export interface StepGradient<P, State> {
  /** What the optimizer descends, of the parameters' structure. It is the loop's own: the update gives it up. */
  readonly gradient: P;
  /** The objective's own state after the step. */
  readonly state: State;
  /** Means by the names of the log; `loss` is one of them. */
  readonly metrics: Readonly<Record<string, WeightedSum>>;
  /** Scalars by the names of the log, which has their sums since the run began: `num_tokens`. */
  readonly totals?: Readonly<Record<string, Tensor>>;
}

/**
 * An objective. `P` are the parameters that are trained, `State` what it carries from step to step: a plain tree of
 * tensors and numbers, which checkpoints hold.
 */
export interface Objective<
  P,
  Row,
  State = unknown,
  // biome-ignore lint/suspicious/noExplicitAny: only the objective's own parts look into its batches.
  Batch = any,
  Parts extends Readonly<Record<string, Part<Batch>>> = Readonly<Record<string, Part<Batch>>>,
> {
  /** The state before the first step. */
  init(): State;
  /** A micro-batch of rows, as the parts take it. */
  collate(rows: readonly Row[]): Batch | Promise<Batch>;
  readonly parts: Parts;
  /** The gradient at a point, from as many passes over the micro-batches as it takes. */
  step(at: StepPoint<P, State>, microBatches: MicroBatches<Parts>): Promise<StepGradient<P, State>>;
  /** The metrics at a point, without gradients. */
  evaluate(
    at: StepPoint<P, State>,
    microBatches: MicroBatches<Parts>,
  ): Promise<Readonly<Record<string, WeightedSum>>>;
}
