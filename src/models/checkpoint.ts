/**
 * Checkpoints: the tensors of safetensors files, as transformers writes them, in their places of the
 * parameter tree.
 * @module
 */

import { fileTypeOf, storedElementsOf } from "../files/elements.js";
import type { SafetensorsHeader } from "../files/header.js";
import type { ByteSource } from "../files/source.js";
import { transposedColumns } from "../files/transpose.js";
import {
  bytesPerElement,
  type DType,
  type StorageType,
  type StoredArray,
  type TypedArray,
  viewAs,
} from "../kernels/dtype.js";
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
  const [pieces, blocks] = [new Scratch(), new Scratch()];
  let bytes = 0;
  const read = (count: number) => {
    bytes += count;
    onProgress?.({ bytes, of: total });
  };
  try {
    for (const { name, path, transposed } of wanted) {
      const tensor = found.get(name)!;
      const storage = storageOf(tensor, dtype);
      tensors.set(path, await readTensor(tensor, { transposed, storage, pieces, blocks, read }));
    }
  } catch (error) {
    for (const tensor of tensors.values()) tensor.dispose();
    throw error;
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

/** The elements of a tensor in order, in pieces of whole numbers of `unit` elements. */
async function* piecesOf(
  { source, header, name }: FoundTensor,
  unit: number,
  storage: StorageType = "float32",
  scratch?: Scratch,
): AsyncGenerator<{
  readonly from: number;
  readonly elements: StoredArray;
  readonly bytes: number;
}> {
  const { dtype: stored, bytes } = header.tensors.get(name)!;
  const { bytes: each } = fileTypeOf(name, stored);
  const step = each * unit * Math.max(1, Math.floor(PIECE / unit));
  for (let from = bytes[0]; from < bytes[1]; from += step) {
    const to = Math.min(bytes[1], from + step);
    const data = await source.read(from, to);
    const room = scratch && ((dtype: DType, length: number) => scratch.of(dtype, length));
    const elements = storedElementsOf(name, stored, storage, data, room);
    yield { from: (from - bytes[0]) / each, elements, bytes: to - from };
  }
}

async function areEqual(a: FoundTensor, b: FoundTensor): Promise<boolean> {
  if (a === b) return true;
  const others = piecesOf(b, 1);
  for await (const { elements } of piecesOf(a, 1)) {
    const other = (await others.next()).value!.elements;
    if (!elements.every((value, i) => Object.is(value, other[i]))) return false;
  }
  return true;
}

function bytesOf({ header, name }: FoundTensor): number {
  const [from, to] = header.tensors.get(name)!.bytes;
  return to - from;
}

/** An array that is used again and again: fresh memory costs more than what is written into it. */
class Scratch {
  private readonly arrays = new Map<StorageType, StoredArray>();

  of(storage: DType, length: number): TypedArray;
  of(storage: StorageType, length: number): StoredArray;
  of(storage: StorageType, length: number): StoredArray {
    let array = this.arrays.get(storage);
    if (!array || array.length < length) {
      array = viewAs(storage, new ArrayBuffer(length * bytesPerElement(storage)), 0, length);
      this.arrays.set(storage, array);
    }
    return array.subarray(0, length);
  }
}

interface ReadOptions {
  readonly transposed: boolean;
  readonly storage: StorageType;
  /** For the pieces of all tensors, one after the other, and for pieces the other way round. */
  readonly pieces: Scratch;
  readonly blocks: Scratch;
  /** Called with the bytes of each piece. */
  readonly read: (bytes: number) => void;
}

async function readTensor(at: FoundTensor, options: ReadOptions): Promise<Tensor> {
  const { transposed, storage, pieces: scratch, blocks, read } = options;
  const [rows = 1, columns = 1] = at.shape;
  const shape = transposed ? [columns, rows] : at.shape;
  return tensorOfPieces(shape, storage, async (write) => {
    const pieces = piecesOf(at, transposed ? columns : 1, storage, scratch);
    for await (const { from, elements, bytes } of pieces) {
      if (!transposed) await write(from, elements);
      else {
        // Some rows of the file are a part of each row of the tensor.
        const count = elements.length / columns;
        const into = blocks.of(storage, elements.length);
        const block = transposedColumns(elements, columns, 0, columns, into);
        if (count === rows) await write(0, block);
        else {
          for (let column = 0; column < columns; column++) {
            const part = block.subarray(column * count, (column + 1) * count);
            await write(column * rows + from / columns, part);
          }
        }
      }
      read(bytes);
    }
  });
}
