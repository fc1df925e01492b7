/**
 * Trees ↔ safetensors: parameters, optimizer states, loss states and whatever else is plain objects and
 * arrays of tensors, numbers, texts, booleans and null.
 *
 * A tensor's or number's name is its path as a JSON pointer (RFC 6901): `/blocks/0/mlp/weight`. Numbers
 * are float64 scalars, so that every one, NaN, −0 and infinities among them, comes back with its bits.
 * The skeleton, which says where objects, arrays and leaves stand, is JSON in the file's metadata.
 * @module
 */

import { checkOptions, describeValue } from "../checks.js";
import { tensor } from "../tensor/create.js";
import { Tensor } from "../tensor/tensor.js";
import { checkTarget, type FileTarget, writeAtomically } from "./atomic.js";
import { checkMetadata, evaluatedPieces, joined, readHeader, readTensor } from "./safetensors.js";
import { type ByteSource, type FileSource, openSource } from "./source.js";

/** The metadata's key of the skeleton. */
const SKELETON = "prefgrad.tree";

/** A tree with a word for each leaf: `"tensor"`, `"number"`, or `=` and the JSON of anything else. */
type Skeleton = string | readonly Skeleton[] | { readonly [key: string]: Skeleton };

/** Options of {@link saveTree} and {@link encodeTree}. */
export interface SaveTreeOptions {
  /** Texts to keep with the tree, for people and other programs. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * A tree's bytes, as a safetensors file: exactly what {@link decodeTree} gives back. To send a tree to a
 * worker, post its bytes: tensors themselves cannot be cloned.
 *
 * @param tree Plain objects and arrays of tensors, numbers, strings, booleans and null; `undefined`
 * properties are left out, as in JSON.
 * @throws naming the path of anything else, and for metadata that is no text.
 * @example
 * const bytes = await encodeTree({ parameters, state });
 * worker.postMessage(bytes, [bytes.buffer]); // there: const { parameters, state } = await decodeTree(bytes)
 */
export async function encodeTree(
  tree: unknown,
  options: SaveTreeOptions = {},
): Promise<Uint8Array> {
  return joined(treePieces("encodeTree", tree, options));
}

/**
 * The tree of {@link encodeTree}'s bytes.
 * @throws (the returned promise rejects) for other bytes, and for a tree that lacks a tensor.
 */
export async function decodeTree<T = unknown>(bytes: Uint8Array | ArrayBuffer): Promise<T> {
  return readFrom<T>(bytes, "decodeTree: bytes");
}

/**
 * Writes a tree to a file: the old one stays until the new one is complete, and no failure leaves a
 * part. One tensor is copied at a time.
 *
 * @param target A path (Node), or a handle of a browser's file system, for instance of
 * `navigator.storage.getDirectory()`.
 * @throws as {@link encodeTree} does, before anything is written, and what the file system throws.
 * @example await saveTree("run/step-100.safetensors", { parameters, state, step: 100 });
 */
export async function saveTree(
  target: FileTarget,
  tree: unknown,
  options: SaveTreeOptions = {},
): Promise<void> {
  checkTarget("saveTree", target);
  await writeAtomically([[target, treePieces("saveTree", tree, options)]]);
}

/**
 * Reads a tree that {@link saveTree} or {@link encodeTree} wrote; tensors come with the bits they had.
 *
 * @param source A path (Node), a `Blob` or `File`, a handle of a browser's file system, or bytes.
 * @throws (the returned promise rejects) for files that hold no tree or are damaged.
 */
export async function loadTree<T = unknown>(source: FileSource): Promise<T> {
  return readFrom<T>(source, "loadTree: source");
}

async function readFrom<T>(source: FileSource, argument: string): Promise<T> {
  const file = await openSource(source, argument);
  try {
    return (await readTree(file)) as T;
  } finally {
    await file.close();
  }
}

function treePieces(name: string, tree: unknown, options: SaveTreeOptions) {
  checkOptions(name, options, "metadata");
  const { metadata = {} } = options;
  checkMetadata(name, metadata);
  if (Object.hasOwn(metadata, SKELETON)) {
    throw new TypeError(
      `${name}: metadata.${SKELETON} is where the tree's own form is kept; take another key`,
    );
  }
  const tensors = new Map<string, Tensor>();
  const skeleton = skeletonOf(name, tree, "", tensors);
  return evaluatedPieces(tensors, { ...metadata, [SKELETON]: JSON.stringify(skeleton) });
}

/** The tree's skeleton; its tensors and numbers are put on a list. */
function skeletonOf(
  name: string,
  value: unknown,
  path: string,
  tensors: Map<string, Tensor>,
): Skeleton {
  if (value instanceof Tensor) {
    tensors.set(path, value);
    return "tensor";
  }
  if (typeof value === "number") {
    tensors.set(path, tensor(value, { dtype: "float64" }));
    return "number";
  }
  if (value === null || typeof value === "string" || typeof value === "boolean") {
    return `=${JSON.stringify(value)}`;
  }
  const child = (key: string, item: unknown) =>
    skeletonOf(name, item, `${path}/${escaped(key)}`, tensors);
  if (Array.isArray(value)) return value.map((item, i) => child(String(i), item));
  if (!isPlain(value)) {
    throw new TypeError(
      `${name}: ${path || "the tree"} is ${describeValue(value)}; trees are plain objects and arrays of ` +
        "tensors, numbers, strings, booleans and null",
    );
  }
  const present = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(present.map(([key, item]) => [key, child(key, item)]));
}

function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** A key as a part of a JSON pointer. */
function escaped(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** The tree in a file. */
export async function readTree(file: ByteSource): Promise<unknown> {
  const header = await readHeader(file);
  const skeleton = skeletonIn(header.metadata[SKELETON]);
  let leaves = 0;
  const build = async (part: unknown, path: string): Promise<unknown> => {
    if (part === "tensor" || part === "number") {
      leaves++;
      if (!header.tensors.has(path)) throw new TypeError(`loadTree: the file lacks ${path}`);
      const t = await readTensor(file, header, path);
      return part === "tensor" ? t : t.item();
    }
    if (typeof part === "string") return parsedJson(part.slice(1));
    if (typeof part !== "object" || part === null) throw damaged();
    const entries: [string, unknown][] = [];
    for (const [key, item] of Object.entries(part)) {
      entries.push([key, await build(item, `${path}/${escaped(key)}`)]);
    }
    return Array.isArray(part) ? entries.map(([, item]) => item) : Object.fromEntries(entries);
  };
  const tree = await build(skeleton, "");
  if (leaves !== header.tensors.size) throw damaged();
  return tree;
}

function skeletonIn(text: string | undefined): unknown {
  if (text !== undefined) return parsedJson(text);
  throw new TypeError(
    "loadTree: the file holds named tensors and no tree; decodeSafetensors reads it",
  );
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw damaged();
  }
}

function damaged(): TypeError {
  return new TypeError("loadTree: the file's tree does not fit its tensors; the file is damaged");
}
