/**
 * Directories that are written to: Node's, and those of a browser's file system.
 * @module
 */

import type { FileTarget, HandleTarget } from "./atomic.js";
import { makeDirectory } from "./makeDirectory.js";
import { nodeFileSystem } from "./node.js";
import { type ByteSource, type HandleSource, openIfThere, openSource } from "./source.js";

/** A `FileSystemDirectoryHandle` of a browser's file system. */
export interface DirectoryHandle {
  /** The file of that name, which `create` makes. */
  getFileHandle(
    name: string,
    options?: { readonly create?: boolean },
  ): Promise<HandleTarget & HandleSource>;
  /** Removes a file. */
  removeEntry(name: string): Promise<void>;
}

/** Where files are written: a directory's path (Node), which is made, or a handle of a browser's directory. */
export type DirectoryTarget = string | DirectoryHandle;

/** A directory to write to. */
export interface OutputDirectory {
  /** Where a file of that name is written. */
  target(name: string): Promise<FileTarget>;
  /** Opens a file that is there; null where there is none. */
  open(name: string): Promise<ByteSource | null>;
  /** Removes a file that is there. */
  remove(name: string): Promise<void>;
}

/** The directory, which is there afterwards. */
export async function outputDirectory(directory: DirectoryTarget): Promise<OutputDirectory> {
  if (typeof directory !== "string") return ofHandle(directory);
  const { rm } = nodeFileSystem("writing to a directory");
  await makeDirectory(directory);
  const base = directory.replace(/[/\\]+$/, "");
  const path = (name: string) => `${base}/${name}`;
  return {
    target: async (name) => path(name),
    open: (name) => openIfThere(path(name)),
    remove: (name) => rm(path(name), { force: true }),
  };
}

function ofHandle(directory: DirectoryHandle): OutputDirectory {
  const absent = (error: unknown): null => {
    if ((error as Error).name === "NotFoundError") return null;
    throw error;
  };
  return {
    target: (name) => directory.getFileHandle(name, { create: true }),
    async open(name) {
      const file = await directory.getFileHandle(name).catch(absent);
      return file && openSource(file);
    },
    remove: async (name) => {
      await directory.removeEntry(name).catch(absent);
    },
  };
}
