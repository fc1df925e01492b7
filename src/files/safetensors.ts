/**
 * Named tensors ↔ safetensors files, which Python's `safetensors` reads and writes, too.
 * @module
 */

import { describeValue } from "../checks.js";
import { allocate, type TypedArray } from "../kernels/dtype.js";
import { stopGradient } from "../ops/composite.js";
import { leaf } from "../tensor/create.js";
import { evaluateTogether } from "../tensor/evaluate.js";
import { Tensor } from "../tensor/tensor.js";
import { bytesOf, elementsOf, fileTypeOf, STORED_AS } from "./elements.js";
import {
  encodeHeader,
  headerLength,
  PREFIX,
  parseHeader,
  type SafetensorsHeader,
} from "./header.js";
import { type FloatFileType, narrowed } from "./narrow.js";
import { type ByteSource, openSource } from "./source.js";
import { transposedColumns } from "./transpose.js";

/** Contents of a safetensors file. */
export interface Safetensors {
  readonly tensors: Readonly<Record<string, Tensor>>;
  /** Texts kept with the tensors. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** A tensor as a file is to have it. */
export interface StoredTensor {
  readonly name: string;
  readonly tensor: Tensor;
  /** The file's type, if it is not the tensor's own. */
  readonly type?: FloatFileType | undefined;
  /** Whether the file gets the matrix's transpose. */
  readonly transposed?: boolean;
}

/**
 * The pieces of a file with the tensors: its header, then each tensor's elements, one tensor in memory
 * at a time. Larger elements come first, so that every tensor starts at a multiple of its elements' size.
 */
export async function* safetensorsPieces(
  tensors: readonly StoredTensor[],
  metadata: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array> {
  const order = tensors
    .map((entry) => ({ entry, stored: entry.type ?? STORED_AS[entry.tensor.dtype] }))
    .map((own) => ({ ...own, bytes: fileTypeOf(own.entry.name, own.stored).bytes }))
    .sort((a, b) => b.bytes - a.bytes);
  yield encodeHeader(
    metadata,
    order.map(({ entry: { name, tensor, transposed }, stored, bytes }) => [
      name,
      stored,
      transposed ? [...tensor.shape].reverse() : tensor.shape,
      tensor.size * bytes,
    ]),
  );
  for (const { entry } of order) yield* elementPieces(entry);
}

/** Elements of a piece of a tensor that is converted. */
const PIECE = 2 ** 22;

async function* elementPieces({
  name,
  tensor,
  type,
  transposed,
}: StoredTensor): AsyncGenerator<Uint8Array> {
  const elements = await elementsFor(tensor);
  if (!type && !transposed) {
    yield bytesOf(tensor.dtype, elements);
    return;
  }
  const [rows, columns] = transposed ? (tensor.shape as [number, number]) : [elements.length, 1];
  // A row of the file is a column of the tensor.
  const step = Math.max(1, Math.floor(PIECE / (transposed ? rows : 1)));
  const count = transposed ? columns : rows;
  for (let from = 0; from < count; from += step) {
    const to = Math.min(from + step, count);
    const piece = transposed
      ? transposedColumns(elements, columns, from, to, allocate(tensor.dtype, (to - from) * rows))
      : elements.subarray(from, to);
    yield type ? narrowed(name, type, piece) : bytesOf(tensor.dtype, piece);
  }
}

/** A tensor's elements. Of one that is not computed yet, nothing is kept beyond them. */
async function elementsFor(tensor: Tensor): Promise<TypedArray> {
  if (tensor.host) return tensor.host;
  if (tensor.buffer || tensor.inputs.length === 0) return tensor.data();
  const copy = stopGradient(tensor);
  try {
    return await copy.data();
  } finally {
    copy.dispose();
  }
}

/** Pieces of tensors that are evaluated together, what they share once; their values are kept. */
export async function* evaluatedPieces(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array> {
  await evaluateTogether([...tensors.values()].filter((t) => !t.host));
  yield* safetensorsPieces(
    Array.from(tensors, ([name, t]) => ({ name, tensor: t })),
    metadata,
  );
}

/** Rejects metadata that no file could be read with: all of it are texts. */
export function checkMetadata(name: string, metadata: unknown): void {
  if (typeof metadata !== "object" || metadata === null) {
    throw new TypeError(
      `${name}: metadata must be an object of texts, got ${describeValue(metadata)}`,
    );
  }
  for (const [key, text] of Object.entries(metadata)) {
    if (typeof text === "string") continue;
    throw new TypeError(
      `${name}: metadata.${key} must be a text, got ${describeValue(text)}; write String(…) or JSON.stringify(…)`,
    );
  }
}

/** Reads and checks a file's header. */
export async function readHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const prefix = await source.read(0, Math.min(PREFIX, source.size));
  const length = headerLength(prefix, source.size);
  return parseHeader(await source.read(PREFIX, PREFIX + length), source.size);
}

/** Reads one tensor of a file. */
export async function readTensor(
  source: ByteSource,
  { tensors }: SafetensorsHeader,
  name: string,
): Promise<Tensor> {
  const { dtype, shape, bytes } = tensors.get(name)!;
  const elements = elementsOf(name, dtype, await source.read(...bytes));
  return leaf(elements, shape, fileTypeOf(name, dtype).dtype);
}

/**
 * A safetensors file's bytes: float32, float64 and int32 tensors as `F32`, `F64` and `I32`, booleans as
 * `BOOL`. Python reads them with `safetensors.torch.load(bytes)`.
 *
 * @param tensors Tensors by name; they are evaluated.
 * @param metadata Texts to keep with them.
 * @throws for what is no tensor, for metadata that is no text, and for the name `__metadata__`, which the format
 * uses itself.
 * @example await writeFile("weights.safetensors", await encodeSafetensors({ weight }));
 */
export async function encodeSafetensors(
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Uint8Array> {
  for (const [name, t] of Object.entries(tensors)) {
    if (!(t instanceof Tensor)) throw new TypeError(`encodeSafetensors: ${name} is no tensor`);
    if (name === "__metadata__") {
      throw new TypeError("encodeSafetensors: the format keeps the name __metadata__ for itself");
    }
  }
  checkMetadata("encodeSafetensors", metadata);
  return joined(evaluatedPieces(new Map(Object.entries(tensors)), metadata));
}

/**
 * The contents of a safetensors file: `F32`, `F16` and `BF16` become float32, `F64` float64, integers
 * int32, `BOOL` bool.
 *
 * @throws before any tensor is made if the bytes are no such file, and for integers beyond int32.
 */
export async function decodeSafetensors(bytes: Uint8Array | ArrayBuffer): Promise<Safetensors> {
  const source = await openSource(bytes, "decodeSafetensors: bytes");
  const header = await readHeader(source);
  const tensors: [string, Tensor][] = [];
  for (const name of header.tensors.keys()) {
    tensors.push([name, await readTensor(source, header, name)]);
  }
  return { tensors: Object.fromEntries(tensors), metadata: header.metadata };
}

/** All pieces in one array. */
export async function joined(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const list: Uint8Array[] = [];
  let size = 0;
  for await (const piece of pieces) {
    list.push(piece);
    size += piece.length;
  }
  const bytes = new Uint8Array(size);
  let next = 0;
  for (const piece of list) {
    bytes.set(piece, next);
    next += piece.length;
  }
  return bytes;
}
