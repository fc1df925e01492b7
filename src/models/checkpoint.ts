/**
 * Checkpoints: the tensors of safetensors files, as transformers writes them, in their places of the
 * parameter tree.
 * @module
 */

import { elementsOf, fileTypeOf, putElements } from "../files/elements.js";
import type { SafetensorsHeader } from "../files/header.js";
import type { ByteSource } from "../files/source.js";
import { transposedBytes } from "../files/transpose.js";
import { bytesPerElement, type StorageType } from "../kernels/dtype.js";
import { currentDevice } from "../tensor/evaluate.js";
import { deviceLimits, tensorOfPieces } from "../tensor/pieces.js";
import { sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkTensors } from "./checkTensors.js";
import {
  type DecoderConfig,
  type DecoderParameters,
  parameterShapes,
  parameterTree,
} from "./decoder.js";
import type { CheckpointTensor, Family } from "./families/family.js";

/** An open file of a checkpoint. */
export interface CheckpointFile {
  readonly name: string;
  readonly source: ByteSource;
  readonly header: SafetensorsHeader;
}

/** Called after each piece of a tensor that was read, with the bytes of the files so far. */
export type LoadProgress = (loaded: { readonly bytes: number; readonly of: number }) => void;

/** What was read, with the config that says whether the head is the embedding. */
export interface LoadedParameters {
  readonly config: DecoderConfig;
  readonly parameters: DecoderParameters;
}

const HEAD = "lm_head.weight";

/**
 * Reads all tensors of a model, piece by piece. A tied model's file may hold a head: an equal one is left
 * out, another one unties the model, as transformers has it.
 *
 * @throws before anything is read, naming tensors that are missing, of another shape, of no use, or too
 * large for the device.
 */
export async function readParameters(
  { config: given, family }: { readonly config: DecoderConfig; readonly family: Family },
  files: readonly CheckpointFile[],
  {
    dtype,
    onProgress,
  }: { readonly dtype: StorageType; readonly onProgress?: LoadProgress | undefined },
): Promise<LoadedParameters> {
  const { config, wanted, found } = await untied(given, family, files);
  await checkLimits(wanted, found, dtype);
  const total = wanted.reduce((sum, { name }) => sum + bytesOf(found.get(name)!), 0);
  const tensors = new Map<string, Tensor>();
  const room = new Room();
  const parts = wanted.map(({ name, transposed }) => {
    const tensor = found.get(name)!;
    return rangesOf(tensor, transposed ? tensor.shape[1]! : 1);
  });
  const ahead = new ReadAhead(parts.flat());
  let first = 0;
  let before = 0;
  const read = (own: number) => onProgress?.({ bytes: before + own, of: total });
  try {
    for (const [i, { name, path, transposed }] of wanted.entries()) {
      const tensor = found.get(name)!;
      const storage = storageOf(tensor, dtype);
      const ranges = parts[i]!.map((_, part) => first + part);
      const options = { transposed, storage, ahead, ranges, room, read };
      tensors.set(path, await readTensor(tensor, options));
      first += ranges.length;
      before += bytesOf(tensor);
    }
  } catch (error) {
    for (const tensor of tensors.values()) tensor.dispose();
    throw error;
  } finally {
    await ahead.close();
  }
  const parameters = parameterTree(config, (_, __, path) => tensors.get(path)!);
  return { config, parameters: parameters as DecoderParameters };
}

/** What the files hold of what a config asks for. */
interface Checkpoint {
  readonly config: DecoderConfig;
  readonly wanted: readonly CheckpointTensor[];
  /** By the family's names. */
  readonly found: ReadonlyMap<string, FoundTensor>;
}

/**
 * The tensors that the files' headers name, against those of the config. Where the files of a tied model have a head as
 * well, the config has one, too.
 *
 * @throws naming tensors that are missing, of another shape, or of no use.
 */
