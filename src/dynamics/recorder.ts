/**
 * What a training loop did to the probabilities of some watched responses, step by step.
 * @module
 */

import { checkOptions, describeValue } from "../checks.js";
import { concat } from "../ops/index.js";
import { formatShape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import { dynamicsFigure } from "./figure.js";
import type { PairDynamics } from "./pairDynamics.js";

/** What is recorded of a step: all that {@link pairDynamics} gives, or the log-probabilities alone. */
export type DynamicsObservation = Pick<PairDynamics, "logProbs"> & Partial<PairDynamics>;

/** Options of {@link DynamicsRecorder}. */
export interface DynamicsRecorderOptions {
  /** Names of the responses, in the policy's order, each once; default `chosen`, `rejected`, `other 1`, … */
  readonly responses?: readonly string[];
  /** Title of the figure; default `Preference dynamics`. */
  readonly title?: string;
}

/** What else is known of a recorded step. */
export interface RecordOptions {
  /** η of the step that follows; with velocities, it turns them into the changes predicted for that step. */
  readonly learningRate?: number;
  /** Further figures by name: numbers or tensors of one element. They stand in the lines and in charts of their own. */
  readonly metrics?: Readonly<Record<string, number | Tensor>>;
}

/** A recorded step. By response name where an object; values as {@link PairDynamics} describes them. */
export interface DynamicsRow {
  readonly step: number;
  /** Nats. */
  readonly logProbs: Readonly<Record<string, number>>;
  /** `1 − p/p₀`, at least 0: the share of the pair's probability `p = π_w + π_l` at the first recorded step that has left both responses. */
  readonly leftBoth: number;
  /** Nats per unit of learning rate. */
  readonly velocities?: Readonly<Record<string, number>>;
  /** `η·velocity`, nats: what the step that follows should change, to first order. */
  readonly predicted?: Readonly<Record<string, number>>;
  /** `⟨g_z, g_w⟩`. */
  readonly chosenProducts?: Readonly<Record<string, number>>;
  /** `⟨g_z, g_l⟩`. */
  readonly rejectedProducts?: Readonly<Record<string, number>>;
  readonly loss?: number;
  readonly overlap?: number;
  readonly displacement?: number;
  readonly displaced?: boolean;
  readonly outflow?: number;
  readonly leavingShare?: number;
  readonly learningRate?: number;
  readonly metrics?: Readonly<Record<string, number>>;
}

const SCALARS = ["loss", "overlap", "displacement", "outflow", "leavingShare"] as const;

/**
 * Records the dynamics of a pair over a training run. A loop calls {@link DynamicsRecorder.record}
 * before each step, or before every k-th; {@link DynamicsRecorder.jsonl} and
 * {@link DynamicsRecorder.html} give what was recorded as text, at any time. Numbers are kept, no
 * tensors; writing files is the caller's.
 *
 * @example
 * const recorder = new DynamicsRecorder({ responses: ["chosen", "rejected", "refusal"] });
 * // in the loop, before the update:
 * await recorder.record(step, pairDynamics(policy, parameters, { loss, reference }), { learningRate });
 * // after it:
 * writeFileSync("dynamics.html", recorder.html());
 */
export class DynamicsRecorder {
  private readonly recorded: DynamicsRow[] = [];
  private readonly title: string;
  private names: readonly string[] | undefined;

  /** @throws if the names are fewer than two or not distinct. */
  constructor(options: DynamicsRecorderOptions = {}) {
    checkOptions("DynamicsRecorder", options, "responses", "title");
    const { responses, title = "Preference dynamics" } = options;
    if (responses && (responses.length < 2 || new Set(responses).size !== responses.length)) {
      throw new RangeError(
        `DynamicsRecorder: responses must be two or more distinct names, got ${JSON.stringify(responses)}`,
      );
    }
    this.names = responses && [...responses];
    this.title = title;
  }

  /** The recorded steps, in order. */
  get rows(): readonly DynamicsRow[] {
    return this.recorded;
  }

  /**
   * Records a step; the first one settles how many responses there are. All of its tensors are
   * evaluated together; they keep their history.
   *
   * @param step Steps taken so far; greater than the one recorded before.
   * @param observation A result of {@link pairDynamics}, or any object with `logProbs` `[N]`, N ≥ 2.
   * @throws (the returned promise rejects) if the step does not grow, a shape does not fit, or a metric
   * is no number or has more than one element. Nothing of a call that failed is kept.
   */
  async record(
    step: number,
    observation: DynamicsObservation,
    options: RecordOptions = {},
  ): Promise<DynamicsRow> {
    checkOptions("DynamicsRecorder.record", options, "learningRate", "metrics");
    const { learningRate, metrics = {} } = options;
    checkMetrics(metrics);
    const names = this.namesOf(observation.logProbs);
    const values = await evaluated(tensorsOf(observation, metrics, names));
    // Checked after the wait, so that calls not awaited in turn cannot pass it both.
    if (this.names) vector("logProbs", observation.logProbs, this.names);
    checkStep(step, this.recorded.at(-1));
    const speeds = values.get("velocities");
    const named = (key: string, factor = 1): Record<string, number> | undefined => {
      const found = values.get(key);
      return found && Object.fromEntries(names.map((name, i) => [name, factor * found[i]!]));
    };
    const row = {
      step,
      logProbs: named("logProbs"),
      leftBoth: this.leftBoth(values.get("logProbs")!, names),
      velocities: named("velocities"),
      predicted: learningRate === undefined ? undefined : named("velocities", learningRate),
      chosenProducts: named("chosenProducts"),
      rejectedProducts: named("rejectedProducts"),
      ...Object.fromEntries(SCALARS.map((name) => [name, values.get(name)?.[0]])),
      displaced: speeds && speeds[0]! < 0,
      learningRate,
      metrics: numbersOf(metrics, values),
    };
    const known = Object.fromEntries(
      Object.entries(row).filter(([, value]) => value !== undefined),
    ) as unknown as DynamicsRow;
    this.names = names;
    this.recorded.push(known);
    return known;
  }

  /** The rows as JSON, one object a line, each line ended; `""` if there are none. What is not finite is null. */
  jsonl(): string {
    return this.recorded.map((row) => `${JSON.stringify(row)}\n`).join("");
  }

  /**
   * A page with charts of what was recorded: inline SVG that loads and runs nothing, so that it opens
   * from a file, prints, and can be put into a frame. Steps that displace the chosen response are
   * shaded.
   */
  html(): string {
    return dynamicsFigure(this.title, this.names ?? ["chosen", "rejected"], this.recorded);
  }

  private namesOf(logProbs: Tensor): readonly string[] {
    if (!(logProbs instanceof Tensor) || logProbs.rank !== 1 || logProbs.size < 2) {
      const found = logProbs instanceof Tensor ? formatShape(logProbs.shape) : typeof logProbs;
      throw new RangeError(
        `DynamicsRecorder: logProbs must be a tensor of shape [N] with N ≥ 2, got ${found}`,
      );
    }
    return (
      this.names ??
      Array.from({ length: logProbs.size }, (_, i) =>
        i < 2 ? ["chosen", "rejected"][i]! : `other ${i - 1}`,
      )
    );
  }

  /** From log-probabilities, so that the share is right where probabilities underflow. */
  private leftBoth([chosen, rejected]: readonly number[], [w, l]: readonly string[]): number {
    const pair = logAddExp(chosen!, rejected!);
    const first = this.recorded[0]?.logProbs;
    const start = first ? logAddExp(first[w!]!, first[l!]!) : pair;
    return Math.max(0, -Math.expm1(pair - start));
  }
}

function checkMetrics(metrics: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(metrics)) {
    if (typeof value !== "number" && !(value instanceof Tensor)) {
      throw new TypeError(
        `DynamicsRecorder: metric ${name} must be a number or a tensor, got ${describeValue(value)}`,
      );
    }
  }
}

