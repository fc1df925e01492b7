/**
 * One decoder-only transformer for many families: what differs between them is configuration.
 *
 * Every block is `x ← x + ρ·attention(x)`, `x ← x + ρ·feedForward(x)`, each sub-layer with norms before
 * it, after it, or both.
 * @module
 */

import { checkpoint } from "../autograd/control.js";
import { checkCount, checkOptions } from "../checks.js";
import type { DType } from "../kernels/dtype.js";
import { cachedAttention, causalAttention, seenSlots } from "../nn/causalAttention.js";
import { checkIds, type EmbeddingParameters, embedding } from "../nn/embedding.js";
import { filled } from "../nn/initial.js";
import { type LinearParameters, linear } from "../nn/linear.js";
import {
  type LayerNormParameters,
  layerNorm,
  type RmsNormParameters,
  rmsNorm,
} from "../nn/normalization.js";
import type { PackedBatch } from "../nn/packing.js";
import { type Rotary, type RotaryTable, rotaryTable, rotate } from "../nn/rotary.js";
import { softCap } from "../nn/softCap.js";
import { gelu, silu } from "../ops/activations.js";
import { add, maximum, mul } from "../ops/elementwise.js";
import { gather, writeSlice } from "../ops/indexing.js";
import { matmul } from "../ops/matmul.js";
import { expandDims, reshape, slice, swapAxes, transpose } from "../ops/movement.js";
import { full, zeros } from "../tensor/create.js";
import { generatorOf, type RandomGenerator, randomNormal } from "../tensor/random.js";
import { formatShape } from "../tensor/shape.js";
import { checkTensor, type Tensor } from "../tensor/tensor.js";
import type { CachedDecoding, KeyValueCache, LanguageModel } from "./languageModel.js";

/** What one layer of a decoder has of its own. */
export interface DecoderLayer {
  /** Positions a position sees, itself included; default: all before it. */
  readonly window?: number | undefined;
  /** The angles by which queries and keys are turned; default: they are not. */
  readonly rotary?: Rotary | undefined;
}

/** Shape and formulas of a {@link decoder}. */
export interface DecoderConfig {
  /** V, tokens the model knows. */
  readonly vocabularySize: number;
  /** Positions at most. */
  readonly contextLength: number;
  /** D, width of the residual stream. */
  readonly width: number;
  /** One entry a block. */
  readonly layers: readonly DecoderLayer[];
  /** H, heads of queries. */
  readonly heads: number;
  /** K, heads of keys and values, a divisor of H. */
  readonly keyValueHeads: number;
  /** d, width of a head; H·d need not be D. */
  readonly headWidth: number;
  /** `"layer"`: {@link layerNorm}; `"rms"`: {@link rmsNorm}; `"rmsPlusOne"`: {@link rmsNorm} whose factor is 1 + weight. */
  readonly norm: "layer" | "rms" | "rmsPlusOne";
  readonly normEpsilon: number;
  /** Where a sub-layer is normalised: before it, before and after it, or after it only. */
  readonly normPlacement: "pre" | "sandwich" | "post";
  /** Whether a table of positions is added to the embeddings. */
  readonly learntPositions: boolean;
  readonly attention: {
    /** Whether queries, keys and values come from one matrix, side by side. */
    readonly fused: boolean;
    readonly inputBias: boolean;
    readonly outputBias: boolean;
    /** Norm of queries and keys: of each head, of all heads together, or none. */
    readonly queryKeyNorm: "head" | "projection" | "none";
    /** Factor of the scores; default `1/√d`. */
    readonly scale?: number | undefined;
    /** c: scores s become `c·tanh(s/c)`. */
    readonly softCap?: number | undefined;
    /** See {@link AttentionOptions}. */
    readonly causalBlocks?: number | undefined;
  };
  readonly feedForward: {
    readonly width: number;
    /** `"plain"`: `act(x·W)·P`; `"gated"`: `(act(x·G) ∘ x·W)·P`; `"fusedGate"`: G and W side by side in one matrix. */
    readonly kind: "plain" | "gated" | "fusedGate";
    readonly activation: "gelu" | "geluTanh" | "silu";
    readonly bias: boolean;
  };
  /** Factor of the embeddings. */
  readonly embeddingScale?: number | undefined;
  /** ρ, factor of what a sub-layer adds. */
  readonly residualScale?: number | undefined;
  /** Divisor of the logits; it is applied to the hidden states. */
  readonly logitDivisor?: number | undefined;
  /** c: logits z become `c·tanh(z/c)`. */
  readonly logitSoftCap?: number | undefined;
  /** Whether the embedding is the head, too. */
  readonly tiedHead: boolean;
}

