/**
 * Files as bytes that are read in ranges: from memory, from a `Blob`, from a browser's file system and
 * from Node's. Files of real models are larger than one array can be.
 * @module
 */

import type { FileHandle } from "node:fs/promises";
import { describeValue } from "../checks.js";
import { nodeFileSystem } from "./node.js";

/** Bytes to be read in ranges. */
export interface ByteSource {
  /** How many there are. */
  readonly size: number;
  /** Those from one place to before another; perhaps in `into`, which is as long or longer. */
  read(from: number, to: number, into?: Uint8Array): Promise<Uint8Array>;
  /** Releases the file. */
  close(): Promise<void>;
}

/** A `Blob`, a `File` that was picked or dropped, or whatever gives its bytes the same way. */
export interface BlobSource {
  /** How many bytes there are. */
  readonly size: number;
  /** The bytes from one place to before another. */
  slice(
    from: number,
    to: number,
  ): {
    /** Reads them. */
    arrayBuffer(): Promise<ArrayBuffer>;
  };
}

/** A `FileSystemFileHandle` of a browser's file system. */
export interface HandleSource {
  /** The file as it is now. */
  getFile(): Promise<BlobSource>;
}

/** A file to read: a path (Node), bytes, a `Blob` or `File`, or a handle of a browser's file system. */
export type FileSource = string | Uint8Array | ArrayBuffer | BlobSource | HandleSource;

/** Opens a file for reading. `argument` names it in the error for something else. */
export async function openSource(file: FileSource, argument = "a file"): Promise<ByteSource> {
  if (typeof file === "string") return fromPath(file);
  if (file instanceof Uint8Array) return fromBytes(file);
  if (file instanceof ArrayBuffer) return fromBytes(new Uint8Array(file));
  if (typeof file === "object" && file !== null) {
    if ("getFile" in file) return fromBlob(await file.getFile());
    if ("slice" in file && "size" in file) return fromBlob(file);
  }
  throw new TypeError(
    `${argument} must be a path, bytes (a Uint8Array or ArrayBuffer), a Blob or a FileSystemFileHandle, ` +
      `got ${describeValue(file)}`,
  );
}

/** Opens a path for reading; null where there is no file. */
export async function openIfThere(path: string): Promise<ByteSource | null> {
  try {
    return await openSource(path);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return null;
    throw error;
  }
}

function fromBytes(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read: async (from, to) => bytes.subarray(from, to),
    close: async () => {},
  };
}

function fromBlob(blob: BlobSource): ByteSource {
  return {
    size: blob.size,
    read: async (from, to) => new Uint8Array(await blob.slice(from, to).arrayBuffer()),
    close: async () => {},
  };
}

async function fromPath(path: string): Promise<ByteSource> {
  const file = await nodeFileSystem("reading a path").open(path, "r");
  try {
    const status = await file.stat();
    if (!status.isFile()) throw new TypeError(`${path} is no file`);
    return {
      size: status.size,
      read: (from, to, into = new Uint8Array(to - from)) =>
        readRange(file, path, from, into.subarray(0, to - from)),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Reads until the range is full: one call may give less. */
async function readRange(
  file: FileHandle,
  path: string,
  from: number,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, from + filled);
    if (bytesRead === 0)
      throw new RangeError(`${path} ended at ${from + filled} of ${from + bytes.length} bytes`);
    filled += bytesRead;
  }
  return bytes;
}
