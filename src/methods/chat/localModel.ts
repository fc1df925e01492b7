/**
 * Loaded models that answer conversations.
 * @module
 */

import { checkCount, checkOptions } from "../../checks.js";
import type { DecoderParameters } from "../../models/decoder.js";
import { generateStream } from "../../models/generate.js";
import type { LoadedModel } from "../../models/loadModel.js";
import type { ChatModel } from "./chatModel.js";

/** Options of {@link localModel}. */
export interface LocalModelOptions {
  /** Others than the loaded ones: trained ones, or with an adapter ({@link withLora}). */
  readonly parameters?: DecoderParameters | undefined;
  /** Tokens of an answer where a request does not say; default 512. The context may leave fewer. */
  readonly maxTokens?: number | undefined;
  /** A chat template in Jinja, or the name of one of the tokenizer's; default the tokenizer's own. */
  readonly chatTemplate?: string | undefined;
}

/**
 * A loaded model as a {@link ChatModel}: the conversation goes through the chat template, the answer is written until an
 * end token. Temperature 0 (default) takes the likeliest tokens. Requests are answered one after
 * the other; time-outs of those that wait run meanwhile, so ask with `concurrency: 1`.
 *
 * @throws for a model without a tokenizer, or without a chat template where none is given. The model rejects where the
 * conversation leaves no room in the context.
 * @example const model = localModel(await loadModel("path/to/model"));
 */
export function localModel(lm: LoadedModel, options: LocalModelOptions = {}): ChatModel {
  checkOptions("localModel", options, "parameters", "maxTokens", "chatTemplate");
  const { model, config, tokenizer, generationConfig } = lm;
  const { parameters = lm.parameters, maxTokens: standard = 512, chatTemplate } = options;
  checkCount("localModel", "maxTokens", standard, 1);
  if (!tokenizer) throw new TypeError("localModel: the model has no tokenizer");
  if (chatTemplate === undefined && tokenizer.chatTemplates.size === 0) {
    throw new TypeError("localModel: the model has no chat template; give one as chatTemplate");
  }
  let before: Promise<unknown> = Promise.resolve();
  const answer: ChatModel = async (messages, { temperature, maxTokens, seed, signal, onUsage }) => {
    signal?.throwIfAborted();
    const ids = tokenizer.applyChatTemplate(messages as never, {
      addGenerationPrompt: true,
      tokenize: true,
      ...(chatTemplate !== undefined && { chatTemplate }),
    });
    const room = config.contextLength - ids.length;
    if (room < 1) {
      throw new RangeError(
        `localModel: a conversation of ${ids.length} tokens leaves no room in the context of ${config.contextLength}`,
      );
    }
    const maxNewTokens = Math.min(room, maxTokens ?? standard);
    const own = { maxNewTokens, temperature: temperature ?? 0, seed, generationConfig, tokenizer };
    let text = "";
    let completion = 0;
    for await (const token of generateStream(model, parameters, [ids], own)) {
      signal?.throwIfAborted();
      text += token.text;
      completion++;
    }
    onUsage?.({ prompt: ids.length, completion });
    return text;
  };
  return (messages, asked) => {
    const answered = before.then(() => answer(messages, asked));
    before = answered.catch(() => undefined);
    return answered;
  };
}