/** Parameters of a norm. */
export type DecoderNormParameters = RmsNormParameters | LayerNormParameters;

/** Parameters of a block's attention: one matrix of D × (H + 2K)·d, or three. */
export interface DecoderAttentionParameters {
  readonly qkv?: LinearParameters;
  readonly query?: LinearParameters;
  readonly key?: LinearParameters;
  readonly value?: LinearParameters;
  readonly queryNorm?: RmsNormParameters;
  readonly keyNorm?: RmsNormParameters;
  /** H·d to D. */
  readonly projection: LinearParameters;
}

/** Parameters of a block's feed-forward layer. */
export interface DecoderFeedForwardParameters {
  readonly gate?: LinearParameters;
  readonly expand?: LinearParameters;
  /** Gate and expansion side by side. */
  readonly gateExpand?: LinearParameters;
  readonly projection: LinearParameters;
}

/** Parameters of one block. */
export interface DecoderBlockParameters {
  readonly norm1?: DecoderNormParameters;
  readonly attention: DecoderAttentionParameters;
  /** Of what attention adds. */
  readonly postNorm1?: DecoderNormParameters;
  readonly norm2?: DecoderNormParameters;
  readonly mlp: DecoderFeedForwardParameters;
  /** Of what the feed-forward layer adds. */
  readonly postNorm2?: DecoderNormParameters;
}

/** Parameters of a {@link decoder}. */
export interface DecoderParameters {
  readonly tokenEmbedding: EmbeddingParameters;
  readonly positionEmbedding?: EmbeddingParameters;
  readonly blocks: readonly DecoderBlockParameters[];
  readonly finalNorm: DecoderNormParameters;
  /** `[V, D]`; absent with a tied head. */
  readonly head?: EmbeddingParameters;
}

/** What {@link decoder} makes. */
export interface Decoder extends LanguageModel<DecoderParameters> {
  readonly config: DecoderConfig;
  readonly cached: CachedDecoding<DecoderParameters>;
  /** Parameters to start from: matrices from N(0, std²), std 0.02 by default, norms that change nothing, biases 0. */
  init(
    seed: number | string,
    options?: { readonly std?: number; readonly dtype?: DType },
  ): DecoderParameters;
  /**
   * Logits of the next token after every position: int32 ids `[B, T]` give `[B, T, V]`.
   * @throws if T exceeds the context, or ids whose values are known are outside the vocabulary.
   */
  apply(parameters: DecoderParameters, ids: Tensor): Tensor;
  /** Final hidden states of a packed batch's tokens that predict, `[M, D]`. */
  packedHidden(parameters: DecoderParameters, batch: PackedBatch): Tensor;
}

/** Options of {@link decoder}. */
export interface DecoderOptions {
  /** Whether a block is computed again for its gradients ({@link checkpoint}), so that a step keeps less. Default false. */
  readonly checkpointing?: boolean;
}

/**
 * A decoder-only transformer of the given configuration.
 *
 * @throws for sizes that are not positive integers, and key-value heads that do not divide the heads.
 */
export function decoder(config: DecoderConfig, options: DecoderOptions = {}): Decoder {
  checkOptions("decoder", options, "checkpointing");
  checkConfig(config);
  return namedDecoder("decoder", config, options);
}

