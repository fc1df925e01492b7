/**
 * The pairs of a file as a task.
 * @module
 */

import { readFileSync } from "node:fs";
import { type PreferenceRow, randomGenerator, readPreferences } from "../../src/index.js";
import { largest } from "./largest.js";
import { lengthOf, sideOf } from "./pairs.js";
import type { Settings } from "./settings.js";
import { shuffled } from "./shuffle.js";
import type { Task } from "./task.js";
import { byteTokenizer } from "./tokenizer.js";

/** The context chosen for a file holds pairs up to this many bytes, longer ones if prompts demand it. */
const USUAL_CONTEXT = 512;

/** Bytes such prompts leave for a response. */
const ROOM_FOR_RESPONSE = 128;

/** No larger context is chosen without being asked for: time and memory grow with its square. */
const LARGEST_DEFAULT_CONTEXT = 1024;

/** Bytes of the answers that are shown, at most. */
const SAMPLE_BYTES = 40;

/**
 * The pairs of a file, split, and cut or left out where they are too long or equal.
 * @throws (the returned promise rejects) for a file that cannot be used, or settings that do not fit it.
 */
export async function fileTask(settings: Settings, path: string): Promise<Task> {
  const tokenizer = byteTokenizer;
  const file = new File([contentsOf(path)], path);
  const read = async (maxLength: number | null) => {
    const truncation = settings.dropLong ? "drop" : "keep_start";
    const { rows, summary } = await readPreferences(file, tokenizer, { maxLength, truncation });
    return { pairs: await rows.read(Array.from({ length: rows.length }, (_, i) => i)), summary };
  };
  const whole = await read(null);
  const longest = largest(whole.pairs.map(lengthOf));
  const context = settings.context ?? defaultContext(whole.pairs, longest);
  const { pairs, summary } = longest <= context ? whole : await read(context);
  const { dropped, skipped, truncated } = summary;
  const crowded = dropped["the prompt is too long"] ?? 0;
  if (crowded > 0) {
    const first = [...skipped].find(({ reason }) => reason === "the prompt is too long")!;
    const others = crowded > 1 ? ` (and ${crowded - 1} more like it)` : "";
    throw new RangeError(
      `${path}, row ${first.row}: the prompt leaves no room for a response in the context of ${context} bytes` +
        `${others}; raise --context, or skip such pairs with --drop-long`,
    );
  }
  const { training, heldOut } = split(pairs, settings, path);
  // Short prompts are answered quickly, and read.
  const prompts = new Map(
    heldOut.map(({ promptIds }) => [tokenizer.decode(Array.from(promptIds)), promptIds.length]),
  );
  const samples = [...prompts].sort(([, a], [, b]) => a - b).slice(0, settings.samples);
  const room = context - largest(samples.map(([, length]) => length));
  const equal =
    (dropped["chosen and rejected are identical"] ?? 0) +
    (dropped["chosen and rejected are identical up to maxLength"] ?? 0);
  return {
    tokenizer,
    context,
    supervised: training.map((pair) => sideOf(pair, "chosenIds")),
    training,
    heldOut,
    exam: null,
    samples: samples.map(([prompt]) => ({ prompt, right: null })),
    sampleLength: Math.min(room, SAMPLE_BYTES),
    description: [
      `${path}: ${summary.read} pairs, the longest ${longest} bytes; context ${context} bytes`,
      ...counted(dropped["the row is too long"] ?? 0, [
        "pair longer than the context was left out",
        "pairs longer than the context were left out",
      ]),
      ...counted(truncated.ends, [
        "response was cut at the context (--drop-long leaves it out)",
        "responses were cut at the context (--drop-long leaves them out)",
      ]),
      ...counted(equal, [
        "pair whose responses are equal within the context was left out",
        "pairs whose responses are equal within the context were left out",
      ]),
      `${training.length} pairs to train on, ${heldOut.length} held out, no prompt in both`,
    ],
  };
}

function contentsOf(path: string): Buffer<ArrayBuffer> {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new TypeError(`${path}: cannot be read (${(error as Error).message})`);
  }
}

/** A line about a number of things, if there are any. */
function counted(count: number, [one, several]: readonly [string, string]): string[] {
  return count === 0 ? [] : [`${count} ${count === 1 ? one : several}`];
}

/** A context for which no prompt is too long, if that is affordable, and most responses need no cut. */
function defaultContext(pairs: readonly PreferenceRow[], longest: number): number {
  const longestPrompt = largest(pairs.map(({ promptIds }) => promptIds.length));
  const wanted = Math.min(longest, Math.max(USUAL_CONTEXT, longestPrompt + ROOM_FOR_RESPONSE));
  return Math.min(wanted, LARGEST_DEFAULT_CONTEXT);
}

/** Holds out a tenth of the pairs, at most `heldOutPairs`; pairs of one prompt stay together. */
function split(
  pairs: readonly PreferenceRow[],
  { seed, heldOutPairs, trainingPairs }: Settings,
  path: string,
): { training: PreferenceRow[]; heldOut: PreferenceRow[] } {
  const wanted = Math.min(heldOutPairs, Math.max(1, Math.floor(pairs.length / 10)));
  const byPrompt = new Map<string, PreferenceRow[]>();
  for (const pair of pairs) {
    const prompt = String(pair.promptIds);
    const group = byPrompt.get(prompt);
    if (group) group.push(pair);
    else byPrompt.set(prompt, [pair]);
  }
  const groups = shuffled([...byPrompt.values()], randomGenerator(`${seed} split`));
  const heldOut: PreferenceRow[] = [];
  const training: PreferenceRow[] = [];
  for (const group of groups) {
    const side = heldOut.length < wanted ? heldOut : training;
    for (const pair of group) side.push(pair);
  }
  if (training.length === 0) {
    throw new RangeError(`${path}: needs pairs of at least two prompts, to train and to measure`);
  }
  return { training: training.slice(0, trainingPairs), heldOut };
}
