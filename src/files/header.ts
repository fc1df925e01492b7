/**
 * The header of a safetensors file: eight bytes with its length (little-endian), then JSON with each
 * tensor's dtype, shape and place, and texts under `__metadata__`. Files come from anywhere, so
 * everything a header claims is checked against the file's size before memory is taken.
 *
 * Format: https://huggingface.co/docs/safetensors
 * @module
 */

import { fileTypeOf } from "./elements.js";

/** Where a tensor stands in a file. */
export interface SafetensorsEntry {
  /** The file's type: `"F32"`, `"BF16"`, … */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** The first byte of its elements, counted from the beginning of the file, and the one after the last. */
  readonly bytes: readonly [from: number, to: number];
}

/** What a header says. */
export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
}

/** Bytes before the JSON. */
export const PREFIX = 8;

const METADATA = "__metadata__";
/** The format's own limit. */
const LARGEST_HEADER = 100_000_000;

/**
 * How many bytes of JSON follow the first eight.
 * @throws for a length that the file's size rules out.
 */
export function headerLength(prefix: Uint8Array, size: number): number {
  if (size < PREFIX || prefix.length < PREFIX) {
    throw new RangeError("safetensors: the file is shorter than the eight bytes it begins with");
  }
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  const length = view.getBigUint64(0, true);
  if (length > LARGEST_HEADER) {
    throw new RangeError(
      `safetensors: the header claims ${length} bytes; the format allows ${LARGEST_HEADER}`,
    );
  }
  if (Number(length) > size - PREFIX) {
    throw new RangeError(
      `safetensors: the header claims ${length} bytes, but ${size - PREFIX} follow; the file is cut short or no safetensors file`,
    );
  }
  return Number(length);
}

/**
 * The header's contents.
 * @throws naming the tensor for whatever does not fit: unknown dtypes, shapes that are not the data's
 * size, data outside the file, overlaps, gaps, names that occur twice.
 */
export function parseHeader(json: Uint8Array, size: number): SafetensorsHeader {
  const text = decoded(json);
  const header = parsed(text);
  checkDistinct(text);
  const start = PREFIX + json.length;
  const tensors = new Map<string, SafetensorsEntry>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA) metadata = checkedMetadata(value);
    else tensors.set(name, entryOf(name, value, start, size));
  }
  checkCover(tensors, start, size);
  return { metadata, tensors };
}

/** The bytes of a header whose tensors follow one another in the given order. */
export function encodeHeader(
  metadata: Readonly<Record<string, string>>,
  tensors: Iterable<
    readonly [name: string, dtype: string, shape: readonly number[], bytes: number]
  >,
): Uint8Array {
  const header: [string, unknown][] = [[METADATA, metadata]];
  let next = 0;
  for (const [name, dtype, shape, bytes] of tensors) {
    header.push([name, { dtype, shape, data_offsets: [next, next + bytes] }]);
    next += bytes;
  }
  // Written pair by pair: an object would put names that are integers first.
  const pairs = header.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const json = new TextEncoder().encode(`{${pairs.join(",")}}`);
  // Elements start at a multiple of eight, so that arrays can be views; the format fills up with spaces.
  const length = 8 * Math.ceil(json.length / 8);
  const bytes = new Uint8Array(PREFIX + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, PREFIX);
  return bytes;
}

function decoded(json: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(json);
  } catch {
    throw new TypeError("safetensors: the header is not UTF-8");
  }
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (error) {
    throw new TypeError(`safetensors: the header is not JSON (${(error as Error).message})`);
  }
  if (!isRecord(header)) throw new TypeError("safetensors: the header is no JSON object");
  return header;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Strings and brackets of JSON: what is needed to see which keys stand at the top. */
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:]/gs;

/** Rejects a name that occurs twice, of which `JSON.parse` keeps the last in silence. */
function checkDistinct(text: string): void {
  const names = new Set<string>();
  let depth = 0;
  let last = "";
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (token === ":" && depth === 1) {
      const name = JSON.parse(last) as string;
      if (names.has(name)) throw new TypeError(`safetensors: the name ${last} occurs twice`);
      names.add(name);
    }
    last = token;
  }
}

function checkedMetadata(value: unknown): Record<string, string> {
  if (!isRecord(value) || Object.values(value).some((text) => typeof text !== "string")) {
    throw new TypeError(`safetensors: ${METADATA} must be an object of strings`);
  }
  return value as Record<string, string>;
}

/** Whether the value is an integer that numbers hold exactly, at least 0. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function entryOf(name: string, value: unknown, start: number, size: number): SafetensorsEntry {
  const { dtype, shape, data_offsets: offsets } = isRecord(value) ? value : {};
  if (typeof dtype !== "string") throw new TypeError(`safetensors: ${name} has no dtype`);
  if (!(Array.isArray(shape) && shape.every(isCount))) {
    throw new TypeError(`safetensors: ${name} has no shape of integers ≥ 0`);
  }
  if (!(Array.isArray(offsets) && offsets.length === 2 && offsets.every(isCount))) {
    throw new TypeError(`safetensors: ${name} has no data_offsets of two integers ≥ 0`);
  }
  const [from, to] = offsets as [number, number];
  if (to < from || to > size - start) {
    throw new RangeError(
      `safetensors: ${name} claims the bytes ${from} to ${to} of ${size - start}; the file is cut short or damaged`,
    );
  }
  // A product beyond 2⁵³ is not exact, but also no file's size.
  const needed = shape.reduce((product, extent) => product * extent, fileTypeOf(name, dtype).bytes);
  if (needed !== to - from) {
    throw new RangeError(
      `safetensors: ${name} is ${dtype} of shape [${shape}], ${needed} bytes, but has ${to - from}`,
    );
  }
  return { dtype, shape, bytes: [start + from, start + to] };
}

/** The tensors must cover the data without overlaps, gaps or a rest, as the format demands. */
function checkCover(
  tensors: ReadonlyMap<string, SafetensorsEntry>,
  start: number,
  size: number,
): void {
  const order = [...tensors].sort(
    ([, { bytes: a }], [, { bytes: b }]) => a[0] - b[0] || a[1] - b[1],
  );
  let next = start;
  for (const [name, { bytes }] of order) {
    if (bytes[0] !== next) {
      const fault = bytes[0] < next ? "overlaps the tensor before it" : "leaves a gap before it";
      throw new RangeError(`safetensors: ${name} ${fault}`);
    }
    next = bytes[1];
  }
  if (next !== size) {
    throw new RangeError(`safetensors: ${size - next} bytes after the last tensor belong to none`);
  }
}