/** {@link decoder} of a configuration that is known to be right, with the caller's name for errors. */
export function namedDecoder(
  name: string,
  config: DecoderConfig,
  { checkpointing = false }: DecoderOptions = {},
): Decoder {
  const {
    contextLength,
    vocabularySize,
    embeddingScale = 1,
    logitDivisor = 1,
    logitSoftCap,
  } = config;
  const tables = rotaryTables(config);
  const norm = normOf(config);

  /** Final hidden states of tokens that lie as the layout says. */
  function states(parameters: DecoderParameters, ids: Tensor, layout: Layout): Tensor {
    checkIds(name, ids, vocabularySize);
    const { positionEmbedding } = parameters;
    let x = embedding(parameters.tokenEmbedding, ids);
    if (embeddingScale !== 1) x = mul(x, embeddingScale);
    if (positionEmbedding) x = add(x, layout.at(positionEmbedding.weight));
    for (const [i, block] of parameters.blocks.entries()) {
      const next = (input: Tensor): Tensor => {
        const mixed = attention(config, i, block.attention, norm(block.norm1, input), layout);
        const kept = residual(config, layout.kept(input, i), norm(block.postNorm1, mixed));
        const fed = feedForward(config, block.mlp, norm(block.norm2, kept));
        return residual(config, kept, norm(block.postNorm2, fed));
      };
      x = checkpointing ? checkpoint(next)(x) : next(x);
    }
    const final = norm(parameters.finalNorm, x);
    return logitDivisor === 1 ? final : mul(final, 1 / logitDivisor);
  }

  const checkPositions = (positions: number): void => {
    if (positions > contextLength) {
      throw new RangeError(
        `${name}: ${positions} positions exceed the context of ${contextLength}`,
      );
    }
  };

  const hidden: Decoder["hidden"] = (parameters, ids) => {
    checkTensor(`${name}: ids`, ids);
    if (ids.rank !== 2) {
      throw new RangeError(
        `${name}: ids have shape ${formatShape(ids.shape)}; they need [batch, positions]`,
      );
    }
    checkPositions(ids.shape[1]!);
    return states(parameters, ids, wholeLayout(config, tables, ids.shape[1]!));
  };

  const packedHidden: Decoder["packedHidden"] = (parameters, batch) => {
    checkPositions(batch.tokens.shape[1]!);
    return states(parameters, batch.ids, packedLayout(config, tables, batch));
  };

  const cached: CachedDecoding<DecoderParameters> = {
    init({ tokenEmbedding }, batch, slots) {
      const dtype = tokenEmbedding.weight.dtype;
      const empty = () => zeros([slots, batch, config.keyValueHeads, config.headWidth], { dtype });
      return {
        layers: config.layers.map(() => ({ key: empty(), value: empty() })),
        positions: full([slots, batch], -1, { dtype: "int32" }),
      };
    },
    step(parameters, cache, ids, positions, slot) {
      const layout = cachedLayout(config, tables, cache, positions, slot);
      return { hidden: states(parameters, ids, layout), cache: layout.cache };
    },
  };

  const headWeight: Decoder["headWeight"] = ({ head, tokenEmbedding }) => {
    if (config.tiedHead) return tokenEmbedding.weight;
    if (head) return head.weight;
    throw new TypeError(`${name}: the head is not tied, but the parameters have no head`);
  };

  return {
    config,
    init(seed, options = {}) {
      checkOptions("decoder.init", options, "std", "dtype");
      const { std = 0.02, dtype = "float32" } = options;
      return initial(config, { seed: generatorOf("decoder.init", seed), std, dtype });
    },
    hidden,
    packedHidden,
    headWeight,
    cached,
    apply(parameters, ids) {
      const logits = matmul(hidden(parameters, ids), swapAxes(headWeight(parameters), 0, 1));
      return softCap(logits, logitSoftCap);
    },
  };
}

function residual({ residualScale = 1 }: DecoderConfig, x: Tensor, added: Tensor): Tensor {
  return add(x, residualScale === 1 ? added : mul(added, residualScale));
}

/** The configured norm; a norm that has no parameters is none. */
function normOf({ norm, normEpsilon }: DecoderConfig) {
  return (parameters: DecoderNormParameters | undefined, x: Tensor): Tensor => {
    if (!parameters) return x;
    if (norm === "layer") return layerNorm(parameters as LayerNormParameters, x, normEpsilon);
    return rms(norm, parameters, x, normEpsilon);
  };
}

function rms(
  kind: DecoderConfig["norm"],
  { weight }: RmsNormParameters,
  x: Tensor,
  epsilon: number,
) {
  return rmsNorm({ weight: kind === "rmsPlusOne" ? add(weight, 1) : weight }, x, epsilon);
}

/** Rotary tables by layer, of as many positions as are asked for, rounded up to a power of two. Layers share theirs. */
function rotaryTables({ layers, contextLength }: DecoderConfig) {
  const tables = new Map<Rotary, Map<string, RotaryTable>>();
  return (layer: number, positions: number, dtype: DType): RotaryTable | undefined => {
    const { rotary } = layers[layer]!;
    if (!rotary) return undefined;
    const own = tables.get(rotary) ?? new Map<string, RotaryTable>();
    tables.set(rotary, own);
    const rows = Math.min(contextLength, 2 ** Math.ceil(Math.log2(Math.max(positions, 16))));
    const key = `${dtype} ${rows}`;
    const found = own.get(key) ?? rotaryTable(rotary, rows, dtype);
    own.set(key, found);
    return found;
  };
}

