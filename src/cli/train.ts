/**
 * `prefgrad align` and `prefgrad sft`: from a model and a dataset to a run's directory.
 * @module
 */

import { realpath } from "node:fs/promises";
import { homedir, totalmem } from "node:os";
import { join } from "node:path";
import type { ReadOptions } from "../data/options.js";
import { readPreferences } from "../data/readPreferences.js";
import { readTexts } from "../data/readTexts.js";
import { readUnpaired } from "../data/readUnpaired.js";
import { loadModel } from "../models/loadModel.js";
import type { Tokenizer } from "../models/tokenizer.js";
import { type AlignOptions, align } from "../training/align.js";
import { verdict } from "../training/report/verdict.js";
import { type RunFacts, type RunOptions, type RunResult, Stopped } from "../training/run.js";
import { readRun } from "../training/runFiles.js";
import { asOptions, trainingNames } from "../training/settings/options.js";
import { type SftOptions, sft } from "../training/sft.js";
import { asInput, InputError, InterruptedError } from "./input.js";
import { interrupts } from "./interrupts.js";
import { livePage } from "./live.js";
import { checkDevice, loaded } from "./model.js";
import type { OptionsOf } from "./options.js";
import { runProgress } from "./progress.js";
import { readOptions } from "./rows.js";
import { integer, size, table } from "./text.js";

type TrainOptions = OptionsOf<"align"> | OptionsOf<"sft">;

/** Losses of completions with labels. */
const UNPAIRED = ["kto", "apo_zero_unpaired"];

/** Trains on preferences. */
export async function alignCommand(options: OptionsOf<"align">): Promise<void> {
  const { referenceModel, dtype, loss, batchSize, data, evalData = data } = options;
  const isUnpaired = loss.some((name) => UNPAIRED.includes(name));
  await train(options, async (common, tokenizer, reading, heldOut) => {
    const read = (source: string, own: ReadOptions) =>
      isUnpaired
        ? readUnpaired(source, tokenizer, { ...own, batchSize })
        : readPreferences(source, tokenizer, own);
    const rows = await read(data, reading);
    const all: object = {
      ...common,
      ...(isUnpaired ? { completions: rows } : { pairs: rows }),
      ...(heldOut && { evaluation: await read(evalData, heldOut) }),
      loss: loss.length === 1 ? loss[0] : loss,
      ...(referenceModel !== undefined && {
        reference: await loadModel(referenceModel, { dtype, tokenizer: false }),
      }),
    };
    return align(all as AlignOptions);
  });
}

/** Trains on texts. */
export async function sftCommand(options: OptionsOf<"sft">): Promise<void> {
  const { completionOnlyLoss, assistantOnlyLoss, data, evalData = data } = options;
  await train(options, async (common, tokenizer, reading, heldOut) => {
    const read = (source: string, own: ReadOptions) =>
      readTexts(source, tokenizer, { ...own, completionOnlyLoss, assistantOnlyLoss });
    const texts = await read(data, reading);
    const evaluation = heldOut && { evaluation: await read(evalData, heldOut) };
    const all: object = { ...common, texts, ...evaluation };
    return sft(all as SftOptions);
  });
}

/**
 * Runs, with what is shown of it. Ctrl-C stops it after the step it is in; a second one ends the process.
 * @param work Reads rows and trains, given what all runs have.
 */
