/**
 * `prefgrad info`: what a model is, and what it needs, without loading it.
 * @module
 */

import { bytesPerElement } from "../kernels/dtype.js";
import { type ModelInfo, modelInfo } from "../models/modelInfo.js";
import { asInput } from "./input.js";
import type { OptionsOf } from "./options.js";
import { integer, size, table } from "./text.js";

/** Writes what the model is to standard output. */
export async function info({ model, revision, tokens, json }: OptionsOf<"info">): Promise<void> {
  const figures = figuresOf(await asInput(() => modelInfo(model, revision)), tokens);
  const text = json ? JSON.stringify({ model, ...figures }) : table(rowsOf(model, figures));
  process.stdout.write(`${text}\n`);
}

type Figures = ReturnType<typeof figuresOf>;

function figuresOf(found: ModelInfo, tokens: number) {
  const { config, tokenizer, parameters } = found;
  const { width, heads, keyValueHeads, headWidth } = config;
  const layers = config.layers.length;
  const cached = Math.min(tokens, config.contextLength);
  const each = bytesPerElement("float32");
  return {
    family: found.modelType,
    parameters,
    layers,
    width,
    heads,
    keyValueHeads,
    headWidth,
    vocabulary: config.vocabularySize,
    context: config.contextLength,
    files: found.files,
    bytes: found.bytes,
    stored: Object.fromEntries(found.stored),
    memory: {
      parameters: each * parameters,
      // Keys and values of every layer.
      cache: each * 2 * layers * keyValueHeads * headWidth * cached,
      tokens: cached,
    },
    tokenizer: tokenizer && { vocabulary: tokenizer.vocabularySize },
    chatTemplates: [...(tokenizer?.chatTemplates.keys() ?? [])],
    endTokens: found.generationConfig.eosTokenIds,
  };
}

function rowsOf(model: string, found: Figures): readonly (readonly [string, string])[] {
  const { memory, tokenizer, chatTemplates, endTokens } = found;
  const types = Object.entries(found.stored).map(([type, count]) => `${integer(count)} ${type}`);
  const { keyValueHeads: pairs, headWidth } = found;
  return [
    ["model", model],
    ["family", found.family],
    ["parameters", integer(found.parameters)],
    ["layers", integer(found.layers)],
    ["width", integer(found.width)],
    ["heads", `${found.heads} of queries, ${pairs} of keys and values, width ${headWidth}`],
    ["vocabulary", integer(found.vocabulary)],
    ["context", `${integer(found.context)} tokens`],
    ["files", `${found.files}, ${size(found.bytes)}: ${types.join(", ")}`],
    ["to load", `${size(memory.parameters)} in float32`],
    ["to generate", `${size(memory.cache)} more for ${integer(memory.tokens)} tokens`],
    ["tokenizer", tokenizer ? `${integer(tokenizer.vocabulary)} tokens` : "none"],
    ["chat template", chatTemplates.join(", ") || "none"],
    ["end tokens", endTokens.join(", ") || "none"],
  ];
}
