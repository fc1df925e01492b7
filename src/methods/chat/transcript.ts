/**
 * What was asked of models and what they answered, on the disk.
 * @module
 */

import { checkOptions } from "../../checks.js";
import type { DirectoryTreeTarget } from "../../files/outputTree.js";
import { openJournal } from "../../training/journal.js";
import type { ChatTurn } from "./chatModel.js";

/** A request and its answer: a line of the transcript. */
export interface Exchange {
  /** Who was asked: `"model"`, `"judge"` or `"writer"`. */
  readonly who: string;
  readonly messages: readonly ChatTurn[];
  /** What determined the answer besides. */
  readonly options: {
    readonly temperature?: number | undefined;
    readonly maxTokens?: number | undefined;
    readonly seed?: number | undefined;
  };
  /** Null where there was none. */
  readonly answer: string | null;
  /** Why there was none. */
  readonly error?: string;
  /** Requests that were made for it, failed ones included. */
  readonly requests: number;
  /** Tokens of the request that was answered, as the model says, or a quarter of the characters. */
  readonly tokens: number;
}

/** Options of {@link openTranscript}. */
export interface TranscriptOptions {
  /** What tells the models apart, as JSON: their names and addresses, no keys. A run goes on only with the same. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
  /** Go on with the transcript that is there, if there is one; default false. */
  readonly resume?: boolean | undefined;
  /** Delete the transcript that is there, if there is one; default false. */
  readonly overwrite?: boolean | undefined;
}

/** Exchanges on the disk. */
export interface Transcript {
  /** Those that were there when it was opened. */
  readonly exchanges: readonly Exchange[];
  /** Writes one, whole or not at all. */
  add(exchange: Exchange): Promise<void>;
}

/** A transcript that has its directory to itself. */
export interface OpenTranscript extends Transcript {
  /** Sentences on what was found damaged; empty if nothing was. */
  readonly notices: readonly string[];
  /** Waits for what is being written, and gives the directory back to others. */
  close(): Promise<void>;
}

/** What it is as a journal. */
const KIND = {
  caller: "openTranscript",
  noun: "transcript",
  file: "transcript.jsonl",
  format: "prefgrad transcript 1",
  others: "other models",
};

/**
 * Opens `transcript.jsonl` in a directory: a line of JSON that says what the models are, then one for each exchange, written when
 * it is over. {@link optimizePrompt} asks nothing that stands in it. A process that was killed may leave a part of a
 * line at the end; it is cut off. Keys never get here: they are no part of a request's messages and options.
 *
 * Until it is closed, or its process has ended, no other transcript opens in the directory (`run.lock`; of a browser's own
 * file system a Web Lock).
 *
 * @param directory A path (Node), which is made, or a handle of a browser's directory.
 * @throws (the returned promise rejects) for a directory with a transcript where neither `resume` nor `overwrite` is set, that
 * another process writes to, a transcript of other settings, and a line that is damaged before the last one.
 * @example const transcript = await openTranscript("runs/prompt", { settings: { model: "qwen3" }, resume: true });
 */
export async function openTranscript(
  directory: DirectoryTreeTarget,
  options: TranscriptOptions = {},
): Promise<OpenTranscript> {
  checkOptions(KIND.caller, options, "settings", "resume", "overwrite");
  const { lines, ...journal } = await openJournal<Exchange>(KIND, directory, options);
  return { exchanges: lines, ...journal };
}