/** Where the tokens of an x `[…, D]` are, and how they see each other. */
interface Layout {
  /** Rows of a table that has one for each position: as many as x has, or what broadcasts to them. */
  at(table: Tensor): Tensor;
  /** What was computed of each token, `[…, D]`, at its place, `[B, T, D]`. */
  placed(states: Tensor): Tensor;
  /** Cosines and sines of the places' angles, the same for every head. */
  turns(layer: number, dtype: DType): RotaryTable | undefined;
  /** Attention of queries `[B, T, H, d]`, keys and values `[B, T, K, d]`: for each token of x, `[…, H·d]`. */
  mix(layer: number, q: Tensor, k: Tensor, v: Tensor): Tensor;
  /** The rows of x to which the layer's attention is added. */
  kept(x: Tensor, layer: number): Tensor;
}

type RotaryTables = ReturnType<typeof rotaryTables>;

/** What layouts share: places as they are, their rows of the rotary tables, and all rows of x. */
function layoutOf(
  tables: RotaryTables,
  positions: number,
  at: Layout["at"],
  mix: Layout["mix"],
): Layout {
  return {
    at,
    placed: (states) => states,
    turns(layer, dtype) {
      const table = tables(layer, positions, dtype);
      return table && { cos: expandDims(at(table.cos), -2), sin: expandDims(at(table.sin), -2) };
    },
    mix,
    kept: (x) => x,
  };
}

function causalOptions({ layers, attention: own }: DecoderConfig, layer: number) {
  const { scale, softCap, causalBlocks } = own;
  return { scale, softCap, causalBlocks, window: layers[layer]!.window };
}

/** `[B, T, H, d]` to `[B, H, T, d]`. */
function headsFirst(t: Tensor): Tensor {
  return transpose(t, [0, 2, 1, 3]);
}

/** Tokens `[B, T]`, each at its position. */
function wholeLayout(config: DecoderConfig, tables: RotaryTables, positions: number): Layout {
  return layoutOf(
    tables,
    positions,
    (table) => slice(table, [0, positions]),
    (layer, q, k, v) =>
      causalAttention(headsFirst(q), headsFirst(k), headsFirst(v), causalOptions(config, layer)),
  );
}

/** Tokens `[N]` of a packed batch. The last layer keeps those that predict: nobody reads the others. */
function packedLayout(config: DecoderConfig, tables: RotaryTables, batch: PackedBatch): Layout {
  const isLast = (layer: number): boolean => layer === config.layers.length - 1;
  return {
    ...wholeLayout(config, tables, batch.tokens.shape[1]!),
    at: (table) => gather(table, batch.positions),
    placed: (states) => gather(states, batch.tokens),
    mix(layer, q, k, v) {
      const mixed = causalAttention(headsFirst(q), headsFirst(k), headsFirst(v), {
        ...causalOptions(config, layer),
        lengths: batch.lengths,
      });
      const places = isLast(layer) ? batch.predictorPlaces : batch.places;
      return gather(reshape(mixed, [-1, mixed.shape[2]!]), places);
    },
    kept: (x, layer) => (isLast(layer) ? gather(x, batch.predictors) : x),
  };
}

/** Tokens `[B, T]` at positions of their own, after those in a cache. Mixing writes a layer's keys and values into `cache`. */
function cachedLayout(
  config: DecoderConfig,
  tables: RotaryTables,
  before: KeyValueCache,
  positions: Tensor,
  slot: Tensor,
): Layout & { readonly cache: KeyValueCache } {
  const written = (into: Tensor, t: Tensor): Tensor => writeSlice(into, swapAxes(t, 0, 1), slot);
  const layers: KeyValueCache["layers"][number][] = [];
  const cache = { layers, positions: written(before.positions, positions) };
  const rows = maximum(positions, 0);
  const slotPositions = swapAxes(cache.positions, 0, 1);
  /** By window, for all layers that have it. */
  const seen = new Map<number | undefined, Tensor>();
  const seenBy = (window: number | undefined): Tensor => {
    const found = seen.get(window) ?? seenSlots(positions, slotPositions, window);
    seen.set(window, found);
    return found;
  };
  const layout = layoutOf(
    tables,
    before.positions.shape[0]!,
    (table) => gather(table, rows),
    (layer, q, k, v) => {
      const { key, value } = before.layers[layer]!;
      const own = { key: written(key, k), value: written(value, v) };
      layers[layer] = own;
      // [S, B, K, d] → [B, K, S, d]
      const [keys, values] = [own.key, own.value].map((t) => transpose(t, [1, 2, 0, 3]));
      const near = seenBy(config.layers[layer]!.window);
      return cachedAttention(headsFirst(q), keys!, values!, near, config.attention);
    },
  );
  return { ...layout, cache };
}

