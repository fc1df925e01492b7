/**
 * The rows of Parquet files, a row group at a time.
 * @module
 */

import type { Compressors } from "hyparquet";
import { isPlainObject } from "../checks.js";
import { nodeModuleIfThere } from "../files/node.js";
import type { ByteSource } from "../files/source.js";

/** Whether a file is Parquet, by the four bytes it begins with. */
export const isParquet = (head: Uint8Array): boolean =>
  new TextDecoder("latin1").decode(head.subarray(0, 4)) === "PAR1";

/** The rows of a file. */
export async function* parquetRows(source: ByteSource): AsyncGenerator<unknown> {
  const { parquetMetadataAsync, parquetReadObjects } = await import("hyparquet");
  const file = {
    byteLength: source.size,
    slice: async (from: number, to = source.size) =>
      (await source.read(from < 0 ? source.size + from : from, to)).slice().buffer,
  };
  const metadata = await parquetMetadataAsync(file);
  const codecs = metadata.row_groups.flatMap(({ columns }) =>
    columns.map((column) => column.meta_data?.codec),
  );
  const compressors = await compressorsOf(new Set(codecs));
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    const rows = await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd });
    for (const row of rows) yield withNumbers(row);
    rowStart = rowEnd;
  }
}

/** What decompresses the codecs that occur; snappy is the library's own. */
async function compressorsOf(codecs: ReadonlySet<string | undefined>): Promise<Compressors> {
  const zstd = codecs.has("ZSTD") ? await import("fzstd") : undefined;
  const zlib = nodeModuleIfThere("node:zlib");
  return {
    ...(zstd && { ZSTD: (bytes) => zstd.decompress(bytes) }),
    ...(zlib && {
      GZIP: (bytes) => zlib.gunzipSync(bytes),
      BROTLI: (bytes) => zlib.brotliDecompressSync(bytes),
    }),
  };
}

/** Integers of 64 bits as numbers. */
function withNumbers(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(withNumbers);
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withNumbers(one)]));
}
