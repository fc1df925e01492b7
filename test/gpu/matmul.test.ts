/**
 * The tiled matrix product on WebGPU against sums in float64: every tile, over shapes that fill no
 * tile, operands of any strides, and epilogues.
 */

import seedrandom from "seedrandom";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type GpuJs,
  type GpuJsInstance,
  type GpuJsKernel,
  loadGpuJs,
} from "../../src/devices/gpu/gpujs.js";
import { provideWebGpu } from "../../src/devices/gpu/navigator.js";
import {
  installTiledProduct,
  type TileLimits,
  tiledProduct,
} from "../../src/devices/gpu/webgpu/matmul.js";
import { installPacked } from "../../src/devices/gpu/webgpu/packed.js";
import { chooseTile, TILES, type WorkgroupTile } from "../../src/devices/gpu/webgpu/tiles.js";
import { toBFloat16, widened } from "../../src/kernels/dtype.js";
import type { MatmulKernel, MatmulOperand } from "../../src/kernels/kernel.js";
import { expectWebGpu } from "./platform.js";

await expectWebGpu();

let gpujs: GpuJs;
let instance: GpuJsInstance<GpuJsKernel>;
let device: GPUDevice;

beforeAll(async () => {
  expect(await provideWebGpu()).toBe(null);
  gpujs = await loadGpuJs();
  instance = new gpujs.GPU({ mode: "webgpu" });
  ({ device } = await gpujs.WebGPUContext.acquire());
});

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** The places of all points of `sizes`, row-major. */
function places(sizes: readonly number[], strides: readonly number[]): number[] {
  return sizes.reduce<number[]>(
    (found, size, i) =>
      found.flatMap((at) => Array.from({ length: size }, (_, j) => at + j * strides[i]!)),
    [0],
  );
}

/** `output[b, m, n] = epilogue(Σ_k left[b, m, k] · right[b, k, n], position)` in float64. */
function reference(
  kernel: MatmulKernel,
  buffers: readonly Float32Array[],
  epilogue: (sum: number, position: number) => number,
): number[] {
  const { batch, m, n, k, left, right } = kernel;
  const read = (operand: MatmulOperand): Float32Array => buffers[operand.buffer - 1]!;
  const [a, b] = [read(left), read(right)];
  const [rows, columns] = [places(m, left.outer), places(n, right.outer)];
  const [leftTerms, rightTerms] = [places(k, left.inner), places(k, right.inner)];
  const rightBatches = places(batch, right.batch);
  const output: number[] = [];
  places(batch, left.batch).forEach((leftBatch, i) => {
    for (const row of rows) {
      for (const column of columns) {
        const leftStart = left.offset + leftBatch + row;
        const rightStart = right.offset + rightBatches[i]! + column;
        let sum = 0;
        for (let t = 0; t < leftTerms.length; t++)
          sum += a[leftStart + leftTerms[t]!]! * b[rightStart + rightTerms[t]!]!;
        output.push(epilogue(sum, output.length));
      }
    }
  });
  return output;
}

interface Run {
  readonly threads?: readonly number[];
  readonly body?: string;
  readonly tile?: WorkgroupTile;
  readonly limits?: TileLimits;
  /** Buffers of bfloat16s, two in each number. */
  readonly packed?: readonly number[];
}

/** Builds the kernel as a device does, and runs it on buffers 1, 2, …. */
async function run(
  kernel: MatmulKernel,
  buffers: readonly Float32Array[],
  { threads = [product(kernel.n), product(kernel.m), product(kernel.batch)], ...rest }: Run = {},
): Promise<Float32Array> {
  const { body = "return accumulator;", tile, limits = device.limits, packed = [] } = rest;
  const names = [...buffers.map((_, i) => `b${i + 1}`), "accumulator"];
  const compiled = instance.createKernel(`function(${names.join(", ")}) { ${body} }`, {
    output: threads,
    pipeline: true,
    functions: [],
    argumentTypes: names.map((name) => (name === "accumulator" ? "Float" : "Input")),
    loopMaxIterations: 1,
  });
  const tiled = tiledProduct(kernel, threads, limits, tile);
  installTiledProduct(compiled.kernel, tiled);
  installPacked(compiled.kernel, packed);
  // The kernel is run as gpu.js runs it, with values as arguments.
  const call = compiled as unknown as (...inputs: unknown[]) => Promise<{
    toArray(): Promise<unknown>;
    delete(): void;
  }>;
  const result = await call(...buffers.map((values) => gpujs.input(values, [values.length])), 0);
  const rows = (await result.toArray()) as never;
  result.delete();
  compiled.destroy();
  const flat = (value: Float32Array | unknown[]): number[] =>
    value instanceof Float32Array ? [...value] : (value as never[]).flatMap(flat);
  return Float32Array.from(flat(rows));
}