function attention(
  config: DecoderConfig,
  layer: number,
  parameters: DecoderAttentionParameters,
  x: Tensor,
  layout: Layout,
): Tensor {
  let [q, k, v] = projections(config, parameters, x, layout);
  if (config.attention.queryKeyNorm === "head") {
    q = rms(config.norm, parameters.queryNorm!, q, config.normEpsilon);
    k = rms(config.norm, parameters.keyNorm!, k, config.normEpsilon);
  }
  const turns = layout.turns(layer, x.dtype);
  if (turns) [q, k] = [rotate(q, turns), rotate(k, turns)];
  return linear(parameters.projection, layout.mix(layer, q, k, v));
}

/** Queries `[B, T, H, d]`, keys and values `[B, T, K, d]`. */
function projections(
  { heads, keyValueHeads, headWidth, attention: own, norm, normEpsilon }: DecoderConfig,
  parameters: DecoderAttentionParameters,
  x: Tensor,
  layout: Layout,
): [query: Tensor, key: Tensor, value: Tensor] {
  const split = (states: Tensor): Tensor => {
    const placed = layout.placed(states);
    return reshape(placed, [...placed.shape.slice(0, -1), -1, headWidth]);
  };
  if (own.fused) {
    const all = split(linear(parameters.qkv!, x));
    const [keys, values] = [heads, heads + keyValueHeads];
    return [
      part(all, -2, 0, keys),
      part(all, -2, keys, values),
      part(all, -2, values, values + keyValueHeads),
    ];
  }
  const [query, key, value] = [parameters.query!, parameters.key!, parameters.value!].map((one) =>
    linear(one, x),
  ) as [Tensor, Tensor, Tensor];
  if (own.queryKeyNorm !== "projection") return [split(query), split(key), split(value)];
  return [
    split(rms(norm, parameters.queryNorm!, query, normEpsilon)),
    split(rms(norm, parameters.keyNorm!, key, normEpsilon)),
    split(value),
  ];
}

/** What lies from one place to another along an axis that is counted from the end. */
function part(x: Tensor, axis: number, from: number, to: number): Tensor {
  return slice(x, ...x.shape.slice(0, axis).map(() => null), [from, to]);
}

const ACTIVATIONS = {
  gelu: (x: Tensor) => gelu(x, { approximate: "none" }),
  geluTanh: (x: Tensor) => gelu(x),
  silu,
} as const;

function feedForward(
  { feedForward: own }: DecoderConfig,
  parameters: DecoderFeedForwardParameters,
  x: Tensor,
): Tensor {
  const activation = ACTIVATIONS[own.activation];
  const inner = (): Tensor => {
    switch (own.kind) {
      case "plain":
        return activation(linear(parameters.expand!, x));
      case "gated":
        return mul(activation(linear(parameters.gate!, x)), linear(parameters.expand!, x));
      case "fusedGate": {
        const both = linear(parameters.gateExpand!, x);
        return mul(
          activation(part(both, -1, 0, own.width)),
          part(both, -1, own.width, 2 * own.width),
        );
      }
    }
  };
  return linear(parameters.projection, inner());
}

function checkConfig(config: DecoderConfig): void {
  checkOptions(
    "decoder",
    config,
    "vocabularySize",
    "contextLength",
    "width",
    "layers",
    "heads",
    "keyValueHeads",
    "headWidth",
    "norm",
    "normEpsilon",
    "normPlacement",
    "learntPositions",
    "attention",
    "feedForward",
    "embeddingScale",
    "residualScale",
    "logitDivisor",
    "logitSoftCap",
    "tiedHead",
  );
  const { vocabularySize, contextLength, width, heads, keyValueHeads, headWidth } = config;
  const sizes = {
    vocabularySize,
    contextLength,
    width,
    layers: config.layers.length,
    heads,
    keyValueHeads,
    headWidth,
    "feedForward.width": config.feedForward.width,
  };
  for (const [name, size] of Object.entries(sizes)) checkCount("decoder", name, size, 1);
  if (heads % keyValueHeads !== 0) {
    throw new RangeError(
      `decoder: ${keyValueHeads} key-value heads do not divide ${heads} heads of queries`,
    );
  }
  for (const [i, { window, rotary }] of config.layers.entries()) {
    if (window !== undefined) checkCount("decoder", `layers[${i}].window`, window, 1);
    if (rotary && !(rotary.width % 2 === 0 && rotary.width > 0 && rotary.width <= headWidth)) {
      throw new RangeError(
        `decoder: layers[${i}].rotary.width must be even and at most ${headWidth}, got ${rotary.width}`,
      );
    }
  }
}

