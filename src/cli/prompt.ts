/**
 * `prefgrad prompt`: searches for the system prompt under which a model answers best.
 * @module
 */

import { join } from "node:path";
import type { ChatModel } from "../methods/chat/chatModel.js";
import { localModel } from "../methods/chat/localModel.js";
import { openTranscript } from "../methods/chat/transcript.js";
import { type OptimizedPrompt, optimizePrompt } from "../methods/prompts/optimizePrompt.js";
import { loadModel } from "../models/loadModel.js";
import { withLora } from "../models/lora.js";
import { realize } from "../tensor/evaluate.js";
import { writeTexts } from "../training/runFiles.js";
import { atEndpoint, JUDGE_KEY, KEY, placeOf, withoutQuery } from "./endpoints.js";
import { asInput, InputError, InterruptedError } from "./input.js";
import { interrupts } from "./interrupts.js";
import { checkDevice, loaded } from "./model.js";
import type { OptionsOf } from "./options.js";
import { promptProgress } from "./progress.js";
import { readQueries } from "./queries.js";
import { integer } from "./text.js";

type PromptFlags = OptionsOf<"prompt">;

/** Writes the best prompt to standard output, and a directory with how it was found. */
export async function prompt(flags: PromptFlags): Promise<void> {
  checkTogether(flags);
  checkDevice(flags);
  const queries = await readQueries(flags.queries);
  const { output, resume, overwrite, timeout, retries, concurrency } = flags;
  const models = await asInput(() => modelsOf(flags));
  const settings = settingsOf(flags);
  const transcript = await asInput(() => openTranscript(output, { settings, resume, overwrite }));
  const progress = promptProgress(process.stderr);
  for (const notice of transcript.notices) progress.notice(notice);
  const { signal, restore } = interrupts(() => {
    progress.notice("stopping; Ctrl-C once more ends at once");
  });
  const { rewrites, beam, depth, queriesPerStep, examples, seed } = flags;
  const search = { rewrites, beam, depth, queriesPerStep, examples, seed };
  try {
    const found = await asInput(() =>
      optimizePrompt({
        ...models,
        ...search,
        ...{ queries, timeout, retries, concurrency, transcript, signal },
        prompt: flags.prompt,
        maxTokens: flags.maxNewTokens,
        budget: { requests: flags.maxRequests, tokens: flags.maxTokens },
        onProgress: progress.step,
      }),
    );
    progress.stop();
    await writeTexts(output, {
      "prompt.txt": `${found.prompt}\n`,
      "result.json": `${JSON.stringify({ settings, search, ...found }, null, 2)}\n`,
    });
    if (found.end === "signal") {
      throw new InterruptedError(
        `interrupted; ${join(output, "prompt.txt")} is the best so far: --resume goes on`,
      );
    }
    process.stderr.write(`${summaryOf(found)}\n`);
    process.stdout.write(`${found.prompt}\n`);
  } finally {
    progress.stop();
    restore();
    await transcript.close();
  }
}

function checkTogether({
  endpoint,
  adapter,
  revision,
  threads,
  judge,
  judgeEndpoint,
}: PromptFlags): void {
  if (judgeEndpoint !== undefined && judge === undefined) {
    throw new InputError("--judge-endpoint is of another judge: give --judge, its name there");
  }
  const local = Object.entries({ adapter, revision, threads }).find(([, own]) => own !== undefined);
  if (endpoint !== undefined && local !== undefined) {
    throw new InputError(
      `--${local[0]} is of a model that is loaded here, not of one at --endpoint`,
    );
  }
}

/** The models as the options name them. Without `--judge` the model judges itself. */
async function modelsOf(flags: PromptFlags): Promise<{ model: ChatModel; judge: ChatModel }> {
  const { endpoint, judge, judgeEndpoint = endpoint } = flags;
  const key = process.env[KEY];
  const model =
    endpoint === undefined ? await localOf(flags) : atEndpoint(endpoint, flags.model, key);
  if (judge === undefined) return { model, judge: model };
  if (judgeEndpoint === undefined) {
    return { model, judge: localModel(await loadModel(judge, { dtype: flags.dtype })) };
  }
  // A key goes to the server that it is for.
  const isSame =
    endpoint !== undefined && placeOf(endpoint).origin === placeOf(judgeEndpoint).origin;
  const own = process.env[JUDGE_KEY] ?? (isSame ? key : undefined);
  return { model, judge: atEndpoint(judgeEndpoint, judge, own) };
}

async function localOf(flags: PromptFlags): Promise<ChatModel> {
  const { lm, adapter } = await loaded(flags);
  return localModel(lm, adapter ? { parameters: await realize(withLora(lm, adapter)) } : {});
}

/** What tells the models apart. Of addresses without their queries, which may hold a key. */
function settingsOf(flags: PromptFlags): Readonly<Record<string, unknown>> {
  const { model, revision, adapter, endpoint, judge, judgeEndpoint, dtype, device } = flags;
  const place = (address: string | undefined) =>
    address === undefined ? undefined : withoutQuery(address);
  return {
    ...{ model, revision, adapter, judge },
    ...(endpoint === undefined && { dtype, device }),
    endpoint: place(endpoint),
    judgeEndpoint: place(judgeEndpoint),
  };
}

function summaryOf({ reward, end, counts }: OptimizedPrompt): string {
  const { requests, tokens, unparsed, dropped } = counts;
  return [
    reward === null ? "no prompt was judged" : `mean score ${reward.toFixed(2)} of 5`,
    ...(end === "budget" ? ["the budget is spent: --resume with a larger one goes on"] : []),
    `${integer(requests)} requests, ${integer(tokens)} tokens`,
    ...(unparsed > 0 ? [`${integer(unparsed)} verdicts that could not be read scored 0`] : []),
    ...(dropped > 0 ? [`${integer(dropped)} prompts that could not be read were dropped`] : []),
  ].join("; ");
}