function expectClose(actual: ArrayLike<number>, expected: readonly number[], terms: number): void {
  expect(actual.length).toBe(expected.length);
  const tolerance = 1e-6 * (1 + Math.sqrt(terms));
  let worst = 0;
  expected.forEach((value, i) => {
    const error = Math.abs(actual[i]! - value) / (1 + Math.abs(value));
    if (!(error <= worst)) worst = error;
  });
  expect(worst).toBeLessThan(tolerance);
}

type Random = () => number;
const integer = (random: Random, low: number, high: number): number =>
  low + Math.floor(random() * (high - low + 1));
const values = (random: Random, size: number): Float32Array =>
  Float32Array.from({ length: size }, () => 2 * random() - 1);

const asFloats = (own: Uint16Array): Float32Array => widened(own) as Float32Array;

/** bfloat16s as words, in an array that gpu.js uploads as it is. */
function inWords(own: Uint16Array): Float32Array {
  const words = new Float32Array(Math.ceil(own.length / 2));
  new Uint16Array(words.buffer).set(own);
  return words;
}

/** The product of operands held as bfloat16. */
function ofBFloat16s(kernel: MatmulKernel): MatmulKernel {
  const stored = (own: MatmulOperand): MatmulOperand => ({ ...own, storage: "bfloat16" });
  return { ...kernel, left: stored(kernel.left), right: stored(kernel.right) };
}

/** `total` (about) as one, two or three axes. */
function axes(random: Random, total: number): number[] {
  const first = integer(random, 1, 3);
  if (total < 4 || random() < 0.5) return [total];
  if (random() < 0.5) return [first, Math.ceil(total / first)];
  return [first, 2, Math.ceil(total / first / 2)];
}

/** An operand whose axes lie in memory in any order, with gaps, reversed, or repeated. */
function operand(
  random: Random,
  buffer: number,
  lists: readonly (readonly number[])[],
): { operand: MatmulOperand; size: number } {
  const all = lists.flatMap((sizes, list) => sizes.map((size, i) => ({ size, list, i })));
  const order = all.map((axis) => ({ ...axis, key: random() })).sort((a, b) => a.key - b.key);
  const strides = lists.map((sizes) => sizes.map(() => 0));
  let offset = integer(random, 0, 3);
  let stride = random() < 0.8 ? 1 : 2;
  let last = 0;
  for (const { size, list, i } of order) {
    const kind = random();
    if (kind < 0.1) continue;
    const reversed = kind < 0.2;
    strides[list]![i] = reversed ? -stride : stride;
    if (reversed) offset += (size - 1) * stride;
    last += (size - 1) * stride;
    stride *= size;
  }
  const [batch, outer, inner] = strides as [number[], number[], number[]];
  return { operand: { buffer, offset, batch, outer, inner }, size: offset + last + 1 };
}

/** A random product of about this shape; sometimes both operands are one buffer. */
function randomProduct(random: Random, b: number, m: number, n: number, k: number) {
  const [batch, rows, columns, inner] = [b, m, n, k].map((total) => axes(random, total)) as [
    number[],
    number[],
    number[],
    number[],
  ];
  const same = random() < 0.2;
  const left = operand(random, 1, [batch, rows, inner]);
  const right = operand(random, same ? 1 : 2, [batch, columns, inner]);
  const kernel: MatmulKernel = {
    kind: "matmul",
    dtype: "float32",
    batch,
    m: rows,
    n: columns,
    k: inner,
    left: left.operand,
    right: right.operand,
    epilogue: null,
  };
  const sizes = same ? [Math.max(left.size, right.size)] : [left.size, right.size];
  return { kernel, buffers: sizes.map((size) => values(random, size)) };
}

/** Contiguous matrices, either of them transposed. */
function plain(
  [b, m, n, k]: readonly [number, number, number, number],
  leftTransposed = false,
  rightTransposed = false,
): MatmulKernel {
  return {
    kind: "matmul",
    dtype: "float32",
    batch: [b],
    m: [m],
    n: [n],
    k: [k],
    left: {
      buffer: 1,
      offset: 0,
      batch: [m * k],
      outer: [leftTransposed ? 1 : k],
      inner: [leftTransposed ? m : 1],
    },
    right: {
      buffer: 2,
      offset: 0,
      batch: [n * k],
      outer: [rightTransposed ? k : 1],
      inner: [rightTransposed ? 1 : n],
    },
    epilogue: null,
  };
}

