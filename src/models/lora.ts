/**
 * Low-rank adapters: beside a frozen weight W of a linear layer stand two thin matrices, and the layer computes
 * `x·W + s·(x·A)·B`, s = α/r (Hu et al. 2021, "LoRA", arXiv 2106.09685) or α/√r (Kalajdzievski 2023, arXiv 2312.03732).
 * The papers' text was not at hand: formulas, names and initial values are PEFT's.
 * @module
 */

import {
  checkCount,
  checkNumber,
  checkOptions,
  describeValue,
  isPlainObject,
  nearestName,
} from "../checks.js";
import { filled } from "../nn/initial.js";
import type { LinearParameters, LowRankParameters } from "../nn/linear.js";
import { add, mul } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { generatorOf, type RandomGenerator, randomUniform } from "../tensor/random.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import { type DecoderParameters, parameterTree } from "./decoder.js";
import { familyOf } from "./families/index.js";
import type { LoadedModel } from "./loadModel.js";

/** What describes an adapter, under the names of {@link LoraOptions}. */
export interface LoraConfig {
  /** r, columns of A and rows of B. */
  readonly rank: number;
  /** α: the factor s of the correction is α/r. */
  readonly alpha: number;
  /** The last parts of the names of the layers that have a correction. */
  readonly targets: readonly string[];
  /** Share of the elements of x that A does not see in training. */
  readonly dropout: number;
  /** Whether s is α/√r. */
  readonly rankStabilized: boolean;
}

/** Options of {@link initLora}. */
export interface LoraOptions {
  /** r; default 8. */
  readonly rank?: number;
  /** α; the correction is multiplied by α/r. */
  readonly alpha: number;
  /**
   * Names of linear layers as transformers has them, or their last parts: `"q_proj"`, `"c_attn"`,
   * `"layers.0.mlp.up_proj"`. `"all-linear"` is every one but the head.
   */
  readonly targets: readonly string[] | "all-linear";
  /** Share of the elements of x that A does not see in training; default 0. See {@link WithLoraOptions}. */
  readonly dropout?: number;
  /** Whether the factor is α/√r; default false. */
  readonly rankStabilized?: boolean;
  /** Of A. Same seed, same adapter. */
  readonly seed: number | string | RandomGenerator;
}

/** Trainable matrices by the name of their layer. */
export type LoraParameters = Readonly<Record<string, Pick<LowRankParameters, "A" | "B">>>;

/** An adapter: a tree of parameters, and what describes it. {@link saveTree} takes it whole. */
export interface LoraAdapter {
  readonly config: LoraConfig;
  /** `A` is `[inputs, r]`, `B` `[r, outputs]`. Optimizers take this tree. */
  readonly parameters: LoraParameters;
}

/** A model to adapt: what {@link loadModel} gives. */
export type LoraBase = Pick<LoadedModel, "model" | "parameters" | "modelType">;

/** Options of {@link withLora}. */
export interface WithLoraOptions {
  /** For training: drop elements at the adapter's own rate. The step makes the random numbers new. */
  readonly dropout?: { readonly seed: number | string; readonly step: number | string };
}

/** A linear layer of a model. */
export interface LinearModule {
  /** In the parameter tree. */
  readonly path: string;
  readonly inputs: number;
  readonly outputs: number;
  /** Whether files have it as `[inputs, outputs]`. */
  readonly fanInFanOut: boolean;
}

/** The linear layers of a model's blocks by the names transformers has for them. */
export function linearModules({
  model: { config },
  modelType,
}: LoraBase): ReadonlyMap<string, LinearModule> {
  const matrices = new Map<string, readonly number[]>();
  parameterTree(config, (kind, shape, path) => {
    if (kind === "matrix" && path.startsWith("blocks.")) matrices.set(path, shape);
  });
  const modules = new Map<string, LinearModule>();
  for (const { name, path, transposed } of familyOf(modelType).tensors(config)) {
    const shape = matrices.get(path);
    if (!shape) continue;
    const [inputs, outputs] = shape as [number, number];
    const own = { path: withoutWeight(path), inputs, outputs, fanInFanOut: !transposed };
    modules.set(withoutWeight(name), own);
  }
  return modules;
}

const withoutWeight = (name: string): string => name.slice(0, -".weight".length);

const lastPart = (name: string): string => name.slice(name.lastIndexOf(".") + 1);

