/**
 * Trees come back from files as they were, so that a run resumed from a file is the run that never
 * stopped.
 */

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  adamw,
  bcoLoss,
  decodeTree,
  encodeTree,
  gradients,
  loadTree,
  ones,
  randomNormal,
  realize,
  saveTree,
  Tensor,
  tensor,
  treeLeaves,
  treeMap,
  valueAndGrad,
  zeros,
} from "../../src/index.js";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "prefgrad-files-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** A tree with bits in place of tensors, to compare. */
async function bits(tree: unknown): Promise<unknown> {
  if (tree instanceof Tensor) {
    const { buffer } = await tree.data();
    return [tree.dtype, tree.shape, ...new Uint8Array(buffer)];
  }
  if (typeof tree !== "object" || tree === null) return tree;
  const entries = Object.entries(tree).map(async ([key, item]) => [key, await bits(item)] as const);
  const read = await Promise.all(entries);
  return Array.isArray(tree) ? read.map(([, item]) => item) : Object.fromEntries(read);
}

const leaf = fc.oneof(
  fc.double(),
  fc.string(),
  fc.boolean(),
  fc.constant(null),
  fc.array(fc.float()).map((x) => tensor(new Float32Array(x))),
  fc.array(fc.double()).map((x) => tensor(new Float64Array(x))),
  fc.array(fc.integer()).map((x) => tensor(new Int32Array(x))),
  fc.array(fc.boolean(), { minLength: 1 }).map((x) => tensor(x)),
);
const trees = fc.letrec((tie) => ({
  tree: fc.oneof(
    { depthSize: "small" },
    leaf,
    fc.array(tie("tree"), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("a/b", "~", "~1", "0", "")), tie("tree"), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
  ),
})).tree;

describe("encodeTree and decodeTree", () => {
  it("give back every tree, bit by bit", async () => {
    await fc.assert(
      fc.asyncProperty(trees, async (tree) => {
        const back = await decodeTree(await encodeTree(tree));
        expect(await bits(back)).toEqual(await bits(tree));
      }),
      { numRuns: 200 },
    );
  });

  it("name each tensor by its path as a JSON pointer", async () => {
    const bytes = await encodeTree({ blocks: [{ "a/b~c": ones([2]) }], step: 3 });
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    expect(header["/blocks/0/a~1b~0c"]).toMatchObject({ dtype: "F32", shape: [2] });
    expect(header["/step"]).toMatchObject({ dtype: "F64", shape: [] });
  });

  it("evaluate what the tensors share once, and leave their history alone", async () => {
    const x = ones([3]);
    const y = x.mul(2);
    await encodeTree({ y, z: y.add(1) });
    const [value] = valueAndGrad((p: Tensor) => p.mul(2).sum())(x);
    expect(await value.item()).toBe(6);
    expect(await gradients(y, [x])[0]!.array()).toEqual([2, 2, 2]);
  });

  it("leave out undefined properties, as JSON does", async () => {
    expect(await decodeTree(await encodeTree({ a: undefined, b: 1 }))).toEqual({ b: 1 });
  });

  it.each([
    ["a Map", { model: new Map() }, /\/model is .*; trees are plain objects/],
    ["a function", { model: { f: () => 1 } }, /\/model\/f is/],
    ["a typed array", { w: new Float32Array(2) }, /\/w is/],
    ["a class instance", { list: [new Date(0)] }, /\/list\/0 is/],
    ["a bigint", 3n, /the tree is 3/],
    ["an undefined item", [undefined], /\/0 is undefined/],
  ])("refuse %s, naming the path", async (_, tree, why) => {
    await expect(encodeTree(tree)).rejects.toThrow(why);
  });

  it("refuse options they do not have", async () => {
    const misspelt = { metaData: {} } as never;
    await expect(encodeTree({}, misspelt)).rejects.toThrow(/encodeTree: .*did you mean `metadata`/);
  });

  it.each([
    ["a number", { step: 100 }, "metadata.step must be a text, got 100; write String(…)"],
    ["an object", { run: {} }, "metadata.run must be a text, got an object"],
    ["nothing", { run: undefined }, "metadata.run must be a text, got undefined"],
    ["a text alone", "run 3", 'metadata must be an object of texts, got "run 3"'],
    ["null", null, "metadata must be an object of texts, got null"],
    ["the tree's own key", { "prefgrad.tree": "{}" }, "metadata.prefgrad.tree is where"],
  ])("refuse metadata that could not be read again: %s", async (_, metadata, why) => {
    const options = { metadata } as never;
    await expect(encodeTree({ w: ones([1]) }, options)).rejects.toThrow(`encodeTree: ${why}`);
    const path = join(directory, "tree.safetensors");
    await expect(saveTree(path, { w: ones([1]) }, options)).rejects.toThrow(`saveTree: ${why}`);
    expect(await readdir(directory)).toEqual([]);
  });

  it("take an ArrayBuffer, as a message or a response brings it", async () => {
    const { buffer } = await encodeTree({ n: 3 });
    expect(await decodeTree(buffer as ArrayBuffer)).toEqual({ n: 3 });
    expect(await loadTree(buffer as ArrayBuffer)).toEqual({ n: 3 });
  });

  it.each([undefined, null, 3, {}, new Float32Array(2), [1]])(
    "name the argument that is no file: %s",
    async (value) => {
      const no = value as never;
      const expected = "must be a path, bytes (a Uint8Array or ArrayBuffer), a Blob or";
      await expect(decodeTree(no)).rejects.toThrow(`decodeTree: bytes ${expected}`);
      await expect(loadTree(no)).rejects.toThrow(`loadTree: source ${expected}`);
      await expect(saveTree(no, {})).rejects.toThrow(
        "saveTree: target must be a path or a FileSystemFileHandle, got ",
      );
    },
  );

  it("carry a tree to a worker and back", async () => {
    const bytes = await encodeTree({ w: tensor([1, 2]), step: 4 });
    const code = `require("node:worker_threads").parentPort.once("message", (m) => require("node:worker_threads").parentPort.postMessage(m))`;
    const worker = new Worker(code, { eval: true });
    const answer = new Promise<Uint8Array>((resolve) => worker.once("message", resolve));
    worker.postMessage(bytes, [bytes.buffer as ArrayBuffer]);
    const tree = await decodeTree<{ w: Tensor; step: number }>(await answer);
    await worker.terminate();
    expect(await tree.w.array()).toEqual([1, 2]);
    expect(tree.step).toBe(4);
  });
});

