/**
 * A model's files by their names, wherever they are.
 * @module
 */

import { describeValue, isPlainObject } from "../checks.js";
import { openAddress } from "../files/address.js";
import { isNode, nodeFileSystem, nodeModule } from "../files/node.js";
import { type BlobSource, type FileSource, openSource } from "../files/source.js";
import { inDirectory, type ModelFiles } from "./directory.js";
import type { ConfigJson } from "./families/configReader.js";

export type { ModelFiles } from "./directory.js";

/** A `URL`, as programs without its type know it. */
export interface Address {
  readonly href: string;
  readonly protocol: string;
}

/** A `File` that was picked or dropped; of a folder, it knows its path in it. */
export interface NamedBlob extends BlobSource {
  /** Its name, or its path. */
  readonly name: string;
  /** Its path in the folder that was picked. */
  readonly webkitRelativePath?: string;
}

/**
 * Where a model's files are: a directory's path (Node), an id on the hub (`"org/name"`), the address of a
 * directory (`"https://…"`, or a `URL`), the `File`s that were picked or dropped, or files by their names. A directory beats
 * an id of the same name.
 */
export type ModelSource =
  | string
  | Address
  | readonly NamedBlob[]
  | Readonly<Record<string, FileSource>>;

/** The path, id or address that a source is; null for files. */
export function textOf(source: ModelSource): string | null {
  if (!(source instanceof URL)) return typeof source === "string" ? source : null;
  if (source.protocol !== "file:") return source.href;
  return nodeModule("node:url", "reading a path").fileURLToPath(source);
}

/** The files of a source; `revision` is that of an id. */
export async function modelFiles(source: ModelSource, revision?: string): Promise<ModelFiles> {
  const text = textOf(source);
  if (text) {
    if (/^https?:\/\//.test(text)) return atAddress(text);
    if (await isDirectory(text)) return inDirectory(text);
    const { hubAddress, hubFiles } = await import("./hub.js");
    if (isNode()) return hubFiles(text, revision);
    return atAddress(`${hubAddress(text)}/${encodeURIComponent(revision ?? "main")}`);
  }
  if (!Array.isArray(source) && !isPlainObject(source)) {
    throw new TypeError(
      `a model's source must be a path, an id of the hub, an address, Files, or files by name, got ${describeValue(source)}`,
    );
  }
  const files = new Map<string, FileSource>(
    Array.isArray(source)
      ? inFolder(source as readonly NamedBlob[])
      : Object.entries(source as Readonly<Record<string, FileSource>>),
  );
  return {
    where: "the given files",
    async open(name) {
      const file = files.get(name);
      return file === undefined ? null : openSource(file);
    },
  };
}

/** Whether the text is an id: an owner and a name. */
export function isHubId(text: string): boolean {
  return /^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(text) && !text.includes("..");
}

/** Files by their paths from where the outermost `config.json` is. */
function inFolder(files: readonly NamedBlob[]): (readonly [string, NamedBlob])[] {
  const paths = files.map((file) => [file.webkitRelativePath || file.name, file] as const);
  const roots = paths.flatMap(([path]) => /^(.*\/)?config\.json$/.exec(path)?.[0] ?? []);
  const shortest = roots.sort((a, b) => a.length - b.length)[0] ?? "";
  const root = shortest.slice(0, shortest.lastIndexOf("/") + 1);
  return paths
    .filter(([path]) => path.startsWith(root))
    .map(([path, file]) => [path.slice(root.length), file]);
}

/** Whether it is a directory rather than an id. @throws for what is neither. */
async function isDirectory(text: string): Promise<boolean> {
  if (!isNode() && isHubId(text)) return false;
  const { stat } = nodeFileSystem("reading a path");
  const status = await stat(text).catch(() => null);
  if (status?.isDirectory()) return true;
  if (status) throw new TypeError(`${text} is a file; give the directory it is in`);
  if (isHubId(text)) return false;
  throw new TypeError(`there is no directory ${text}`);
}

/** The files below an address. */
function atAddress(address: string): ModelFiles {
  const [base, query = ""] = address.split(/(?=\?)/);
  return {
    where: address,
    open: (name) => openAddress(`${base!.replace(/\/+$/, "")}/${encodeURIComponent(name)}${query}`),
  };
}

/** Whether there is a file of that name. */
export async function hasFile(files: ModelFiles, name: string): Promise<boolean> {
  if (files.has) return files.has(name);
  const file = await files.open(name);
  await file?.close();
  return file !== null;
}

/** The bytes of a small file; null where there is none of that name. */
export async function readBytes(files: ModelFiles, name: string): Promise<Uint8Array | null> {
  const file = await files.open(name);
  if (!file) return null;
  try {
    return await file.read(0, file.size);
  } finally {
    await file.close();
  }
}

/** A file's text; null where there is none of that name. @throws for what is not UTF-8. */
export async function readText(files: ModelFiles, name: string): Promise<string | null> {
  const bytes = await readBytes(files, name);
  if (!bytes) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new TypeError(`${name} of ${files.where} is not UTF-8`);
  }
}

/** The object of a JSON file; null where there is none of that name. @throws for other contents. */
export async function readJson(files: ModelFiles, name: string): Promise<ConfigJson | null> {
  const text = await readText(files, name);
  if (text === null) return null;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new TypeError(
      `${name} of ${files.where} cannot be read as JSON: ${(error as Error).message}`,
    );
  }
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as ConfigJson;
  throw new TypeError(`${name} of ${files.where} holds no JSON object`);
}
