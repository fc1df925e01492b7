/**
 * The pairs of a file as a task.
 * @module
 */

import { randomGenerator } from "../../src/index.js";
import { type PairOfFile, readPairs } from "./data.js";
import { InputError } from "./inputError.js";
import { largest } from "./largest.js";
import { lengthOf, sideOf, type TokenPair, tokenize } from "./pairs.js";
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
 * @throws InputError for a file that cannot be used, or settings that do not fit it.
 */
export function fileTask(settings: Settings, path: string): Task {
  const tokenizer = byteTokenizer();
  const all = readPairs(path).map((pair, row) => ({
    ...pair,
    tokens: tokenize(pair, tokenizer, row),
  }));
  const longest = largest(all.map(({ tokens }) => lengthOf(tokens)));
  const context = settings.context ?? defaultContext(all, longest);
  const fitting = fitted(all, context, settings.dropLong);
  const kept = different(fitting.kept, path, context);
  const { training, heldOut } = split(kept, settings, path);
  // Short prompts are answered quickly, and read.
  const prompts = new Map(heldOut.map(({ prompt, tokens }) => [prompt, tokens.promptIds.length]));
  const samples = [...prompts].sort(([, a], [, b]) => a - b).slice(0, settings.samples);
  const room = context - largest(samples.map(([, length]) => length));
  return {
    tokenizer,
    context,
    supervised: training.map(({ tokens }) => sideOf(tokens, "chosenIds")),
    training: training.map(({ tokens }) => tokens),
    heldOut: heldOut.map(({ tokens }) => tokens),
    exam: null,
    samples: samples.map(([prompt]) => ({ prompt, right: null })),
    sampleLength: Math.min(room, SAMPLE_BYTES),
    description: [
      `${path}: ${all.length} pairs, the longest ${longest} bytes; context ${context} bytes`,
      ...counted(all.length - fitting.kept.length, [
        "pair longer than the context was left out",
        "pairs longer than the context were left out",
      ]),
      ...counted(fitting.cut, [
        "response was cut at the context (--drop-long leaves it out)",
        "responses were cut at the context (--drop-long leaves them out)",
      ]),
      ...counted(fitting.kept.length - kept.length, [
        "pair whose responses are equal within the context was left out",
        "pairs whose responses are equal within the context were left out",
      ]),
      `${training.length} pairs to train on, ${heldOut.length} held out, no prompt in both`,
    ],
  };
}

/** A line about a number of things, if there are any. */
function counted(count: number, [one, several]: readonly [string, string]): string[] {
  return count === 0 ? [] : [`${count} ${count === 1 ? one : several}`];
}

/** A context for which no prompt is too long, if that is affordable, and most responses need no cut. */
function defaultContext(pairs: readonly FilePair[], longest: number): number {
  const longestPrompt = largest(pairs.map(({ tokens }) => tokens.promptIds.length));
  const wanted = Math.min(longest, Math.max(USUAL_CONTEXT, longestPrompt + ROOM_FOR_RESPONSE));
  return Math.min(wanted, LARGEST_DEFAULT_CONTEXT);
}

interface FilePair extends PairOfFile {
  readonly tokens: TokenPair;
}

/** The pairs within the context: longer ones left out, or their responses cut. */
function fitted(
  pairs: readonly FilePair[],
  context: number,
  dropLong: boolean,
): { kept: FilePair[]; cut: number } {
  if (dropLong) {
    const kept = pairs.filter(({ tokens }) => lengthOf(tokens) <= context);
    if (kept.length === 0) {
      throw new InputError(
        `--drop-long: every pair is longer than the context of ${context} bytes`,
      );
    }
    return { kept, cut: 0 };
  }
  const crowded = pairs.filter(({ tokens }) => tokens.promptIds.length >= context);
  if (crowded[0]) {
    const { place, tokens } = crowded[0];
    const others = crowded.length > 1 ? ` (and ${crowded.length - 1} more like it)` : "";
    throw new InputError(
      `${place}: the prompt has ${tokens.promptIds.length} bytes, which leaves no room for a response ` +
        `in the context of ${context}${others}; raise --context, or skip such pairs with --drop-long`,
    );
  }
  let cut = 0;
  const kept = pairs.map((pair): FilePair => {
    const room = context - pair.tokens.promptIds.length;
    const within = (response: readonly number[]): readonly number[] => {
      if (response.length <= room) return response;
      cut++;
      return response.slice(0, room);
    };
    const [chosenIds, rejectedIds] = [pair.tokens.chosenIds, pair.tokens.rejectedIds].map(within);
    return {
      ...pair,
      tokens: { ...pair.tokens, chosenIds: chosenIds!, rejectedIds: rejectedIds! },
    };
  });
  return { kept, cut };
}

/** The pairs that prefer something: those whose responses differ in what is left of them. */
function different(pairs: readonly FilePair[], path: string, context: number): FilePair[] {
  const kept = pairs.filter(
    ({ tokens }) => String(tokens.chosenIds) !== String(tokens.rejectedIds),
  );
  if (kept.length === 0) {
    throw new InputError(
      `${path}: chosen and rejected are equal in every pair, within the context of ${context} bytes; ` +
        "if they differ further on, raise --context",
    );
  }
  return kept;
}

/** Holds out a tenth of the pairs, at most `heldOutPairs`; pairs of one prompt stay together. */
function split(
  pairs: readonly FilePair[],
  { seed, heldOutPairs, trainingPairs }: Settings,
  path: string,
): { training: FilePair[]; heldOut: FilePair[] } {
  const wanted = Math.min(heldOutPairs, Math.max(1, Math.floor(pairs.length / 10)));
  const byPrompt = new Map<string, FilePair[]>();
  for (const pair of pairs) {
    const group = byPrompt.get(pair.prompt);
    if (group) group.push(pair);
    else byPrompt.set(pair.prompt, [pair]);
  }
  const groups = shuffled([...byPrompt.values()], randomGenerator(`${seed} split`));
  const heldOut: FilePair[] = [];
  const training: FilePair[] = [];
  for (const group of groups) {
    const side = heldOut.length < wanted ? heldOut : training;
    for (const pair of group) side.push(pair);
  }
  if (training.length === 0) {
    throw new InputError(`${path}: needs pairs of at least two prompts, to train and to measure`);
  }
  return { training: training.slice(0, trainingPairs), heldOut };
}
