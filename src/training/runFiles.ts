/**
 * What a run's directory holds besides what the loop writes: weights, answers, a model card, and what is read of them again.
 * @module
 */

import { type DirectoryTreeTarget, outputTree, textIn, writeText } from "../files/outputTree.js";
import type { FloatDType } from "../kernels/dtype.js";
import { loadAdapter, saveAdapter } from "../models/adapterFiles.js";
import type { DecoderParameters } from "../models/decoder.js";
import { type LoadedModel, loadModel } from "../models/loadModel.js";
import type { LoraAdapter, LoraParameters } from "../models/lora.js";
import { type SaveModelOptions, saveModel } from "../models/saveModel.js";
import type { Answer } from "./answers.js";
import type { CheckpointWeights } from "./checkpoints.js";
import { type Json, settingsIn } from "./runSettings.js";

/** A run as its directory tells it. */
export interface RunRecord {
  /** What to call it. */
  readonly name: string;
  /** What determined its numbers: the settings of the loop and all others. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly fit: Readonly<Record<string, unknown>>;
  /** The rows of its log and of its evaluations, in their order. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly answers: readonly Answer[];
  /** Whether it came to its end. */
  readonly done: boolean;
}

const ANSWERS = "answers.json";

/** Reads what a directory tells of a run. @throws for a directory without one. */
export async function readRun(directory: DirectoryTreeTarget, name: string): Promise<RunRecord> {
  const tree = await outputTree(directory);
  const text = await textIn(tree, "settings.json");
  const settings = text === null ? null : settingsIn(text);
  if (!settings)
    throw new TypeError(
      `there is no run in ${name}: its settings.json is missing, or of another version`,
    );
  const lines = ((await textIn(tree, "metrics.jsonl")) ?? "").split("\n").filter(Boolean);
  const answers = await textIn(tree, ANSWERS);
  return {
    name,
    ...settings,
    rows: lines.map((line) => JSON.parse(line) as Json),
    answers: answers === null ? [] : (JSON.parse(answers) as Answer[]),
    done: (await textIn(tree, "trainer_state.json")) !== null,
  };
}

/** Writes files of text, each whole. */
export async function writeTexts(
  directory: DirectoryTreeTarget,
  texts: Readonly<Record<string, string>>,
): Promise<void> {
  const tree = await outputTree(directory);
  for (const [name, text] of Object.entries(texts)) await writeText(tree, name, text);
}

/** What a run leaves at its end. */
const RESULTS =
  /^(adapter_(config\.json|model\.safetensors)|config\.json|model(-\d+-of-\d+)?\.safetensors(\.index\.json)?|answers\.json|report\.html|README\.md)$/;

/** Removes the result of the run that was there: an adapter beside a model would be taken for a part of it. */
export async function removeResults(directory: DirectoryTreeTarget): Promise<void> {
  const tree = await outputTree(directory);
  for (const name of await tree.list()) if (RESULTS.test(name)) await tree.remove(name);
}

/**
 * Rejects a directory that holds what a run leaves, but no run: a model of somebody's, that would be written over.
 */
export async function refuseForeign(caller: string, directory: DirectoryTreeTarget): Promise<void> {
  const names = await (await outputTree(directory)).list();
  const foreign = names.find((name) => RESULTS.test(name));
  if (foreign === undefined || names.includes("settings.json")) return;
  const where = typeof directory === "string" ? directory : "the directory";
  throw new TypeError(
    `${caller}: ${where} holds ${foreign}, which is of no run and would be lost; choose another directory for output`,
  );
}

/** Writes what the model answered. */
export const writeAnswers = (
  directory: DirectoryTreeTarget,
  answers: readonly Answer[],
): Promise<void> => writeTexts(directory, { [ANSWERS]: `${JSON.stringify(answers, null, 2)}\n` });

/** How checkpoints keep an adapter: in PEFT's files. Of a browser's directory, which PEFT does not read, as a tree. */
export function adapterWeights(
  lm: LoadedModel,
  adapter: LoraAdapter,
): CheckpointWeights<LoraParameters> {
  return {
    kind: "adapter",
    save: (directory, parameters) => saveAdapter(directory, lm, { ...adapter, parameters }),
    load: async (directory) => (await loadAdapter(directory as string, lm)).parameters,
  };
}

/** How checkpoints keep a whole model: in transformers' files, with the bits of the parameters. */
export function modelWeights(lm: LoadedModel): CheckpointWeights<DecoderParameters> {
  const dtype = lm.parameters.finalNorm.weight.dtype as FloatDType;
  return {
    kind: "model",
    save: (directory, parameters) => saveModel(directory, { ...lm, parameters }),
    async load(directory) {
      const options = { dtype, tokenizer: false };
      return (await loadModel(directory as string, options)).parameters;
    },
  };
}

/** Writes a run's result: an adapter, or a model with its tokenizer. */
export async function writeWeights(
  directory: DirectoryTreeTarget,
  lm: LoadedModel,
  trained: { readonly adapter: LoraAdapter } | { readonly parameters: DecoderParameters },
  dtype: NonNullable<SaveModelOptions["dtype"]>,
): Promise<void> {
  if ("adapter" in trained) await saveAdapter(directory, lm, trained.adapter);
  else await saveModel(directory, { ...lm, parameters: trained.parameters }, { dtype });
}
