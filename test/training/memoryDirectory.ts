/**
 * A directory of a browser's file system, in memory: a file's new contents are there when its stream is closed.
 */

import type { DirectoryTreeHandle } from "../../src/files/outputTree.js";

interface Entries {
  [name: string]: Uint8Array<ArrayBuffer> | Entries;
}

/** A handle, and what is in it. */
export function memoryDirectory(entries: Entries = {}): {
  handle: DirectoryTreeHandle;
  entries: Entries;
} {
  const missing = () => new DOMException("none of that name", "NotFoundError");
  const handle: DirectoryTreeHandle = {
    async getFileHandle(name, { create = false } = {}) {
      if (!(name in entries) && !create) throw missing();
      entries[name] ??= new Uint8Array();
      return {
        getFile: async () => new Blob([entries[name] as Uint8Array<ArrayBuffer>]),
        async createWritable() {
          const pieces: number[] = [];
          return {
            async write(piece) {
              for (const byte of piece) pieces.push(byte);
            },
            async close() {
              entries[name] = Uint8Array.from(pieces);
            },
            abort: async () => {},
          };
        },
      };
    },
    async getDirectoryHandle(name, { create = false } = {}) {
      if (!(name in entries) && !create) throw missing();
      entries[name] ??= {};
      return memoryDirectory(entries[name] as Entries).handle;
    },
    async removeEntry(name, { recursive = false } = {}) {
      if (!(name in entries)) throw missing();
      const isFilled =
        !(entries[name] instanceof Uint8Array) && Object.keys(entries[name]!).length > 0;
      if (isFilled && !recursive) throw new DOMException("not empty", "InvalidModificationError");
      delete entries[name];
    },
    async *keys() {
      yield* Object.keys(entries);
    },
  };
  return { handle, entries };
}