/** The names that a target means: itself, and what ends in it. @throws for a target that means none. */
export function targetedModules(
  caller: string,
  targets: readonly string[],
  modules: Iterable<string>,
): readonly string[] {
  const names = [...modules];
  const isMeant = (name: string, target: string) => name === target || name.endsWith(`.${target}`);
  for (const target of targets) {
    if (names.some((name) => isMeant(name, target))) continue;
    const known = [...new Set(names.map(lastPart))];
    const nearest = typeof target === "string" ? nearestName(target, known) : undefined;
    throw new RangeError(
      `${caller}: the model has no linear layer ${describeValue(target)}; ` +
        `${nearest ? `did you mean "${nearest}"? ` : ""}It has ${known.join(", ")}, or "all-linear"`,
    );
  }
  return names.filter((name) => targets.some((target) => isMeant(name, target)));
}

/**
 * A new adapter for a model: A from U(−1/√inputs, 1/√inputs), which is Kaiming's distribution with a = √5 as PEFT
 * draws it, and B = 0, so that the adapted model begins as its base.
 *
 * @throws for targets the model does not have, listing those it has, and options out of range.
 * @example const adapter = initLora(lm, { rank: 8, alpha: 16, targets: ["q_proj", "v_proj"], seed: 0 });
 */
export function initLora(lm: LoraBase, options: LoraOptions): LoraAdapter {
  checkOptions("initLora", options, ...OPTIONS);
  const { rank = 8, alpha, dropout = 0, rankStabilized = false, seed } = options;
  checkCount("initLora", "rank", rank, 1);
  checkNumber("initLora", "alpha", alpha, (a) => a > 0, "> 0");
  checkNumber("initLora", "dropout", dropout, (p) => p >= 0 && p < 1, "in [0, 1)");
  const modules = linearModules(lm);
  const targets = options.targets === "all-linear" ? allLinear(modules) : options.targets;
  if (!Array.isArray(targets) || targets.length === 0) {
    throw new TypeError(
      `initLora: targets must be a list of names or "all-linear", got ${describeValue(targets)}`,
    );
  }
  const next = generatorOf("initLora", seed);
  const { dtype } = lm.parameters.finalNorm.weight;
  const parameters = targetedModules("initLora", targets, modules.keys()).map((name) => {
    const { inputs, outputs } = modules.get(name)!;
    const high = 1 / Math.sqrt(inputs);
    const A = randomUniform([inputs, rank], { seed: next, low: -high, high, dtype });
    return [name, { A, B: filled([rank, outputs], 0, { dtype }) }] as const;
  });
  return {
    config: { rank, alpha, targets, dropout, rankStabilized },
    parameters: Object.fromEntries(parameters),
  };
}

const OPTIONS = ["rank", "alpha", "targets", "dropout", "rankStabilized", "seed"] as const;

/** What `"all-linear"` means: the last parts of all names. */
export function allLinear(modules: ReadonlyMap<string, unknown>): readonly string[] {
  return [...new Set([...modules.keys()].map(lastPart))];
}

/**
 * The model's parameters with the adapter beside them: the adapted layers compute `x·W + s·(x·A)·B`. The result
 * is a tree for `model.apply`, `model.hidden`, `generate` and every loss. Differentiate with respect to the adapter's
 * parameters, and the base stays as it is:
 *
 * `valueAndGrad((own) => loss(withLora(lm, { ...adapter, parameters: own })))(adapter.parameters)`
 *
 * Without `dropout`, no element is dropped.
 *
 * @throws for an adapter of another model, naming the layer.
 * @example const text = await generate(lm.model, withLora(lm, adapter), prompts, { maxNewTokens: 32 });
 */
export function withLora(
  lm: LoraBase,
  adapter: LoraAdapter,
  options: WithLoraOptions = {},
): DecoderParameters {
  checkOptions("withLora", options, "dropout");
  const key = options.dropout;
  if (key !== undefined) {
    checkOptions("withLora: dropout", key, "seed", "step");
    for (const name of ["seed", "step"] as const) {
      if (["number", "string"].includes(typeof key[name])) continue;
      throw new TypeError(
        `withLora: dropout.${name} must be a number or a string, got ${describeValue(key[name])}`,
      );
    }
  }
  const rate = key ? adapter.config.dropout : 0;
  return changed("withLora", lm, adapter, (own, { A, B }, name) => ({
    ...own,
    lora: {
      A,
      B,
      ...(key && rate > 0 && { dropout: { rate, seed: `${key.seed} ${key.step} ${name}` } }),
    },
  }));
}

