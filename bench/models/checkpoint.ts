/**
 * Checkpoints with random weights in bfloat16, in the layout of transformers.
 */

import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "../runner/paths.js";
import { CONFIGURATIONS, type ModelName, tensorsOf } from "./configurations.js";

const CACHE = fileURLToPath(new URL("node_modules/.cache/prefgrad-bench/", root));

/** The directory of a model; it is made once for each configuration. */
export function checkpoint(name: ModelName): string {
  const config = CONFIGURATIONS[name];
  const text = `${JSON.stringify(config, null, 2)}\n`;
  const mark = createHash("sha256").update(text).digest("hex").slice(0, 8);
  const directory = join(CACHE, `${name}-${mark}`);
  if (existsSync(directory)) return directory;
  const unfinished = `${directory}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    writeFileSync(join(unfinished, "config.json"), text);
    writeWeights(join(unfinished, "model.safetensors"), tensorsOf(config));
    renameSync(unfinished, directory);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return directory;
}

function writeWeights(path: string, tensors: ReadonlyMap<string, readonly number[]>): void {
  let offset = 0;
  const listed = [...tensors].map(([name, shape]) => {
    const start = offset;
    offset += 2 * sizeOf(shape);
    return [name, { dtype: "BF16", shape, data_offsets: [start, offset] }];
  });
  const json = JSON.stringify({ __metadata__: { format: "pt" }, ...Object.fromEntries(listed) });
  const header = Buffer.from(json.padEnd(8 * Math.ceil(json.length / 8)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const draw = normalDraws();
  const file = openSync(path, "w");
  try {
    writeSync(file, length);
    writeSync(file, header);
    for (const shape of tensors.values()) writeSync(file, valuesOf(shape, draw));
  } finally {
    closeSync(file);
  }
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

/** Matrices from N(0, 0.02²); factors of norms, and biases, are 1. */
function valuesOf(shape: readonly number[], draw: () => number): Uint16Array {
  const values = new Uint16Array(sizeOf(shape));
  if (shape.length === 1) return values.fill(upperHalf(1));
  for (let i = 0; i < values.length; i++) values[i] = draw();
  return values;
}

const bits = new DataView(new ArrayBuffer(4));

/** The upper half of a float32, which is a bfloat16. */
function upperHalf(value: number): number {
  bits.setFloat32(0, value);
  return bits.getUint16(0);
}

/** Seeded draws from 2¹⁶ values of N(0, 0.02²). */
function normalDraws(): () => number {
  const table = new Uint16Array(1 << 16);
  let state = 1;
  const uniform = (): number => {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 16;
  };
  for (let i = 0; i < table.length; i++) {
    const [u, v] = [(uniform() + 0.5) / 65_536, uniform() / 65_536];
    table[i] = upperHalf(0.02 * Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v));
  }
  return () => table[uniform()]!;
}
