/**
 * Journals: files of lines of JSON that say how far something came, and go on after their process was killed.
 * @module
 */

import { checkFlag, isPlainObject } from "../checks.js";
import { type DirectoryTreeTarget, outputTree, textIn, writeText } from "../files/outputTree.js";
import { runLock } from "./runLock.js";
import { asJson, differencesOf, type Json } from "./runSettings.js";

/** What a journal is called, and what its first line says. */
export interface JournalKind {
  /** Who opens it, for errors. */
  readonly caller: string;
  /** What it is, in a word. */
  readonly noun: string;
  /** Its name. */
  readonly file: string;
  /** Changes with what a line means. */
  readonly format: string;
  /** What a journal with other settings is of: `"other models"`. */
  readonly others: string;
}

/** How a journal is opened. */
export interface JournalOptions {
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
  readonly resume?: boolean | undefined;
  readonly overwrite?: boolean | undefined;
}

/** Lines on the disk. */
export interface Journal<Line extends object> {
  /** Those that were there when it was opened. */
  readonly lines: readonly Line[];
  /** Sentences on what was found damaged; empty if nothing was. */
  readonly notices: readonly string[];
  /** Writes one, whole or not at all. */
  add(line: Line): Promise<void>;
  /** Gives the directory back to others. */
  close(): Promise<void>;
}

/**
 * Opens a journal in a directory, which it has to itself until it is closed or the process ends. Its first line says what
 * it is and its settings. A process that was killed may leave a part of a line at the end; it is cut off.
 *
 * @throws (the returned promise rejects) for a directory with a journal where neither `resume` nor `overwrite` is set, that
 * another process writes to, a journal of other settings, and a line that is damaged before the last one.
 */
export async function openJournal<Line extends object>(
  kind: JournalKind,
  directory: DirectoryTreeTarget,
  options: JournalOptions,
): Promise<Journal<Line>> {
  const { caller, noun, file } = kind;
  const { resume = false, overwrite = false } = options;
  checkFlag(caller, "resume", resume);
  checkFlag(caller, "overwrite", overwrite);
  if (resume && overwrite) {
    throw new TypeError(`${caller}: resume keeps the ${noun} that is there, overwrite deletes it`);
  }
  const settings = asJson(options.settings ?? {});
  const tree = await outputTree(directory);
  const where = typeof directory === "string" ? directory : "the directory";
  const lock = runLock(where, directory, caller);
  await lock.take();
  try {
    const text = overwrite ? null : await textIn(tree, file);
    if (text !== null && !resume) {
      throw new TypeError(
        `${caller}: ${where} holds a ${noun}; set resume (--resume) to go on with it, overwrite (--overwrite) to delete it, ` +
          "or choose another directory",
      );
    }
    const { lines, cut } =
      text === null ? NOTHING : linesIn<Line>(kind, `${where}/${file}`, text, settings);
    if (text === null || lines === null || cut) {
      const all = [{ format: kind.format, settings }, ...(lines ?? [])];
      await writeText(tree, file, all.map(textOfLine).join(""));
    }
    let writing: Promise<void> = Promise.resolve();
    return {
      lines: lines ?? [],
      notices: cut ? [`${where}/${file}: its last line was not whole, and is left out`] : [],
      add(line) {
        writing = writing.then(() => tree.append(file, textOfLine(line)));
        return writing;
      },
      async close() {
        await writing.catch(() => undefined);
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

const NOTHING = { lines: null, cut: false };

const textOfLine = (value: object): string => `${JSON.stringify(value)}\n`;

/** The lines of a text, or null where not even its first line is whole, and whether its end is cut. */
function linesIn<Line>(kind: JournalKind, path: string, text: string, settings: Json) {
  const { caller, noun, format, others } = kind;
  const parts = text.split("\n");
  // What follows the last line's end is a part of a line.
  const cut = parts.pop() !== "";
  const [head, ...values] = parts.map((line, i) => objectOf(caller, line, `${path}:${i + 1}`));
  if (head === undefined) return { lines: null, cut };
  if (head.format !== format) {
    throw new TypeError(`${caller}: ${path} is no ${noun} that this version can read`);
  }
  const differences = differencesOf(head.settings as Json, settings);
  if (differences !== "") {
    throw new TypeError(
      `${caller}: ${path} is of ${others} (${differences}); set overwrite (--overwrite) to delete it, or choose ` +
        "another directory",
    );
  }
  return { lines: values as unknown as Line[], cut };
}

function objectOf(caller: string, line: string, place: string): Json {
  try {
    const value: unknown = JSON.parse(line);
    if (isPlainObject(value)) return value as Json;
  } catch {}
  throw new TypeError(
    `${caller}: ${place} is damaged; remove the line, and what it held is done again`,
  );
}