/**
 * Parameters without an adapter that compute the same, but for rounding: `W + s·A·B` in the place of each adapted
 * weight. For export: {@link saveModel} takes `{ ...lm, parameters: mergeLora(lm, adapter) }`.
 *
 * @throws as {@link withLora} does.
 */
export function mergeLora(lm: LoraBase, adapter: LoraAdapter): DecoderParameters {
  return changed("mergeLora", lm, adapter, (own, { A, B }) => ({
    ...own,
    weight: add(own.weight, matmul(A, B)),
  }));
}

/** s. */
function scaleOf({ alpha, rank, rankStabilized }: LoraConfig): number {
  return alpha / (rankStabilized ? Math.sqrt(rank) : rank);
}

/** The parameters with each adapted layer replaced. `change` gets A and s·B. */
function changed(
  caller: string,
  lm: LoraBase,
  adapter: LoraAdapter,
  change: (
    own: LinearParameters,
    matrices: Pick<LowRankParameters, "A" | "B">,
    name: string,
  ) => LinearParameters,
): DecoderParameters {
  const modules = linearModules(lm);
  checkLora(caller, modules, adapter);
  const { config, parameters } = adapter;
  const scale = scaleOf(config);
  const changes = new Map(
    Object.entries(parameters).map(([name, { A, B }]) => [
      modules.get(name)!.path,
      (own: LinearParameters) => {
        if (!own.lora) return change(own, { A, B: scale === 1 ? B : mul(B, scale) }, name);
        throw new TypeError(
          `${caller}: ${name} has an adapter already; mergeLora makes plain parameters of both`,
        );
      },
    ]),
  );
  const visit = (value: unknown, path: string): unknown => {
    const own = changes.get(path);
    if (own) return own(value as LinearParameters);
    if (value instanceof Tensor) return value;
    const child = (key: string | number, item: unknown) =>
      visit(item, path ? `${path}.${key}` : String(key));
    if (Array.isArray(value)) return value.map((item, i) => child(i, item));
    return Object.fromEntries(
      Object.entries(value as object).map(([key, item]) => [key, child(key, item)]),
    );
  };
  return visit(lm.parameters, "") as DecoderParameters;
}

/** @throws for layers that the model does not have, matrices that do not fit them, and targets that mean other layers. */
export function checkLora(
  caller: string,
  modules: ReadonlyMap<string, LinearModule>,
  adapter: LoraAdapter,
): void {
  const { config, parameters } = adapter ?? {};
  if (!isPlainObject(config) || !isPlainObject(parameters)) {
    throw new TypeError(
      `${caller}: an adapter is { config, parameters }, as initLora and loadAdapter give it; ` +
        "with other parameters give { ...adapter, parameters }",
    );
  }
  for (const [name, matrices] of Object.entries(parameters)) {
    const own = modules.get(name);
    if (!own) throw new RangeError(`${caller}: the model has no linear layer ${name}`);
    const { A, B } = matrices;
    const wanted = { A: [own.inputs, config.rank], B: [config.rank, own.outputs] };
    for (const [key, found] of Object.entries({ A, B })) {
      const shape = wanted[key as "A" | "B"];
      if (found instanceof Tensor && sameShape(found.shape, shape)) continue;
      const got = found instanceof Tensor ? `shape ${formatShape(found.shape)}` : found;
      throw new RangeError(
        `${caller}: ${name}.${key} has ${got}; rank and layer ask for ${formatShape(shape)}`,
      );
    }
  }
  if (!Array.isArray(config.targets) || config.targets.length === 0) {
    throw new TypeError(`${caller}: config.targets must be a list of at least one name`);
  }
  const meant = targetedModules(caller, config.targets, modules.keys());
  const lacking = meant.find((name) => !Object.hasOwn(parameters, name));
  if (lacking !== undefined) {
    throw new RangeError(`${caller}: the adapter lacks ${lacking}, which config.targets name`);
  }
  const other = Object.keys(parameters).find((name) => !meant.includes(name));
  if (other !== undefined) {
    throw new RangeError(`${caller}: config.targets name no ${other}, which the adapter holds`);
  }
}