export function checkedTensors(
  { config: given, family }: { readonly config: DecoderConfig; readonly family: Family },
  files: readonly CheckpointFile[],
): Checkpoint {
  const found = tensorsOf(family, files);
  const head = given.tiedHead && found.get(HEAD);
  const config = head ? { ...given, tiedHead: false } : given;
  const wanted = family.tensors(config);
  const embedding = embeddingOf(wanted);
  // Where only the head is stored, it is the embedding.
  if (head && !found.has(embedding)) found.set(embedding, head);
  check(config, wanted, found);
  return { config, wanted, found };
}

/** The config with a head of its own only if that is not the embedding. */
async function untied(
  given: DecoderConfig,
  family: Family,
  files: readonly CheckpointFile[],
): Promise<Checkpoint> {
  const checkpoint = checkedTensors({ config: given, family }, files);
  const { config, wanted, found } = checkpoint;
  if (config === given) return checkpoint;
  const equal = await areEqual(found.get(HEAD)!, found.get(embeddingOf(wanted))!);
  return equal ? { config: given, wanted: family.tensors(given), found } : checkpoint;
}

function embeddingOf(wanted: readonly CheckpointTensor[]): string {
  return wanted.find(({ path }) => path === "tokenEmbedding.weight")!.name;
}

interface FoundTensor {
  readonly source: ByteSource;
  readonly header: SafetensorsHeader;
  /** In the file. */
  readonly name: string;
  readonly file: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** All tensors of the files under the family's names. */
function tensorsOf(family: Family, files: readonly CheckpointFile[]): Map<string, FoundTensor> {
  const found = new Map<string, FoundTensor>();
  for (const { name: file, source, header } of files) {
    for (const [name, { dtype, shape }] of header.tensors) {
      const canonical = family.canonicalName ? family.canonicalName(name) : name;
      if (canonical === null) continue;
      const other = found.get(canonical);
      if (other) {
        throw new TypeError(
          other.file === file
            ? `${file} holds ${canonical} twice: as ${other.name} and as ${name}`
            : `${file}: the tensor ${name} is in ${other.file}, too`,
        );
      }
      found.set(canonical, { source, header, name, file, dtype, shape });
    }
  }
  return found;
}

function check(
  config: DecoderConfig,
  wanted: readonly CheckpointTensor[],
  found: ReadonlyMap<string, FoundTensor>,
): void {
  const shapes = parameterShapes(config);
  const inFile = wanted.map(({ name, path, transposed }) => {
    const shape = shapes.get(path)!;
    return [name, transposed ? [...shape].reverse() : shape] as const;
  });
  checkTensors("checkpoint", "config.json", new Map(inFile), found);
}

/** Refuses tensors that the device cannot hold. */
async function checkLimits(
  wanted: readonly CheckpointTensor[],
  found: ReadonlyMap<string, FoundTensor>,
  dtype: StorageType,
): Promise<void> {
  const limits = await deviceLimits();
  let total = 0;
  for (const { name } of wanted) {
    const tensor = found.get(name)!;
    const bytes = sizeOf(tensor.shape) * bytesPerElement(storageOf(tensor, dtype));
    total += bytes;
    if (bytes > limits.tensor) {
      throw new RangeError(
        `the checkpoint's ${name} takes ${bytes} bytes in ${dtype}, more than the ${limits.tensor} that ` +
          `the ${currentDevice()} device allows per tensor` +
          (currentDevice() === "gpu" ? '; use setDevice("wasm")' : ""),
      );
    }
  }
  if (total > limits.total) {
    throw new RangeError(
      `the checkpoint's tensors take ${total} bytes in ${dtype}, more than the ${limits.total} that ` +
        `the ${currentDevice()} device can hold`,
    );
  }
}

/** How a tensor is kept. bfloat16 is for matrices: the few elements of vectors are float32. */
function storageOf({ shape }: FoundTensor, dtype: StorageType): StorageType {
  return dtype === "bfloat16" && shape.length < 2 ? "float32" : dtype;
}

/** Most elements that the host holds at a time. */
const PIECE = 2 ** 20;

/** A part of a file. */
interface Range {
  readonly source: ByteSource;
  readonly from: number;
  readonly to: number;
}

/** Where a tensor lies in its file, in pieces of whole numbers of `unit` elements. */
function rangesOf({ source, header, name }: FoundTensor, unit: number): Range[] {
  const { dtype, bytes } = header.tensors.get(name)!;
  const step = fileTypeOf(name, dtype).bytes * unit * Math.max(1, Math.floor(PIECE / unit));
  const ranges: Range[] = [];
  for (let from = bytes[0]; from < bytes[1]; from += step) {
    ranges.push({ source, from, to: Math.min(bytes[1], from + step) });
  }
  return ranges;
}

/** The bytes of ranges. While some are used the next are read; those are lost when the next but one are asked for. */
class ReadAhead {
  private readonly rooms = [new Room(), new Room()] as const;
  private next: { readonly number: number; readonly bytes: Promise<Uint8Array> } | null = null;

