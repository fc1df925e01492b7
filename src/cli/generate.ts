/**
 * `prefgrad generate`: continues prompts with a model.
 * @module
 */

import { type GenerateOptions, generateStream } from "../models/generate.js";
import type { GenerationConfig } from "../models/generationConfig.js";
import { withLora } from "../models/lora.js";
import { type ModelInfo, modelInfo } from "../models/modelInfo.js";
import type { Tokenizer } from "../models/tokenizer.js";
import { realize } from "../tensor/evaluate.js";
import { asInput, InputError, standardInput } from "./input.js";
import { checkDevice, loaded } from "./model.js";
import type { OptionsOf } from "./options.js";

type GenerateFlags = OptionsOf<"generate">;

/** Most new tokens where nothing says how many. */
const NEW_TOKENS = 256;

/** Writes what follows the prompts to standard output, each as if it were alone. */
export async function generate(given: readonly string[], flags: GenerateFlags): Promise<void> {
  checkTogether(flags);
  checkDevice(flags);
  const prompts = given.length > 0 ? given : [await standardInput()];
  const info = await asInput(() => modelInfo(flags.model, flags.revision));
  const { tokenizer } = info;
  if (!tokenizer) throw new InputError(`${flags.model} has no tokenizer.json`);
  const turns = await asInput(() => {
    return prompts.map((prompt) => {
      const ids = encoded(prompt, tokenizer, flags);
      return { prompt, ids, options: optionsOf(ids, { ...info, tokenizer }, flags) };
    });
  });
  const { lm, adapter } = await loaded(flags);
  const parameters = adapter ? await realize(withLora(lm, adapter)) : lm.parameters;
  for (const { prompt, ids, options } of turns) {
    const written = { ids: [] as number[], text: "", logProbs: [] as number[] };
    const stream = await asInput(() => generateStream(lm.model, parameters, [ids], options));
    for await (const { token, text, logProb } of stream) {
      written.ids.push(token);
      written.text += text;
      written.logProbs.push(logProb);
      if (flags.json) continue;
      process.stdout.write(text);
      // The terminal has its turn: no computation waits for anything.
      await new Promise(setImmediate);
    }
    process.stdout.write(flags.json ? `${JSON.stringify({ prompt, ...written })}\n` : "\n");
  }
}

function checkTogether({ system, chat }: GenerateFlags): void {
  if (system !== undefined && !chat) {
    throw new InputError("--system is a message of a chat: give --chat, too");
  }
}

/** A prompt's ids, as a text to continue or as a message to answer. */
function encoded(prompt: string, tokenizer: Tokenizer, flags: GenerateFlags): number[] {
  const { chat, system, model } = flags;
  if (!chat) {
    const ids = tokenizer.encode(prompt);
    if (ids.length === 0) throw new InputError("the prompt is empty");
    return ids;
  }
  if (tokenizer.chatTemplates.size === 0) {
    throw new InputError(
      `--chat: ${model} has no chat template; without --chat, text is continued`,
    );
  }
  const messages = [
    ...(system === undefined ? [] : [{ role: "system", content: system }]),
    { role: "user", content: prompt },
  ];
  return tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true, tokenize: true });
}

function optionsOf(
  ids: readonly number[],
  info: ModelInfo & { readonly tokenizer: Tokenizer },
  flags: GenerateFlags,
): GenerateOptions {
  const { generationConfig, config, tokenizer } = info;
  const room = config.contextLength - ids.length;
  const wanted = flags.maxNewTokens ?? generationConfig.maxNewTokens ?? NEW_TOKENS;
  if (room < (flags.maxNewTokens ?? 1)) {
    throw new InputError(
      `a prompt of ${ids.length} tokens leaves room for ${Math.max(0, room)} in the context of ` +
        `${config.contextLength}; asked for: ${wanted} (--max-new-tokens)`,
    );
  }
  return {
    ...samplingOf(generationConfig, flags),
    maxNewTokens: Math.min(wanted, room),
    seed: flags.seed,
    generationConfig,
    stopStrings: flags.stop ?? [],
    tokenizer,
  };
}

/** The likeliest tokens, or draws as the model's makers have them where the options do not say otherwise. */
function samplingOf(own: GenerationConfig, flags: GenerateFlags): Partial<GenerateOptions> {
  const repetitionPenalty = flags.repetitionPenalty ?? own.repetitionPenalty;
  const { sample, temperature, topK, topP, minP } = flags;
  const draws = sample || [temperature, topK, topP, minP].some((value) => value !== undefined);
  if (!draws) return { repetitionPenalty };
  return {
    repetitionPenalty,
    temperature: temperature ?? own.temperature,
    topK: topK ?? own.topK,
    topP: topP ?? own.topP,
    minP: minP ?? own.minP,
  };
}
