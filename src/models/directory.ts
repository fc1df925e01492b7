/**
 * What a model's files are to those who read them, and the simplest of their places.
 * @module
 */

import { nodeFileSystem } from "../files/node.js";
import { type ByteSource, openIfThere } from "../files/source.js";

/** Files by name. */
export interface ModelFiles {
  /** Where they are, for errors. */
  readonly where: string;
  /** Opens a file for reading in ranges; null where there is none of that name. */
  open(name: string): Promise<ByteSource | null>;
  /** Whether there is a file of that name, where opening it would fetch it. */
  has?(name: string): Promise<boolean>;
  /** The names of all files, with the folders they are in, where they can be known. */
  list?(): Promise<readonly string[]>;
}

/** The files of a directory. */
export function inDirectory(path: string): ModelFiles {
  const base = path.replace(/[/\\]+$/, "");
  return {
    where: path,
    open: (name) => openIfThere(`${base}/${name}`),
    list: async () => {
      const names = await nodeFileSystem("reading a directory").readdir(base, { recursive: true });
      return names.map((name) => name.replaceAll("\\", "/"));
    },
  };
}
