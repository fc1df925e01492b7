/**
 * Numbers that a model makes of rows, in files that are named by all that they depend on.
 * @module
 */

import type { PreferenceRow, Rows, UnpairedRow } from "../data/rows.js";
import { fingerprint } from "../files/fingerprint.js";
import type { OutputDirectory } from "../files/outputDirectory.js";
import { loadTree, saveTree } from "../files/tree.js";
import { tensor } from "../tensor/create.js";
import type { Tensor } from "../tensor/tensor.js";
import { treeNamed } from "../tensor/tree.js";
import { checkRowKind } from "./givenRows.js";
import type { Policy } from "./policy.js";
import { completion, type Sequence } from "./sequences.js";

/** Numbers by their names. */
export type KeptColumns = Readonly<Record<string, Float64Array>>;

/** The columns of a file; null where there is none, or it is damaged. */
export async function columnsIn(
  directory: OutputDirectory,
  name: string,
): Promise<KeptColumns | null> {
  const file = await directory.open(name);
  if (!file) return null;
  try {
    const bytes = await file.read(0, file.size);
    const tree = await loadTree<Readonly<Record<string, Tensor>>>(bytes);
    const columns = Object.entries(tree).map(async ([key, column]) => {
      return [key, Float64Array.from(await column.data())] as const;
    });
    return Object.fromEntries(await Promise.all(columns));
  } catch {
    return null;
  } finally {
    await file.close();
  }
}

/** Writes columns, all of them or none. */
export async function keep(
  directory: OutputDirectory,
  name: string,
  columns: KeptColumns,
): Promise<void> {
  const tree = Object.entries(columns).map(([key, values]) => [key, tensor(values)]);
  await saveTree(await directory.target(name), Object.fromEntries(tree));
}

const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** Fingerprints of tensors, whose values never change: the same weights are part of several. */
const prints = new WeakMap<Tensor, string>();

async function printOf(t: Tensor): Promise<string> {
  const { buffer, byteOffset, byteLength } = await t.data();
  return fingerprint([new Uint8Array(buffer, byteOffset, byteLength)]);
}

/** What tells trees of tensors apart, for a fingerprint. */
export async function* treeContents(tree: unknown): AsyncGenerator<Uint8Array> {
  for (const [name, t] of Object.entries(treeNamed(tree))) {
    const print = prints.get(t) ?? (await printOf(t));
    prints.set(t, print);
    yield text([name, t.dtype, t.shape, print]);
  }
}

/** What a model's numbers of rows depend on, for a fingerprint: its tensors by their names, and the ids of the rows. */
export async function* contents(
  { parameters, fixed }: Policy<unknown>,
  data: readonly Rows<PreferenceRow | UnpairedRow>[],
): AsyncGenerator<Uint8Array> {
  yield text(fixed?.settings ?? null);
  yield* treeContents(parameters);
  yield* treeContents(fixed?.tensors);
  for (const rows of data) {
    yield text(["rows", rows.length]);
    for await (const batch of batchesOf(rows, 64)) {
      yield text(batch.map((row) => Object.values(askedOf(row)).map((own) => [own.ids, own.mask])));
    }
  }
}

/** Rows, some at a time, in their order. */
export async function* batchesOf<R>(
  rows: Rows<R>,
  batchSize: number,
): AsyncGenerator<readonly R[]> {
  for (let start = 0; start < rows.length; start += batchSize) {
    const size = Math.min(batchSize, rows.length - start);
    yield rows.read(Array.from({ length: size }, (_, i) => start + i));
  }
}

/** What tells rows from others: all that they hold. */
export function rowsPrint(rows: Rows<unknown>): Promise<string> {
  return fingerprint(pieces());
  async function* pieces(): AsyncGenerator<Uint8Array> {
    const plain = (_: string, value: unknown) =>
      ArrayBuffer.isView(value) ? Array.from(value as Uint32Array) : value;
    for await (const piece of batchesOf(rows, 256)) {
      yield new TextEncoder().encode(JSON.stringify(piece, plain));
    }
  }
}

const READERS = "readPreferences or readUnpaired";

/** The sequences of a row that a reference is asked for, by the fields that hold its answers. */
export function askedOf(row: PreferenceRow | UnpairedRow): Readonly<Record<string, Sequence>> {
  const of = (ids: ArrayLike<number>) => completion(row.promptIds, ids, row.row);
  if ("chosenIds" in row)
    checkRowKind("rows", [row], READERS, "promptIds", "chosenIds", "rejectedIds");
  else checkRowKind("rows", [row], READERS, "promptIds", "completionIds", "mismatchedIds");
  return "chosenIds" in row
    ? { referenceChosen: of(row.chosenIds), referenceRejected: of(row.rejectedIds) }
    : { reference: of(row.completionIds), referenceMismatched: of(row.mismatchedIds) };
}