  constructor(private readonly ranges: readonly Range[]) {}

  async read(number: number): Promise<Uint8Array> {
    if (this.next?.number !== number) {
      await this.close();
      this.begin(number);
    }
    const bytes = await this.next!.bytes;
    this.begin(number + 1);
    return bytes;
  }

  private begin(number: number): void {
    this.next = null;
    const range = this.ranges[number];
    if (!range) return;
    const { source, from, to } = range;
    const bytes = source.read(from, to, this.rooms[number % 2 === 0 ? 0 : 1].of(to - from));
    // A failure is reported when the bytes are asked for.
    bytes.catch(() => {});
    this.next = { number, bytes };
  }

  /** Waits for what is being read. */
  async close(): Promise<void> {
    await this.next?.bytes.catch(() => {});
  }
}

async function areEqual(a: FoundTensor, b: FoundTensor): Promise<boolean> {
  if (a === b) return true;
  const ranges = rangesOf(a, 1);
  const [one, other] = [new ReadAhead(ranges), new ReadAhead(rangesOf(b, 1))];
  try {
    for (const i of ranges.keys()) {
      const elements = elementsOf(a.name, a.dtype, await one.read(i));
      const others = elementsOf(b.name, b.dtype, await other.read(i));
      if (!elements.every((value, j) => Object.is(value, others[j]))) return false;
    }
  } finally {
    await Promise.all([one.close(), other.close()]);
  }
  return true;
}

function bytesOf({ header, name }: FoundTensor): number {
  const [from, to] = header.tensors.get(name)!.bytes;
  return to - from;
}

/** An array that is used again and again: fresh memory costs more than what is written into it. */
class Room {
  private bytes = new Uint8Array();

  /** Its first bytes, so many. */
  of(length: number): Uint8Array {
    if (this.bytes.length < length) this.bytes = new Uint8Array(length);
    return this.bytes.subarray(0, length);
  }
}

interface ReadOptions {
  readonly transposed: boolean;
  readonly storage: StorageType;
  /** The numbers of the tensor's ranges, and what reads them. */
  readonly ranges: readonly number[];
  readonly ahead: ReadAhead;
  /** For pieces the other way round. */
  readonly room: Room;
  /** Called after each piece with the tensor's bytes so far. */
  readonly read: (bytes: number) => void;
}

async function readTensor(at: FoundTensor, options: ReadOptions): Promise<Tensor> {
  const { transposed, storage, ranges, ahead, room, read } = options;
  const { name, dtype } = at;
  const [rows = 1, columns = 1] = at.shape;
  const { bytes: each } = fileTypeOf(name, dtype);
  return tensorOfPieces(transposed ? [columns, rows] : at.shape, storage, async (own) => {
    const place = (from: number, part: Uint8Array): Promise<void> =>
      own.place(from, part.length / each, (into) => putElements(name, dtype, part, storage, into));
    let from = 0;
    for (const number of ranges) {
      const bytes = await ahead.read(number);
      const length = bytes.length / each;
      if (!transposed) await place(from, bytes);
      else {
        // Some rows of the file are a part of each row of the tensor.
        const block = transposedBytes(bytes, each, columns, room.of(bytes.length));
        const part = bytes.length / columns;
        if (length === rows * columns) await place(0, block);
        else {
          for (let column = 0; column < columns; column++) {
            const start = column * part;
            await place(column * rows + from / columns, block.subarray(start, start + part));
          }
        }
      }
      from += length;
      read(from * each);
    }
  });
}