/** What a parameter is: a matrix, a norm's factor, or a vector that is added. */
type ParameterKind = "matrix" | "gain" | "bias";

function initial(
  config: DecoderConfig,
  own: { readonly seed: RandomGenerator; readonly std: number; readonly dtype: DType },
): DecoderParameters {
  const gain = config.norm === "rmsPlusOne" ? 0 : 1;
  return parameterTree(config, (kind, shape) =>
    kind === "matrix" ? randomNormal(shape, own) : filled(shape, kind === "gain" ? gain : 0, own),
  ) as DecoderParameters;
}

/** The shapes of all parameters by their paths. */
export function parameterShapes(config: DecoderConfig): ReadonlyMap<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  parameterTree(config, (_, shape, path) => shapes.set(path, shape));
  return shapes;
}

/** Parameters' places, each given by what `leaf` makes of its kind, shape and path. */
export function parameterTree<Leaf>(
  config: DecoderConfig,
  leaf: (kind: ParameterKind, shape: readonly number[], path: string) => Leaf,
) {
  const { vocabularySize, contextLength, width, heads, keyValueHeads, headWidth } = config;
  const { attention: a, feedForward: f } = config;
  const table = (path: string, rows: number) => ({
    weight: leaf("matrix", [rows, width], `${path}.weight`),
  });
  const affine = (path: string, inputs: number, outputs: number, biased: boolean) => ({
    weight: leaf("matrix", [inputs, outputs], `${path}.weight`),
    ...(biased && { bias: leaf("bias", [outputs], `${path}.bias`) }),
  });
  const norm = (path: string, size: number) => ({
    weight: leaf("gain", [size], `${path}.weight`),
    ...(config.norm === "layer" && { bias: leaf("bias", [size], `${path}.bias`) }),
  });
  const [queries, keys] = [heads * headWidth, keyValueHeads * headWidth];
  const perHead = a.queryKeyNorm === "head";
  const attention = (path: string) => ({
    ...(a.fused
      ? { qkv: affine(`${path}.qkv`, width, queries + 2 * keys, a.inputBias) }
      : {
          query: affine(`${path}.query`, width, queries, a.inputBias),
          key: affine(`${path}.key`, width, keys, a.inputBias),
          value: affine(`${path}.value`, width, keys, a.inputBias),
        }),
    ...(a.queryKeyNorm !== "none" && {
      queryNorm: norm(`${path}.queryNorm`, perHead ? headWidth : queries),
      keyNorm: norm(`${path}.keyNorm`, perHead ? headWidth : keys),
    }),
    projection: affine(`${path}.projection`, queries, width, a.outputBias),
  });
  const mlp = (path: string) => ({
    ...(f.kind === "gated" && { gate: affine(`${path}.gate`, width, f.width, f.bias) }),
    ...(f.kind === "fusedGate"
      ? { gateExpand: affine(`${path}.gateExpand`, width, 2 * f.width, f.bias) }
      : { expand: affine(`${path}.expand`, width, f.width, f.bias) }),
    projection: affine(`${path}.projection`, f.width, width, f.bias),
  });
  const before = config.normPlacement !== "post";
  const after = config.normPlacement !== "pre";
  const block = (path: string) => ({
    ...(before && { norm1: norm(`${path}.norm1`, width) }),
    attention: attention(`${path}.attention`),
    ...(after && { postNorm1: norm(`${path}.postNorm1`, width) }),
    ...(before && { norm2: norm(`${path}.norm2`, width) }),
    mlp: mlp(`${path}.mlp`),
    ...(after && { postNorm2: norm(`${path}.postNorm2`, width) }),
  });
  return {
    tokenEmbedding: table("tokenEmbedding", vocabularySize),
    ...(config.learntPositions && { positionEmbedding: table("positionEmbedding", contextLength) }),
    blocks: config.layers.map((_, i) => block(`blocks.${i}`)),
    finalNorm: norm("finalNorm", width),
    ...(!config.tiedHead && { head: table("head", vocabularySize) }),
  };
}
