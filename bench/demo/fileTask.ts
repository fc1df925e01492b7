/**
 * The pairs of a file as a task.
 * @module
 */

import { randomGenerator } from "../../src/index.js";
import { type PairOfFile, readPairs } from "./data.js";
import { InputError } from "./inputError.js";
import { lengthOf, pairSequences, type TokenPair, tokenize } from "./pairs.js";
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

/**
 * The pairs of a file, split, and cut or left out where they are too long.
 * @throws InputError for a file that cannot be used, or settings that do not fit it.
 */
export function fileTask(settings: Settings, path: string): Task {
  const tokenizer = byteTokenizer();
  const all = readPairs(path).map((pair) => ({ ...pair, tokens: tokenize(pair, tokenizer) }));
  const longest = Math.max(...all.map(({ tokens }) => lengthOf(tokens)));
  const context = settings.context ?? defaultContext(all, longest);
  const { kept, cut } = fitted(all, context, settings.dropLong);
  const dropped = all.length - kept.length;
  const { training, heldOut } = split(kept, settings, path);
  const length = Math.max(...kept.map(({ tokens }) => lengthOf(tokens)));
  const padded = (pairs: FilePair[]) =>
    pairSequences(
      pairs.map(({ tokens }) => tokens),
      length,
      tokenizer.padding,
    );
  const trainingSequences = padded(training);
  return {
    tokenizer,
    context,
    supervised: trainingSequences.chosen,
    training: trainingSequences,
    heldOut: padded(heldOut),
    exam: null,
    description: [
      `${path}: ${all.length} pairs, the longest ${longest} bytes; context ${context} bytes`,
      ...(dropped > 0 ? [`${dropped} pairs longer than the context were left out`] : []),
      ...(cut > 0
        ? [`${cut} responses were cut at the context (--drop-long leaves them out)`]
        : []),
      `${training.length} pairs to train on, ${heldOut.length} held out, no prompt in both`,
    ],
  };
}

/** A context for which no prompt is too long, if that is affordable, and most responses need no cut. */
function defaultContext(pairs: readonly FilePair[], longest: number): number {
  const longestPrompt = Math.max(...pairs.map(({ tokens }) => tokens.prompt.length));
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
  const crowded = pairs.filter(({ tokens }) => tokens.prompt.length >= context);
  if (crowded[0]) {
    const { place, tokens } = crowded[0];
    const others = crowded.length > 1 ? ` (and ${crowded.length - 1} more like it)` : "";
    throw new InputError(
      `${place}: the prompt has ${tokens.prompt.length} bytes, which leaves no room for a response ` +
        `in the context of ${context}${others}; raise --context, or skip such pairs with --drop-long`,
    );
  }
  let cut = 0;
  const kept = pairs.map((pair): FilePair => {
    const room = context - pair.tokens.prompt.length;
    const within = (response: readonly number[]): readonly number[] => {
      if (response.length <= room) return response;
      cut++;
      return response.slice(0, room);
    };
    const { prompt, chosen, rejected } = pair.tokens;
    return { ...pair, tokens: { prompt, chosen: within(chosen), rejected: within(rejected) } };
  });
  return { kept, cut };
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
    byPrompt.set(pair.prompt, [...(byPrompt.get(pair.prompt) ?? []), pair]);
  }
  const groups = shuffled([...byPrompt.values()], randomGenerator(`${seed} split`));
  const heldOut: FilePair[] = [];
  const training: FilePair[] = [];
  for (const group of groups) (heldOut.length < wanted ? heldOut : training).push(...group);
  if (training.length === 0) {
    throw new InputError(`${path}: needs pairs of at least two prompts, to train and to measure`);
  }
  return { training: training.slice(0, trainingPairs), heldOut };
}