describe("saveTree and loadTree", () => {
  const path = () => join(directory, "tree.safetensors");

  it("go through a file, a Blob, and a handle of a browser's file system", async () => {
    const tree = { w: tensor([1, 2]), n: 3 };
    await saveTree(path(), tree);
    expect(await bits(await loadTree(path()))).toEqual(await bits(tree));
    const blob = new Blob([await readFile(path())]);
    expect(await bits(await loadTree(blob))).toEqual(await bits(tree));
    expect(await readdir(directory)).toEqual(["tree.safetensors"]);
  });

  it("a handle's file is replaced when all is written, and only then", async () => {
    const handle = memoryHandle();
    await saveTree(handle, { w: tensor([1]) });
    expect(await bits(await loadTree(handle))).toEqual(await bits({ w: tensor([1]) }));
    const broken = ones([4]);
    broken.dispose();
    await expect(saveTree(handle, { a: ones([2]), broken })).rejects.toThrow();
    expect(await bits(await loadTree(handle))).toEqual(await bits({ w: tensor([1]) }));
  });

  it("keep texts beside the tree", async () => {
    await saveTree(path(), { w: ones([1]) }, { metadata: { note: "by hand" } });
    expect((await readFile(path())).toString("latin1")).toContain('"note":"by hand"');
  });

  it("a write that fails leaves the old file, and nothing beside it", async () => {
    await saveTree(path(), { w: ones([2]) });
    const before = await readFile(path());
    const broken = ones([4]);
    broken.dispose();
    await expect(saveTree(path(), { a: ones([2]), broken })).rejects.toThrow();
    await expect(saveTree(path(), { model: new Map() })).rejects.toThrow(/\/model/);
    expect(await readFile(path())).toEqual(before);
    expect(await readdir(directory)).toEqual(["tree.safetensors"]);
  });

  it("name a path that cannot be written or read", async () => {
    await expect(saveTree(join(directory, "no/such/dir"), {})).rejects.toThrow(/ENOENT/);
    await expect(loadTree(join(directory, "none"))).rejects.toThrow(/ENOENT/);
    await expect(loadTree(directory)).rejects.toThrow(/is no file|EISDIR/);
  });

  it("a file cut short anywhere is refused", async () => {
    await saveTree(path(), { w: ones([3]), n: 1 });
    const whole = await readFile(path());
    for (let size = 0; size < whole.length; size += 7) {
      await writeFile(path(), whole.subarray(0, size));
      await expect(loadTree(path())).rejects.toThrow(/^(safetensors|loadTree): /);
    }
  });
});

/** What a browser's file handle does: a stream's pieces become the file when it is closed. */
function memoryHandle() {
  let file = new Blob([]);
  return {
    getFile: async () => file,
    createWritable: async () => {
      const pieces: Uint8Array<ArrayBuffer>[] = [];
      return {
        write: async (piece: Uint8Array) => {
          pieces.push(piece.slice());
        },
        close: async () => {
          file = new Blob(pieces);
        },
        abort: async () => {},
      };
    },
  };
}

describe("a run resumed from a file", () => {
  it("is the run that never stopped, bit by bit: AdamW's moments and step, and a loss's state", async () => {
    const optimizer = adamw({ learningRate: (step) => 0.1 / (step + 1), weightDecay: 0.1 });
    const target = randomNormal([4, 3], { seed: 1 });
    interface Run {
      parameters: { w: Tensor; b: Tensor };
      optimizer: ReturnType<typeof optimizer.init>;
      loss: { mean: Tensor | number; count: number };
    }
    async function advance({ parameters, optimizer: state, loss }: Run): Promise<Run> {
      let next = loss;
      const [value, slopes] = valueAndGrad((p: Run["parameters"]) => {
        const scores = p.w.mul(target).sum(1).add(p.b.sum());
        const pairs = {
          chosen: scores.sub(5),
          rejected: scores.mul(-1).sub(5),
          referenceChosen: zeros([4]).sub(5),
          referenceRejected: zeros([4]).sub(5),
        };
        const result = bcoLoss(pairs, { state: loss });
        next = result.state!;
        return result.loss;
      })(parameters);
      const [updated, moments] = optimizer.update(slopes, state, parameters);
      await realize(value, updated, moments, next);
      return { parameters: updated, optimizer: moments, loss: next };
    }
    const start = { w: randomNormal([4, 3], { seed: 2 }), b: zeros([2]) };
    let run: Run = {
      parameters: start,
      optimizer: optimizer.init(start),
      loss: { mean: 0, count: 0 },
    };
    for (let step = 0; step < 5; step++) run = await advance(run);
    const path = join(directory, "run.safetensors");
    await saveTree(path, run);
    for (let step = 0; step < 5; step++) run = await advance(run);
    let resumed = await loadTree<Run>(path);
    for (let step = 0; step < 5; step++) resumed = await advance(resumed);
    expect(await bits(resumed)).toEqual(await bits(run));
    expect(treeLeaves(treeMap((t) => t, run)).length).toBeGreaterThan(6);
  });
});
