/**
 * The file that `prefgrad sample` writes, and beside it how far it came: a run that was killed goes on with the next
 * prompt, and ends with the bytes of one that was not.
 * @module
 */

import { open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { openJournal } from "../training/journal.js";
import { asInput, InputError } from "./input.js";

/** What came of the prompts so far. */
export interface SampleCounts {
  readonly prompts: number;
  readonly candidates: number;
  /** Sum of the scores. */
  readonly score: number;
  /** Candidates that no end token ended. */
  readonly cut: number;
  readonly pairs: number;
}

/** A line of the journal: what there is when a prompt is done. */
interface Done extends SampleCounts {
  /** Of the output. */
  readonly bytes: number;
}

const NOTHING: Done = { prompts: 0, candidates: 0, score: 0, cut: 0, pairs: 0, bytes: 0 };

/** A file that is written prompt by prompt. */
export interface SampleOutput {
  readonly counts: SampleCounts;
  readonly notices: readonly string[];
  /** Adds a prompt's lines, and that it is done. */
  add(lines: string, counts: SampleCounts): Promise<void>;
  close(): Promise<void>;
}

/** The directory beside an output that holds its settings and how far it came. */
export const stateOf = (output: string): string => `${output}.state`;

const KIND = {
  caller: "sample",
  noun: "run",
  file: "progress.jsonl",
  format: "prefgrad sample 1",
  others: "other settings",
};

/** Opens an output, where `resume` goes on behind the last prompt that was done. @throws InputError. */
export async function openSampleOutput(
  output: string,
  options: {
    readonly settings: Readonly<Record<string, unknown>>;
    readonly resume: boolean;
    readonly overwrite: boolean;
  },
): Promise<SampleOutput> {
  await checkPlace(output, options.overwrite);
  const directory = stateOf(output);
  const journal = await asInput(() => openJournal<Done>(KIND, directory, options));
  try {
    // What another run asked its judge.
    if (options.overwrite) await rm(join(directory, "judge"), { recursive: true, force: true });
    let counts = journal.lines.at(-1) ?? NOTHING;
    const file = await open(output, "a");
    const { size } = await file.stat();
    if (size < counts.bytes) {
      await file.close();
      throw new InputError(
        `--output: ${output} has ${size} bytes, and its run wrote ${counts.bytes}: it was changed; --overwrite begins anew`,
      );
    }
    await file.truncate(counts.bytes);
    return {
      get counts() {
        return counts;
      },
      notices: journal.notices,
      async add(lines, now) {
        try {
          await file.appendFile(lines);
          // On the disk before the journal counts it: a power loss must not leave fewer bytes than counted.
          await file.datasync();
        } catch (error) {
          await file.truncate(counts.bytes);
          throw error;
        }
        counts = { ...now, bytes: counts.bytes + Buffer.byteLength(lines) };
        await journal.add(counts);
      },
      async close() {
        try {
          await file.close();
        } finally {
          await journal.close();
        }
      },
    };
  } catch (error) {
    await journal.close();
    throw error;
  }
}

/** Refuses what is no file, and a file that nothing is known of. */
async function checkPlace(output: string, overwrite: boolean): Promise<void> {
  const there = await stat(output).catch(() => null);
  if (there && !there.isFile()) {
    throw new InputError(`--output: ${output} is no file: give one such as pairs.jsonl`);
  }
  const journal = await stat(join(stateOf(output), KIND.file)).catch(() => null);
  if (there && !journal && !overwrite) {
    throw new InputError(
      `--output: ${output} is there, and not known to be of a run; --overwrite replaces it`,
    );
  }
}
