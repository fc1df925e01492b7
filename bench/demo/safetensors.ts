/**
 * Named float32 arrays as one file in the safetensors format: eight bytes with the length of the
 * header (little-endian), the header as JSON, the elements. Other tools read it, too.
 * @module
 */

/** An array with its shape. */
export interface NamedArray {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** The contents of a file. */
export interface SafetensorsFile {
  /** Texts kept with the arrays. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly arrays: ReadonlyMap<string, NamedArray>;
}

const METADATA = "__metadata__";

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** The bytes of a file. */
export function encodeSafetensors({ metadata, arrays }: SafetensorsFile): Uint8Array {
  const header: Record<string, unknown> = { [METADATA]: metadata };
  let size = 0;
  for (const [name, { shape, values }] of arrays) {
    header[name] = { dtype: "F32", shape, data_offsets: [size, size + values.byteLength] };
    size += values.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  // Elements start at a multiple of eight; the format fills up with spaces.
  const start = 8 * Math.ceil((8 + json.length) / 8);
  const bytes = new Uint8Array(start + size).fill(0x20, 0, start);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true);
  bytes.set(json, 8);
  let next = start;
  for (const { values } of arrays.values()) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), next);
    next += values.byteLength;
  }
  return bytes;
}

/**
 * The contents of a file of float32 arrays.
 * @throws for bytes that are not such a file.
 */
export function decodeSafetensors(bytes: Uint8Array): SafetensorsFile {
  if (bytes.length < 8) throw new RangeError("safetensors: the file is shorter than its header");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  if (start > bytes.length) throw new RangeError("safetensors: the header is incomplete");
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start))) as {
    [name: string]: Entry | Record<string, string>;
  };
  const arrays = new Map<string, NamedArray>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === METADATA) continue;
    const { dtype, shape, data_offsets } = entry as Entry;
    if (dtype !== "F32") throw new TypeError(`safetensors: ${name} is ${dtype}, expected F32`);
    const [from, to] = [start + data_offsets[0], start + data_offsets[1]];
    if (to > bytes.length) throw new RangeError(`safetensors: ${name} is incomplete`);
    const values = new Float32Array((to - from) / Float32Array.BYTES_PER_ELEMENT);
    new Uint8Array(values.buffer).set(bytes.subarray(from, to));
    arrays.set(name, { shape, values });
  }
  return { metadata: (header[METADATA] ?? {}) as Record<string, string>, arrays };
}