const identity = (sum: number): number => sum;

describe.each(TILES)("tile of $rows × $columns by $down × $across, $slices slices", (tile) => {
  const [height, width] = [tile.rows * tile.down, tile.columns * tile.across];

  test("multiplies any strided operands", async () => {
    const random = seedrandom(JSON.stringify(tile));
    for (let i = 0; i < 3; i++) {
      const { kernel, buffers } = randomProduct(
        random,
        integer(random, 1, 3),
        integer(random, 1, 2 * height),
        integer(random, 1, 2 * width),
        integer(random, 1, 80),
      );
      const actual = await run(kernel, buffers, { tile });
      expectClose(actual, reference(kernel, buffers, identity), product(kernel.k));
    }
  });

  test("multiplies any strided operands held as bfloat16, as their widened numbers", async () => {
    const random = seedrandom(`packed ${JSON.stringify(tile)}`);
    const { kernel, buffers } = randomProduct(random, 2, height + 1, width + 1, 37);
    const narrow = buffers.map((own) => toBFloat16(own));
    const wide = await run(kernel, narrow.map(asFloats), { tile });
    const both = ofBFloat16s(kernel);
    const packed = narrow.map((_, i) => i + 1);
    expect(await run(both, narrow.map(inWords), { tile, packed })).toEqual(wide);
    if (buffers.length < 2) return;
    const right = { ...kernel, right: both.right };
    const given = [asFloats(narrow[0]!), inWords(narrow[1]!)];
    expect(await run(right, given, { tile, packed: [2] })).toEqual(wide);
  });

  test("multiplies transposed operands that tiles fit", async () => {
    const random = seedrandom("fit");
    const kernel = plain([2, height, 2 * width, 256], true, true);
    const buffers = [values(random, 512 * height), values(random, 1024 * width)];
    const actual = await run(kernel, buffers, { tile });
    expectClose(actual, reference(kernel, buffers, identity), 256);
  });
});

test.each<[number, number, number, number]>([
  [1, 1, 1, 1],
  [1, 1, 200, 150],
  [1, 200, 1, 150],
  [1, 1, 1, 5000],
  [1, 70, 90, 1],
  [1, 130, 65, 33],
  [16, 33, 17, 8],
  [70, 3, 5, 2],
  [1, 3, 4, 100_000],
])("the chosen tile multiplies %i × [%i, %i] over %i", async (...sizes) => {
  const [b, m, n, k] = sizes;
  const random = seedrandom("chosen");
  const buffers = [values(random, b * m * k), values(random, b * n * k)];
  for (const transposed of [false, true]) {
    const kernel = plain(sizes, transposed, !transposed);
    expectClose(await run(kernel, buffers), reference(kernel, buffers, identity), k);
  }
});

test("large products have large tiles, small ones more workgroups, thin ones thin tiles", () => {
  const chosen = (...sizes: [number, number, number, number]): readonly (number | undefined)[] => {
    const { rows, columns, down, across } = chooseTile(plain(sizes));
    return [rows * down, columns * across];
  };
  expect(chosen(1, 1024, 1024, 512)).toEqual([64, 64]);
  expect(chosen(64, 128, 128, 32)).toEqual([64, 64]);
  expect(chosen(1, 128, 128, 512)).toEqual([32, 32]);
  expect(chosen(1, 1, 512, 512)).toEqual([1, 64]);
  expect(chosen(1, 512, 1, 512)).toEqual([64, 1]);
  expect(chosen(1, 1, 1, 10_000)).toEqual([1, 1]);
});

test("a batch that the right operand does not have becomes rows", () => {
  const shared = plain([100, 1, 64, 64]);
  const kernel = { ...shared, right: { ...shared.right, batch: [0] } };
  const limits = { maxComputeWorkgroupsPerDimension: 65_535 };
  const [groups] = tiledProduct(kernel, [64, 1, 100], limits, TILES[0]!).workgroups;
  expect(groups).toBe(2);
});

test("more workgroups than one dimension has fold into a second", async () => {
  const random = seedrandom("fold");
  const kernel = plain([23, 5, 3, 4]);
  const buffers = [values(random, 23 * 20), values(random, 23 * 12)];
  const limits = { maxComputeWorkgroupsPerDimension: 5 };
  expect(tiledProduct(kernel, [3, 5, 23], limits, TILES[0]!).workgroups).toEqual([5, 5, 1]);
  const actual = await run(kernel, buffers, { limits, tile: TILES[0]! });
  expectClose(actual, reference(kernel, buffers, identity), 4);
});

