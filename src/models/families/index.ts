/**
 * The families of models that can be loaded, by the `model_type` of their `config.json`. A new family is a
 * file and a line here.
 * @module
 */

import type { DecoderConfig } from "../decoder.js";
import { type ConfigJson, ConfigReader } from "./configReader.js";
import type { Family } from "./family.js";
import { gemma, gemma2, gemma3 } from "./gemma.js";
import { gpt2 } from "./gpt2.js";
import { granite } from "./granite.js";
import { llama } from "./llama.js";
import { mistral } from "./mistral.js";
import { olmo2 } from "./olmo2.js";
import { phi3 } from "./phi3.js";
import { qwen2 } from "./qwen2.js";
import { qwen3 } from "./qwen3.js";
import { smollm3 } from "./smollm3.js";

/** By `model_type`. */
export const FAMILIES: ReadonlyMap<string, Family> = new Map(
  [gemma, gemma2, gemma3, gpt2, granite, llama, mistral, olmo2, phi3, qwen2, qwen3, smollm3].map(
    (family) => [family.modelType, family],
  ),
);

/** The family of a `model_type`. @throws for one that is not known. */
export function familyOf(modelType: unknown): Family {
  const family = typeof modelType === "string" ? FAMILIES.get(modelType) : undefined;
  if (family) return family;
  throw new TypeError(
    `config.json: model_type ${JSON.stringify(modelType)} is not supported; known: ${[...FAMILIES.keys()].join(", ")}`,
  );
}

/** What stands in a `config.json`: the family, and the decoder it configures. */
export interface ReadConfig {
  readonly family: Family;
  readonly config: DecoderConfig;
}

/**
 * Reads a `config.json`.
 * @throws for an unknown `model_type`, and naming a key that is missing, out of range or not supported.
 */
export function readConfig(json: ConfigJson): ReadConfig {
  const family = familyOf(json.model_type);
  const read = new ConfigReader(json);
  const config = family.config(read);
  read.finish();
  return { family, config };
}
