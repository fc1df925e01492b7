/**
 * Tokenised rows in a file: as `store.ts` has them, then where each begins, then the rows that were skipped, the other
 * figures of the summary as JSON, the length of that, and a checksum of all of it.
 * @module
 */

import { writeAtomically } from "../files/atomic.js";
import { type OutputDirectory, outputDirectory } from "../files/outputDirectory.js";
import type { ByteSource } from "../files/source.js";
import type { Numbers } from "./numbers.js";
import type { Rows } from "./rows.js";
import { checkedIndex, type RowFormat, RowWriter, rowAt } from "./store.js";
import { type DataSummary, type SummaryFigures, summaryOf } from "./summary.js";

/** A directory that rows are written to and found in. */
export interface RowCache<Row> {
  /** The rows that are there; null where there are none. */
  find(): Promise<FoundRows<Row> | null>;
  /** Writes rows, all of them or none. `finish` is called behind the last, and throws if they are not to be kept. */
  write(rows: AsyncIterable<Row>, finish: () => Kept): Promise<void>;
}

interface FoundRows<Row> {
  readonly rows: Rows<Row>;
  readonly summary: DataSummary;
}

/** What is written of a summary. */
interface Kept {
  readonly figures: SummaryFigures;
  readonly skips: Numbers;
}

/** What stands at the end of a file. */
interface Footer {
  /** Numbers of all rows, how many rows there are, how many were skipped. */
  readonly size: number;
  readonly rows: number;
  readonly skips: number;
  readonly figures: SummaryFigures;
}

/** Bytes of the length of the footer and of the checksum, at the very end. */
const END = 16;

/** Bytes that are checked at a time. */
const PIECE = 2 ** 20;

/** The checksum of nothing, and that of bytes behind others: FNV-1a. */
const NOTHING = 0x811c9dc5;
function checksum(sum: number, bytes: Uint8Array): number {
  let hash = sum;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash >>> 0;
}

/** The cache in a directory, of rows with this fingerprint. */
export async function rowCache<Row>(
  directory: Parameters<typeof outputDirectory>[0],
  format: RowFormat<Row>,
  print: string,
): Promise<RowCache<Row>> {
  const output = await outputDirectory(directory);
  const name = `${format.name}-${print.slice(0, 32)}.rows`;
  return {
    find: () => found(output, name, format),
    write: async (rows, finish) =>
      writeAtomically([[await output.target(name), written(format, rows, finish)]]),
  };
}

async function* written<Row>(
  format: RowFormat<Row>,
  rows: AsyncIterable<Row>,
  finish: () => Kept,
): AsyncGenerator<Uint8Array> {
  let sum = NOTHING;
  for await (const bytes of contents(format, rows, finish)) {
    sum = checksum(sum, bytes);
    yield bytes;
  }
  yield bytesOf(Float64Array.of(sum));
}

/** All of a file but its checksum. */
async function* contents<Row>(
  format: RowFormat<Row>,
  rows: AsyncIterable<Row>,
  finish: () => Kept,
): AsyncGenerator<Uint8Array> {
  const writer = new RowWriter(format);
  for await (const row of rows) {
    const block = writer.add(row);
    if (block) yield bytesOf(block);
  }
  const { size } = writer;
  yield bytesOf(writer.take());
  const { figures, skips } = finish();
  yield* writer.starts.bytes();
  yield* skips.bytes();
  const footer: Footer = { size, rows: writer.starts.length, skips: skips.length, figures };
  const json = new TextEncoder().encode(JSON.stringify(footer));
  yield json;
  yield bytesOf(Float64Array.of(json.length));
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Int32Array | Float64Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

async function found<Row>(
  output: OutputDirectory,
  name: string,
  format: RowFormat<Row>,
): Promise<FoundRows<Row> | null> {
  const file = await output.open(name);
  if (!file) return null;
  try {
    const footer = await footerOf(file);
    if (!footer) return null;
    const { size, rows, skips } = footer;
    const from = 4 * size;
    const starts = await numbersOf(file, from, rows);
    return {
      rows: {
        length: rows,
        read: (indices) => readAt(output, name, format, starts, size, indices),
      },
      summary: summaryOf(footer.figures, await numbersOf(file, from + 8 * rows, skips)),
    };
  } finally {
    await file.close();
  }
}

/** The footer of a file; null where the file is not as it was written. */
async function footerOf(file: ByteSource): Promise<Footer | null> {
  if (file.size < END) return null;
  const end = file.size - END;
  const [length, expected] = await numbersOf(file, end, 2);
  const checked = end + 8;
  let sum = NOTHING;
  for (let from = 0; from < checked; from += PIECE) {
    sum = checksum(sum, await file.read(from, Math.min(from + PIECE, checked)));
  }
  if (sum !== expected) return null;
  return JSON.parse(new TextDecoder().decode(await file.read(end - length!, end))) as Footer;
}

async function numbersOf(file: ByteSource, from: number, count: number): Promise<Float64Array> {
  // A copy begins where eight bytes are one number.
  return new Float64Array((await file.read(from, from + 8 * count)).slice().buffer);
}

async function readAt<Row>(
  output: OutputDirectory,
  name: string,
  format: RowFormat<Row>,
  starts: Float64Array,
  size: number,
  indices: readonly number[],
): Promise<readonly Row[]> {
  const file = await output.open(name);
  if (!file) throw new Error(`${name} is no longer in the cache of rows; read the data again`);
  try {
    return await Promise.all(
      indices.map(async (index) => {
        const start = starts[checkedIndex(index, starts.length)]!;
        const bytes = await file.read(4 * start, 4 * (starts[index + 1] ?? size));
        return rowAt(format, new Int32Array(bytes.slice().buffer));
      }),
    );
  } finally {
    await file.close();
  }
}