async function train(
  options: TrainOptions,
  work: (
    common: RunOptions,
    tokenizer: Tokenizer,
    reading: ReadOptions,
    heldOut: ReadOptions | null,
  ) => Promise<RunResult>,
): Promise<void> {
  checkDevice(options);
  await checkOutput(options);
  const { output, evalData, evalSplit, live } = options;
  const command = "loss" in options ? "align" : "sft";
  const { lm, adapter } = await loaded(options);
  const { tokenizer } = lm;
  if (!tokenizer) throw new InputError(`${options.model} has no tokenizer.json`);
  const cache = options.cache ?? cacheDirectory();
  const reading = { ...readOptions(options), cache };
  const { split, ...others } = reading;
  const heldOut =
    evalData === undefined && evalSplit === undefined
      ? null
      : { ...others, ...(evalSplit !== undefined && { split: evalSplit }) };
  const names = trainingNames(command).filter(
    (name) => !["loss", "output", "cache"].includes(name),
  );
  const given = Object.entries(options).filter(([name]) => names.includes(name));
  const progress = runProgress(process.stderr);
  const page = live ? await livePage(output) : null;
  if (page) process.stderr.write(`${page.url}\n`);
  const { signal, restore } = interrupts(() => {
    progress.notice?.("stopping after this step; Ctrl-C once more ends at once");
  });
  const common: RunOptions = {
    ...asOptions(Object.fromEntries(given)),
    lm,
    givesUpModel: true,
    ...(adapter && { adapter }),
    output,
    cache,
    signal,
    observer: {
      ...progress,
      facts: (facts) =>
        process.stderr.write(`${table(factsOf(facts))}\n${warningOf(facts, options.device)}`),
      async log(row) {
        await progress.log?.(row);
        await page?.update();
      },
      async evaluation(row, best) {
        await progress.evaluation?.(row, best);
        await page?.update();
      },
    },
  };
  try {
    const { done, state } = await asInput(() => work(common, tokenizer, reading, heldOut));
    progress.stop();
    if (!done) {
      const { step } = state;
      throw new InterruptedError(
        step > 0
          ? `interrupted; ${join(output, `checkpoint-${step}`)} is written: --resume goes on`
          : new Stopped().message,
      );
    }
    const sentences = verdict(await readRun(output, output));
    process.stdout.write(`${[...sentences, join(output, "report.html")].join("\n")}\n`);
  } catch (error) {
    progress.stop();
    throw error instanceof Stopped ? new InterruptedError(error.message) : error;
  } finally {
    restore();
    await page?.close();
  }
}

/** Refuses to write a run where what it is made of is read. */
async function checkOutput(options: TrainOptions): Promise<void> {
  const real = (path: string) => realpath(path).catch(() => null);
  const output = await real(options.output);
  const { model, adapter, referenceModel } = options as OptionsOf<"align">;
  for (const [flag, path] of Object.entries({
    model,
    adapter,
    "reference-model": referenceModel,
  })) {
    if (output === null || path === undefined || (await real(path)) !== output) continue;
    throw new InputError(
      `--output is the directory of --${flag}, which would be lost: choose another`,
    );
  }
}

/** Where what other runs can use again is kept, as other programs do. */
function cacheDirectory(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "prefgrad");
}

function factsOf(facts: RunFacts): readonly (readonly [string, string])[] {
  const { summary } = facts;
  const dropped = Object.entries(summary?.dropped ?? {}).map(
    ([reason, count]) => `${integer(count)} ${reason}`,
  );
  return [
    ["parameters", `${integer(facts.trained)} trained, ${integer(facts.frozen)} frozen`],
    ["rows", `${integer(facts.rows)} to train on, ${integer(facts.heldOut)} held out`],
    ...(summary
      ? ([
          ["dropped", dropped.join(", ") || "0"],
          ["truncated", `${integer(summary.truncated.rows)} rows`],
          ["tokens", `${integer(summary.tokens)}, ${integer(summary.trained)} of them trained`],
        ] as const)
      : []),
    ["longest row", `${integer(facts.longest)} tokens`],
    [
      "memory",
      `up to about ${size(facts.memory)}${facts.checkpointing ? ", blocks computed again for their gradients" : ""}`,
    ],
  ];
}

/** What the memory of WebAssembly is at most. */
const WASM = 2 ** 32;

/** Says so where a run would not fit, and what to change. */
export function warningOf(
  { memory, frozen, checkpointing }: Pick<RunFacts, "memory" | "frozen" | "checkpointing">,
  device: TrainOptions["device"],
): string {
  const most = device === "wasm" ? Math.min(WASM, totalmem()) : totalmem();
  if (memory < most) return "";
  const lora = frozen === 0 ? ", --lora" : "";
  const again = checkpointing ? "" : ", --gradient-checkpointing";
  return `this may not fit into ${size(most)}: lower --max-length, --batch-size${lora}${again}\n`;
}