test("the epilogue reads operands and other buffers at its own thread axes", async () => {
  const random = seedrandom("epilogue");
  const kernel = plain([2, 21, 10, 40]);
  const buffers = [values(random, 1680), values(random, 800), values(random, 10)];
  // Threads over [batch · rows, 5, 2]: a refinement of the columns.
  const threads = [2, 5, 42];
  const body = `
    const bias = b3[this.thread.y * 2 + this.thread.x];
    if (accumulator < 0) { return accumulator * 0.5 + bias; }
    return accumulator + bias + b1[this.thread.z * 40];`;
  const expected = reference(kernel, buffers, (sum, position) => {
    const bias = buffers[2]![position % 10]!;
    return sum < 0 ? sum * 0.5 + bias : sum + bias + buffers[0]![Math.floor(position / 10) * 40]!;
  });
  for (const tile of TILES) {
    expectClose(await run(kernel, buffers, { threads, body, tile }), expected, 40);
  }
});

test("what lies beyond the operands has no effect, even if it is not finite", async () => {
  const random = seedrandom("beyond");
  const shape = plain([1, 9, 9, 9]);
  const kernel = {
    ...shape,
    left: { ...shape.left, offset: 100 },
    right: { ...shape.right, offset: 100 },
  };
  const buffers = [1, 2].map(() => {
    const all = new Float32Array(1000).fill(Number.NaN);
    all.set(values(random, 81), 100);
    return all;
  });
  for (const tile of TILES) {
    const actual = await run(kernel, buffers, { tile });
    expectClose(actual, reference(kernel, buffers, identity), 9);
  }
});

describe("bfloat16s side by side", () => {
  const even = plain([2, 34, 66, 20], true);
  const moved = (own: MatmulOperand): MatmulOperand => ({ ...own, offset: own.offset + 1 });
  const apart = (own: MatmulOperand, batch: number): MatmulOperand => ({ ...own, batch: [batch] });
  /** Columns in groups, so many places from one group to the next. */
  const grouped = (groups: number, each: number, distance: number): MatmulKernel => ({
    ...even,
    n: [groups, each],
    right: { ...even.right, batch: [2000], outer: [distance, 1], inner: [80] },
  });
  const kernels = {
    "in words": even,
    "from the second half of a word on": {
      ...even,
      left: moved(even.left),
      right: moved(even.right),
    },
    "in rows of odd lengths": plain([2, 33, 65, 20], true),
    "in matrices at odd distances": {
      ...even,
      left: apart(even.left, 681),
      right: apart(even.right, 1321),
    },
    "in groups of words": grouped(3, 22, 24),
    "in groups of odd lengths": grouped(4, 15, 16),
    "in groups at odd distances": grouped(3, 22, 25),
  };
  test.each(Object.entries(kernels))("%s are as their widened numbers", async (name, kernel) => {
    const random = seedrandom(name);
    const narrow = [values(random, 2000), values(random, 5000)].map((own) => toBFloat16(own));
    for (const tile of [TILES[1]!, TILES[5]!]) {
      const found = await run(ofBFloat16s(kernel), narrow.map(inWords), { tile, packed: [1, 2] });
      expect(found).toEqual(await run(kernel, narrow.map(asFloats), { tile }));
    }
  });
});

test("an epilogue reads a bfloat16 operand where the product does", async () => {
  const random = seedrandom("packed epilogue");
  const kernel = plain([1, 5, 7, 9]);
  const narrow = [values(random, 45), values(random, 63)].map((own) => toBFloat16(own));
  const body = "return accumulator + b1[this.thread.y * 9 + 1] * b2[this.thread.x];";
  expect(await run(ofBFloat16s(kernel), narrow.map(inWords), { body, packed: [1, 2] })).toEqual(
    await run(kernel, narrow.map(asFloats), { body }),
  );
});

test("a module without the buffer of bfloat16s is refused", () => {
  const kernel = {
    assembleWGSL: () => "@group(0) @binding(1) var<storage, read> user_b1 : array<f32>;",
  };
  installPacked(kernel, [2]);
  expect(() => kernel.assembleWGSL()).toThrow("the module has no buffer user_b2");
});

test("a module without an entry point is refused", () => {
  const tiled = tiledProduct(plain([1, 1, 1, 1]), [1], { maxComputeWorkgroupsPerDimension: 1 });
  expect(() => tiled.entryPoint("fn other() {}", "")).toThrow(/no entry point/);
});
