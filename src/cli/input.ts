/**
 * What a user gives on the command line: a text on standard input, and the error for what cannot be used.
 * @module
 */

import { DataError } from "../data/problems.js";

/** Something the user gave that cannot be used. Its message is all they need to see. */
export class InputError extends Error {
  override readonly name = "InputError";
}

/** Ctrl-C ended a command that leaves something to go on from. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";
}

/** What the work gives; where the library refuses what it was given, that is the user's. */
export async function asInput<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const refusals = [TypeError, RangeError, DataError];
    if (!refusals.some((kind) => error instanceof kind)) throw error;
    throw new InputError((error as Error).message);
  }
}

/** The text on standard input, without the end of its last line. */
export async function standardInput(): Promise<string> {
  const { stdin } = process;
  if (stdin.isTTY) {
    throw new InputError("no prompt: give one as an argument or on standard input");
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of stdin) pieces.push(piece as Uint8Array);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(pieces));
    return text.replace(/\r?\n$/, "");
  } catch {
    throw new InputError("standard input is not UTF-8");
  }
}
