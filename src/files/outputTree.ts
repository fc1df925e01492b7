/**
 * Directories that are written to, with directories in them: Node's, and those of a browser's file system.
 * @module
 */

import { textPieces, writeAtomically } from "./atomic.js";
import { makeDirectory } from "./makeDirectory.js";
import { nodeFileSystem } from "./node.js";
import { type DirectoryHandle, type OutputDirectory, outputDirectory } from "./outputDirectory.js";

/** A `FileSystemDirectoryHandle` of a browser's file system, with what directories in it need. */
export interface DirectoryTreeHandle extends DirectoryHandle {
  /** The directory of that name, which `create` makes. */
  getDirectoryHandle(
    name: string,
    options?: { readonly create?: boolean },
  ): Promise<DirectoryTreeHandle>;
  /** Removes a file, or with `recursive` a directory. */
  removeEntry(name: string, options?: { readonly recursive?: boolean }): Promise<void>;
  /** The names in it. Every browser has it; TypeScript's `DOM` alone does not. */
  keys?(): AsyncIterable<string>;
}

/** Where directories are written: a path (Node), which is made, or a handle of a browser's directory. */
export type DirectoryTreeTarget = string | DirectoryTreeHandle;

/** A directory to write to that has others in it. */
export interface OutputTree extends OutputDirectory {
  /** The names in it. */
  list(): Promise<readonly string[]>;
  /** A directory in it, which is there afterwards. */
  subdirectory(name: string): Promise<DirectoryTreeTarget>;
  /** Removes a directory that may be there, with all that is in it. */
  removeDirectory(name: string): Promise<void>;
  /** Puts text at the end of a file; if that fails, none of it. */
  append(name: string, text: string): Promise<void>;
}

/** The directory, which is there afterwards. @throws if it cannot be written to. */
export async function outputTree(directory: DirectoryTreeTarget): Promise<OutputTree> {
  const output = await outputDirectory(directory);
  return typeof directory === "string" ? ofPath(directory, output) : ofHandle(directory, output);
}

async function ofPath(directory: string, output: OutputDirectory): Promise<OutputTree> {
  const fs = nodeFileSystem("writing to a directory");
  await fs.access(directory, fs.constants.W_OK);
  const path = async (name: string) => (await output.target(name)) as string;
  return {
    ...output,
    list: () => fs.readdir(directory),
    async subdirectory(name) {
      await makeDirectory(await path(name));
      return path(name);
    },
    removeDirectory: async (name) => fs.rm(await path(name), { recursive: true, force: true }),
    async append(name, text) {
      const file = await fs.open(await path(name), "a");
      try {
        const { size } = await file.stat();
        try {
          await file.writeFile(text);
        } catch (error) {
          await file.truncate(size);
          throw error;
        }
      } finally {
        await file.close();
      }
    },
  };
}

function ofHandle(directory: DirectoryTreeHandle, output: OutputDirectory): OutputTree {
  return {
    ...output,
    async list() {
      const names: string[] = [];
      for await (const name of directory.keys?.() ?? []) names.push(name);
      return names;
    },
    subdirectory: (name) => directory.getDirectoryHandle(name, { create: true }),
    async removeDirectory(name) {
      try {
        await directory.removeEntry(name, { recursive: true });
      } catch (error) {
        if ((error as Error).name !== "NotFoundError") throw error;
      }
    },
    async append(name, text) {
      await writeText(output, name, ((await textIn(output, name)) ?? "") + text);
    },
  };
}

/** The text of a file; null where there is none. */
export async function textIn(output: OutputDirectory, name: string): Promise<string | null> {
  const file = await output.open(name);
  if (!file) return null;
  try {
    return new TextDecoder().decode(await file.read(0, file.size));
  } finally {
    await file.close();
  }
}

/** Writes a text file whole, or not at all. */
export async function writeText(
  output: OutputDirectory,
  name: string,
  text: string,
): Promise<void> {
  await writeAtomically([[await output.target(name), textPieces(text)]]);
}
