/**
 * Files that are written whole or not at all.
 * @module
 */

import { describeValue } from "../checks.js";
import { nodeFileSystem } from "./node.js";

/** A `FileSystemFileHandle` of a browser's file system. */
export interface HandleTarget {
  /** Opens a copy of the file that takes its place when it is closed. */
  createWritable(): Promise<{
    /** Appends bytes, of memory that no other thread shares. */
    write(piece: Uint8Array & { readonly buffer: ArrayBuffer }): Promise<void>;
    /** Puts the copy in the file's place. */
    close(): Promise<void>;
    /** Gives the copy up. */
    abort(): Promise<void>;
  }>;
}

/** Where to write: a path (Node), or a handle of a browser's file system. */
export type FileTarget = string | HandleTarget;

/** Rejects what is no target. */
export function checkTarget(name: string, target: unknown): asserts target is FileTarget {
  if (typeof target === "string") return;
  if (typeof target === "object" && target !== null && "createWritable" in target) return;
  throw new TypeError(
    `${name}: target must be a path or a FileSystemFileHandle, got ${describeValue(target)}`,
  );
}

/** A file to be written piece by piece. */
export type FileToWrite = readonly [target: FileTarget, pieces: AsyncIterable<Uint8Array>];

/** A file whose new contents are complete beside it. */
interface Written {
  /** Puts them in the file's place. */
  commit(): Promise<void>;
  /** Gives them up. */
  discard(): Promise<void>;
}

/**
 * Writes files piece by piece. A reader finds the old contents or the new, never a part: the pieces go
 * to a file beside it (`NAME.tmp-…`) that is synced and then renamed; browsers do the same for their
 * handles. All are complete before the first takes its place, and they do so in the given order. A write
 * that fails leaves the old files and removes its own.
 */
export async function writeAtomically(files: readonly FileToWrite[]): Promise<void> {
  const written: Written[] = [];
  try {
    for (const [target, pieces] of files) {
      written.push(
        await (typeof target === "string" ? besidePath(target, pieces) : inStream(target, pieces)),
      );
    }
    while (written.length > 0) {
      await written[0]!.commit();
      written.shift();
    }
  } catch (error) {
    for (const file of written) await file.discard();
    throw error;
  }
}

/** What the library makes of a tensor is never shared memory. */
const unshared = (piece: Uint8Array) => piece as Uint8Array & { readonly buffer: ArrayBuffer };

let writes = 0;

async function besidePath(path: string, pieces: AsyncIterable<Uint8Array>): Promise<Written> {
  const { open, rename, rm } = nodeFileSystem("writing to a path");
  const temporary = `${path}.tmp-${globalThis.process.pid}-${writes++}`;
  const discard = () => rm(temporary, { force: true });
  try {
    const file = await open(temporary, "wx");
    try {
      for await (const piece of pieces) await file.writeFile(piece);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await discard();
    throw error;
  }
  return {
    async commit() {
      await rename(temporary, path);
      await syncDirectoryOf(path);
    },
    discard,
  };
}

/** A rename is on the disk when its directory is. Systems that cannot open directories need no sync. */
async function syncDirectoryOf(path: string): Promise<void> {
  const { open } = nodeFileSystem("writing to a path");
  const end = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"));
  const directory = end < 0 ? "." : path.slice(0, end + 1);
  const handle = await open(directory, "r").catch(() => null);
  if (!handle) return;
  try {
    await handle.sync().catch(() => undefined);
  } finally {
    await handle.close();
  }
}

/** What is written to a handle's stream takes the file's place when the stream is closed. */
async function inStream(handle: HandleTarget, pieces: AsyncIterable<Uint8Array>): Promise<Written> {
  const stream = await handle.createWritable();
  try {
    for await (const piece of pieces) await stream.write(unshared(piece));
  } catch (error) {
    await stream.abort();
    throw error;
  }
  return { commit: () => stream.close(), discard: () => stream.abort() };
}

/** A text's bytes. */
export async function* textPieces(text: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(text);
}