function checkStep(step: number, last: DynamicsRow | undefined): void {
  if (Number.isFinite(step) && (!last || step > last.step)) return;
  const kind = last ? `a number greater than ${last.step}` : "a finite number";
  throw new RangeError(`DynamicsRecorder: step must be ${kind}, got ${step}`);
}

function logAddExp(a: number, b: number): number {
  const top = Math.max(a, b);
  return top === Number.NEGATIVE_INFINITY ? top : top + Math.log1p(Math.exp(Math.min(a, b) - top));
}

function vector(what: string, t: Tensor, names: readonly string[]): Tensor {
  if (t.rank !== 1 || t.size !== names.length) {
    throw new RangeError(
      `DynamicsRecorder: ${what} must have shape [${names.length}] (${names.join(", ")}), got ${formatShape(t.shape)}`,
    );
  }
  return t;
}

function scalar(what: string, t: Tensor): Tensor {
  if (t.size === 1) return t.reshape([1]);
  throw new RangeError(
    `DynamicsRecorder: ${what} must have one element, got shape ${formatShape(t.shape)}`,
  );
}

/** The tensors' elements, from one evaluation that leaves their history alone. */
async function evaluated(
  tensors: Readonly<Record<string, Tensor>>,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const names = Object.keys(tensors);
  const flat = Array.from(await concat(Object.values(tensors)).data());
  let next = 0;
  return new Map(
    names.map((name) => {
      const from = next;
      next += tensors[name]!.size;
      return [name, flat.slice(from, next)];
    }),
  );
}

/** All that is to be evaluated of a step, by key. */
function tensorsOf(
  observation: DynamicsObservation,
  metrics: Readonly<Record<string, number | Tensor>>,
  names: readonly string[],
): Readonly<Record<string, Tensor>> {
  const { logProbs, velocities, products } = observation;
  const tensors: Record<string, Tensor> = { logProbs: vector("logProbs", logProbs, names) };
  if (velocities) tensors.velocities = vector("velocities", velocities, names);
  if (products) {
    tensors.chosenProducts = vector("products.chosen", products.chosen, names);
    tensors.rejectedProducts = vector("products.rejected", products.rejected, names);
  }
  for (const name of SCALARS) {
    const value = observation[name];
    if (value) tensors[name] = scalar(name, value);
  }
  for (const [name, value] of Object.entries(metrics)) {
    if (value instanceof Tensor) tensors[`metric ${name}`] = scalar(name, value);
  }
  return tensors;
}

/** Metrics as numbers; undefined if there are none. */
function numbersOf(
  metrics: Readonly<Record<string, number | Tensor>>,
  values: ReadonlyMap<string, readonly number[]>,
): Record<string, number> | undefined {
  const entries = Object.entries(metrics).map(([name, value]): [string, number] => [
    name,
    value instanceof Tensor ? values.get(`metric ${name}`)![0]! : value,
  ]);
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}
