/**
 * Where a dataset comes from: files, addresses, or records that are at hand, as one stream of records.
 * @module
 */

import { describeValue } from "../checks.js";
import { type ByteSource, type FileSource, openSource } from "../files/source.js";
import { type Address, textOf } from "../models/modelFiles.js";
import { type DataFile, dataFiles, type FileChoice } from "./dataFiles.js";
import { jsonRecords, type ParsedRecord } from "./json.js";
import { isParquet, parquetRows } from "./parquet.js";
import { Problems, type RecordPlace, RowProblem } from "./problems.js";

/**
 * A dataset: the path of a file or a directory (Node), the address of a file, the id of a dataset on the hub
 * (`"org/name"`), a `File` or `Blob`, bytes, or records as an array, an iterable or an async iterable. Files are JSON
 * lines, a JSON array, or Parquet.
 */
export type DataSource = FileSource | Address | Iterable<unknown> | AsyncIterable<unknown>;

/** A record and where it is. Its value is a `RowProblem` where there is none. */
export interface SourceRecord extends RecordPlace {
  readonly value: unknown;
}

/** A dataset as it is read: its files, or records that are at hand. */
export type Dataset =
  | { readonly files: readonly DataFile[] }
  | { readonly values: Iterable<unknown> | AsyncIterable<unknown> };

/** Bytes that are read at a time. */
const PIECE = 2 ** 20;

/** The files or records of a source. @throws for what is none. */
export async function openDataset(
  caller: string,
  source: DataSource,
  choice: FileChoice,
): Promise<Dataset> {
  const text = typeof source === "string" || source instanceof URL ? textOf(source) : null;
  if (text !== null) return { files: await dataFiles(caller, text, choice) };
  if (choice.split !== undefined) {
    throw new TypeError(`${caller}: split is for directories and ids of the hub`);
  }
  if (isFile(source)) {
    const { name = "the given file" } = source as { readonly name?: string };
    return { files: [{ name, open: () => openSource(source) }] };
  }
  if (typeof source === "object" && source !== null) {
    if (Symbol.iterator in source || Symbol.asyncIterator in source) return { values: source };
  }
  throw new TypeError(
    `${caller}: source must be a path, an address, an id of the hub, a Blob, or rows as an array or an iterable, ` +
      `got ${describeValue(source)}`,
  );
}

function isFile(source: unknown): source is Exclude<FileSource, string> {
  if (typeof source !== "object" || source === null || Array.isArray(source)) return false;
  if (source instanceof Uint8Array || source instanceof ArrayBuffer) return true;
  return "getFile" in source || ("slice" in source && "size" in source);
}

/** The first `limit` records of a dataset, in order. */
export async function* readRecords(dataset: Dataset, limit: number): AsyncGenerator<SourceRecord> {
  let row = 0;
  for await (const record of allRecords(dataset)) {
    yield { row: row++, ...record };
    if (row >= limit) return;
  }
}

/** All records, which have no number yet; what is wrong with a file as a whole has -1. */
async function* allRecords(
  dataset: Dataset,
): AsyncGenerator<Omit<SourceRecord, "row"> & { readonly row?: -1 }> {
  if ("values" in dataset) {
    for await (const value of dataset.values) yield { file: null, line: null, value };
    return;
  }
  for (const file of dataset.files) {
    try {
      for await (const record of fileRecords(file)) yield { file: file.name, ...record };
    } catch (error) {
      yield { file: file.name, line: null, row: -1, value: unreadable(error) };
    }
  }
}

/** What keeps a file from being read: it is not there, damaged, or no file of its kind. */
function unreadable(error: unknown): RowProblem {
  if (error instanceof RowProblem) return error;
  const { message, cause } = error as Error;
  const reason = cause instanceof Error && cause.message ? `${message}: ${cause.message}` : message;
  return new RowProblem(
    `cannot be read (${reason}); see that it is there and whole, or fetch it again`,
    { cause: error },
  );
}

async function* fileRecords(file: DataFile): AsyncGenerator<ParsedRecord> {
  const source = await file.open();
  try {
    const head = await source.read(0, Math.min(4, source.size));
    if (isParquet(head)) {
      for await (const value of parquetRows(source)) yield { line: null, value };
    } else {
      yield* jsonRecords(isGzip(head) ? decompressed(pieces(source)) : pieces(source));
    }
  } finally {
    await source.close();
  }
}

/**
 * What tells a dataset from others: its bytes, or the JSON of its records.
 * @throws for records that can be read once only.
 */
export async function* contentsOf(caller: string, dataset: Dataset): AsyncGenerator<Uint8Array> {
  if ("files" in dataset) {
    for (const file of dataset.files) {
      try {
        yield* fileBytes(file);
      } catch (error) {
        const problems = new Problems();
        problems.add({ file: file.name, line: null, row: -1 }, unreadable(error).message);
        problems.check(caller);
      }
    }
    return;
  }
  if (!Array.isArray(dataset.values)) {
    throw new TypeError(
      `${caller}: cache finds rows again by their source, and an iterable can be read once; give a file or an array`,
    );
  }
  const encoder = new TextEncoder();
  for (const [row, value] of dataset.values.entries()) {
    try {
      yield encoder.encode(JSON.stringify(value, withoutBigInt) ?? "");
    } catch (error) {
      throw new TypeError(
        `${caller}: cache finds rows again by their JSON, and row ${row} has none (${(error as Error).message}); ` +
          "leave the field out",
        { cause: error },
      );
    }
  }
}

const withoutBigInt = (_: string, value: unknown): unknown =>
  typeof value === "bigint" ? Number(value) : value;

async function* fileBytes(file: DataFile): AsyncGenerator<Uint8Array> {
  const source = await file.open();
  try {
    yield* pieces(source);
  } finally {
    await source.close();
  }
}

/** The bytes of a file, one piece after the other. */
async function* pieces(source: ByteSource): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < source.size; from += PIECE) {
    yield source.read(from, Math.min(from + PIECE, source.size));
  }
}

const isGzip = (head: Uint8Array): boolean => head[0] === 0x1f && head[1] === 0x8b;

async function* decompressed(compressed: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const stream = new ReadableStream<BufferSource>({
    async pull(controller) {
      const { done, value } = await compressed.next();
      if (done) controller.close();
      else controller.enqueue(value as Uint8Array<ArrayBuffer>);
    },
  });
  const reader = stream.pipeThrough(new DecompressionStream("gzip")).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}
