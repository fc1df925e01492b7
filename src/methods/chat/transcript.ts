/**
 * What was asked of models and what they answered, on the disk.
 * @module
 */

import { checkFlag, checkOptions, isPlainObject } from "../../checks.js";
import { type DirectoryTreeTarget, outputTree, textIn, writeText } from "../../files/outputTree.js";
import { asJson, differencesOf, type Json } from "../../training/runSettings.js";
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
  /** Sentences on what was found damaged; empty if nothing was. */
  readonly notices: readonly string[];
  /** Writes one, whole or not at all. */
  add(exchange: Exchange): Promise<void>;
}

const CALLER = "openTranscript";
const FILE = "transcript.jsonl";
/** Changes with what a line means. */
const FORMAT = "prefgrad transcript 1";

/**
 * Opens `transcript.jsonl` in a directory: a line of JSON that says what the models are, then one for each exchange, written when
 * it is over. {@link optimizePrompt} asks nothing that stands in it. A process that was killed may leave a part of a
 * line at the end; it is cut off. Keys never get here: they are no part of a request's messages and options.
 *
 * @param directory A path (Node), which is made, or a handle of a browser's directory.
 * @throws (the returned promise rejects) for a directory with a transcript where neither `resume` nor `overwrite` is set, a
 * transcript of other settings, and a line that is damaged before the last one.
 * @example const transcript = await openTranscript("runs/prompt", { settings: { model: "qwen3" }, resume: true });
 */
export async function openTranscript(
  directory: DirectoryTreeTarget,
  options: TranscriptOptions = {},
): Promise<Transcript> {
  checkOptions(CALLER, options, "settings", "resume", "overwrite");
  const { resume = false, overwrite = false } = options;
  checkFlag(CALLER, "resume", resume);
  checkFlag(CALLER, "overwrite", overwrite);
  if (resume && overwrite) {
    throw new TypeError(
      `${CALLER}: resume keeps the transcript that is there, overwrite deletes it`,
    );
  }
  const settings = asJson(options.settings ?? {});
  const tree = await outputTree(directory);
  const where = typeof directory === "string" ? directory : "the directory";
  const text = overwrite ? null : await textIn(tree, FILE);
  if (text !== null && !resume) {
    throw new TypeError(
      `${CALLER}: ${where} holds a transcript; set resume (--resume) to go on with it, overwrite (--overwrite) to delete it, ` +
        "or choose another directory",
    );
  }
  const { exchanges, cut } =
    text === null ? NOTHING : exchangesIn(`${where}/${FILE}`, text, settings);
  if (text === null || exchanges === null || cut) {
    const lines = [{ format: FORMAT, settings }, ...(exchanges ?? [])];
    await writeText(tree, FILE, lines.map(lineOf).join(""));
  }
  let writing: Promise<void> = Promise.resolve();
  return {
    exchanges: exchanges ?? [],
    notices: cut ? [`${where}/${FILE}: its last line was not whole, and is left out`] : [],
    add(exchange) {
      writing = writing.then(() => tree.append(FILE, lineOf(exchange)));
      return writing;
    },
  };
}

const NOTHING = { exchanges: null, cut: false };

const lineOf = (value: object): string => `${JSON.stringify(value)}\n`;

/** The exchanges of a text, or null where not even its first line is whole, and whether its end is cut. */
function exchangesIn(path: string, text: string, settings: Json) {
  const lines = text.split("\n");
  // What follows the last line's end is a part of a line.
  const cut = lines.pop() !== "";
  const [head, ...values] = lines.map((line, i) => objectOf(line, `${path}:${i + 1}`));
  if (head === undefined) return { exchanges: null, cut };
  if (head.format !== FORMAT) {
    throw new TypeError(`${CALLER}: ${path} is no transcript that this version can read`);
  }
  const differences = differencesOf(head.settings as Json, settings);
  if (differences !== "") {
    throw new TypeError(
      `${CALLER}: ${path} is of other models (${differences}); set overwrite (--overwrite) to delete it, or choose ` +
        "another directory",
    );
  }
  return { exchanges: values as unknown as Exchange[], cut };
}

function objectOf(line: string, place: string): Json {
  try {
    const value: unknown = JSON.parse(line);
    if (isPlainObject(value)) return value as Json;
  } catch {}
  throw new TypeError(
    `${CALLER}: ${place} is damaged; remove the line, and what it held is asked again`,
  );
}
