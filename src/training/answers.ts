/**
 * What a model answers to a few prompts: greedily, before training and after it.
 * @module
 */

import type { PreferenceRow, Rows, TextRow, UnpairedRow } from "../data/rows.js";
import type { DecoderParameters } from "../models/decoder.js";
import { generate } from "../models/generate.js";
import type { LoadedModel } from "../models/loadModel.js";

/** A prompt, and what the model answered. */
export interface Answer {
  readonly prompt: string;
  readonly before: string;
  readonly after: string;
}

const PROMPTS = 8;
const TOKENS = 64;

/** The first prompts of rows, each once, as ids. Texts of which all is learned have none. */
export async function firstPrompts(
  rows: Rows<PreferenceRow | UnpairedRow | TextRow>,
): Promise<readonly (readonly number[])[]> {
  const found = new Map<string, readonly number[]>();
  for (let i = 0; i < rows.length && found.size < PROMPTS; i++) {
    const [row] = await rows.read([i]);
    const ids = promptOf(row!);
    if (ids.length > 0) found.set(ids.join(), ids);
  }
  return [...found.values()];
}

function promptOf(row: PreferenceRow | UnpairedRow | TextRow): readonly number[] {
  if ("promptIds" in row) return Array.from(row.promptIds);
  const ids = Array.from(row.ids);
  const first = ids.findIndex((_, i) => row.trained[i]);
  return ids.slice(0, Math.max(0, first));
}

/** Greedy answers of at most 64 tokens. Without a tokenizer there are none. */
export async function answersTo(
  { model, config, generationConfig, tokenizer }: LoadedModel,
  parameters: DecoderParameters,
  prompts: readonly (readonly number[])[],
): Promise<readonly string[]> {
  const answers: string[] = [];
  if (!tokenizer) return answers;
  for (const prompt of prompts) {
    const maxNewTokens = Math.min(TOKENS, config.contextLength - prompt.length);
    if (maxNewTokens <= 0) answers.push("");
    else {
      const options = { maxNewTokens, generationConfig };
      const [ids] = await generate(model, parameters, [prompt], options);
      answers.push(tokenizer.decode(ids!, { skipSpecialTokens: true }));
    }
  }
  return answers;
}
