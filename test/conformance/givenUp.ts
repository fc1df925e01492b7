/**
 * Results in the memory of tensors that were given up: the numbers are those of `realize`, bit by bit, and nothing
 * that is still needed is overwritten. In words and without a test runner.
 * @module
 */

import * as pg from "../../src/index.js";
import { deviceStatistics, realize, realizeInto, type Tensor } from "../../src/index.js";

/** A case: what is wrong with it on the current device, or null. */
export interface GivenUpCase {
  readonly name: string;
  readonly check: () => Promise<string | null>;
}

const random = (shape: readonly number[], seed: number): Tensor => pg.randomNormal(shape, { seed });
const position = (value: number): Tensor => pg.tensor(value, { dtype: "int32" });

/** Some steps of a computation: what it starts from, and what a step makes of its results. */
interface Loop {
  readonly start: () => readonly Tensor[];
  readonly step: (state: readonly Tensor[], turn: number) => readonly Tensor[];
  /** The tensors that a step gives up. Default: all it starts from. */
  readonly givesUp?: (state: readonly Tensor[]) => readonly Tensor[];
}

async function elements(tensors: readonly Tensor[]): Promise<string[]> {
  return Promise.all(
    tensors.map(async (t) => `${t.dtype}[${t.shape}] ${[...(await t.data())].join()}`),
  );
}

/** Runs three steps with `realize` and with `realizeInto`, and compares all they gave. */
async function sameAsRealize({
  start,
  step,
  givesUp = (all) => all,
}: Loop): Promise<string | null> {
  const expected: string[][] = [];
  let state: readonly Tensor[] = await realize(start());
  for (let turn = 0; turn < 3; turn++) {
    state = await realize(step(state, turn));
    expected.push(await elements(state));
  }
  state = await realize(start());
  for (let turn = 0; turn < 3; turn++) {
    const old = state;
    state = await realizeInto(givesUp(old), step(old, turn));
    const found = await elements(state);
    for (const [i, text] of found.entries()) {
      if (text !== expected[turn]![i])
        return `step ${turn}, result ${i}: ${text} for ${expected[turn]![i]}`;
    }
    const kept = givesUp(old).find(
      (t) => !state.includes(t) && (t.buffer !== null || t.host !== null),
    );
    if (kept)
      return `step ${turn}: a given-up tensor of shape [${kept.shape}] has its elements still`;
  }
  return null;
}

const loops: Record<string, Loop> = {
  "a value that is changed element by element": {
    start: () => [random([5, 7], 1)],
    step: ([x]) => [x!.mul(2).add(1)],
  },
  "a transposed view": {
    start: () => [random([6, 6], 1)],
    step: ([x]) => [x!.transpose().add(1)],
  },
  "shifted and reversed reads": {
    start: () => [random([4, 9], 1), random([4, 9], 2)],
    step: ([x, y]) => [
      pg.flip(x!).add(y!),
      pg.concat([y!.slice(null, [1]), x!.slice(null, [0, 1])], 1),
    ],
  },
  "two values that change places": {
    start: () => [random([4, 4], 1), random([4, 4], 2)],
    step: ([x, y]) => [y!.mul(1.5), x!.add(0.5)],
  },
  "inputs of several results": {
    start: () => [random([8], 1), random([8], 2), random([8], 3)],
    step: ([x, y, z]) => [x!.add(y!), x!.mul(z!), y!.sub(z!).add(x!.sum())],
  },
  "one that a result and a later reduction read": {
    start: () => [random([5, 5], 1), pg.zeros([])],
    step: ([x]) => {
      const next = x!.tanh();
      return [next, next.mul(x!).sum()];
    },
  },
  products: {
    start: () => [random([8, 8], 1).mul(0.3), random([8, 8], 2).mul(0.3)],
    step: ([x, y]) => [pg.matmul(x!, y!), pg.matmul(y!, x!.transpose()).add(x!)],
  },
  "rows and columns that are summed": {
    start: () => [random([6, 6], 1), random([6], 2)],
    step: ([x, y]) => [x!.sub(x!.mean(0)).add(y!), x!.max(1).add(y!)],
  },
  "results of other dtypes": {
    start: () => [random([4, 5], 1), pg.zeros([4, 5], { dtype: "int32" })],
    step: ([x, n], turn) => [x!.add(n!), pg.floor(x!.mul(3)).cast("int32").add(turn)],
  },
  "a result that is among them": {
    start: () => [random([7], 1), random([7], 2)],
    step: ([x, y]) => [x!, y!.add(x!)],
  },
  "one that nothing reads": {
    start: () => [random([3, 3], 1), random([3, 3], 2)],
    step: ([x]) => [x!.add(1), x!.mul(2)],
  },
  "the same one twice": {
    start: () => [random([6], 1)],
    step: ([x]) => [x!.mul(x!).sub(x!)],
    givesUp: ([x]) => [x!, x!],
  },
  "no elements": {
    start: () => [pg.zeros([0, 3]), random([2, 3], 1)],
    step: ([x, y]) => [x!.add(1), pg.concat([x!, y!]).mul(2)],
  },
  "one of several": {
    start: () => [random([9], 1), random([9], 2)],
    step: ([x, y]) => [x!.add(y!), y!],
    givesUp: ([x]) => [x!],
  },
  "a chain of many": {
    start: () => [1, 2, 3, 4, 5].map((seed) => random([10], seed)),
    step: (all) =>
      all.map((x, i) => x.mul(0.5).add(all[(i + 1) % all.length]!.slice([null, null, -1]))),
  },
  "rows at a number": {
    start: () => [random([6, 4], 1)],
    step: ([x], turn) => [pg.writeSlice(x!, random([2, 4], turn + 5), turn + 1)],
  },
  "rows at a tensor": {
    start: () => [random([6, 2, 3], 1), position(0)],
    step: ([x, at], turn) => [
      pg.writeSlice(x!, random([1, 2, 3], turn + 5).exp(), at!),
      at!.add(2),
    ],
  },
  "rows outside": {
    start: () => [random([4, 3], 1)],
    step: ([x], turn) => [pg.writeSlice(x!, pg.ones([2, 3]), position(4 * turn - 4))],
  },
  "a row that is read where it was written": {
    start: () => [random([5, 4], 1), pg.zeros([5])],
    step: ([x], turn) => {
      const written = pg.writeSlice(x!, random([1, 4], turn + 9), position(turn));
      return [written, pg.matmul(written, random([4, 1], 2)).reshape([5])];
    },
  },
  "rows written twice, and read between": {
    start: () => [random([5, 4], 1), pg.zeros([4])],
    step: ([x], turn) => {
      const once = pg.writeSlice(x!, random([1, 4], turn + 9), turn);
      return [pg.writeSlice(once, random([2, 4], turn), position(turn + 1)), once.sum(0)];
    },
  },
  "rows made of the value they are written into": {
    start: () => [random([5, 4], 1)],
    step: ([x], turn) => [pg.writeSlice(x!, x!.slice([2, 4]).flip(0).mul(2), turn)],
  },
  "a value before and after rows were written": {
    start: () => [random([5, 4], 1), random([5, 4], 1)],
    step: ([x, y], turn) => [pg.writeSlice(x!, y!.slice([1, 2]), turn), x!.add(y!)],
  },
  "rows of another shape of the value": {
    start: () => [random([4, 6], 1)],
    step: ([x], turn) => [
      pg
        .writeSlice(x!.reshape([8, 3]), pg.ones([1, 3]), turn)
        .reshape([4, 6])
        .add(0),
    ],
  },
  "all rows, and none": {
    start: () => [random([3, 2], 1), random([3, 2], 2)],
    step: ([x, y]) => [pg.writeSlice(x!, y!.add(x!), 0), pg.writeSlice(y!, pg.zeros([0, 2]), 3)],
  },
};

/** A small regression, trained by each optimizer. */
function training(make: () => pg.Optimizer<unknown>): Loop {
  const optimizer = make();
  const x = random([16, 5], 8);
  const y = random([16, 3], 9);
  const model = () => ({
    w1: random([5, 6], 1),
    b1: pg.zeros([6]),
    w2: random([6, 3], 2),
    w3: random([3, 3], 3),
  });
  type Model = ReturnType<typeof model>;
  const form: unknown[] = [];
  return {
    start: () => {
      const parameters = model();
      const state = optimizer.init(parameters);
      form[0] = [parameters, state];
      return pg.treeLeaves(form[0]);
    },
    step: (leaves) => {
      let next = 0;
      const [parameters, state] = pg.treeMap(() => leaves[next++]!, form[0]) as [Model, unknown];
      const out = pg.matmul(pg.matmul(x, parameters.w1).add(parameters.b1).tanh(), parameters.w2);
      const loss = pg.matmul(out, parameters.w3).sub(y).square().mean();
      const names = ["w1", "b1", "w2", "w3"] as const;
      const slopes = pg.gradients(
        loss,
        names.map((name) => parameters[name]),
      );
      const gradients = Object.fromEntries(names.map((name, i) => [name, slopes[i]!])) as Model;
      return pg.treeLeaves(optimizer.update(gradients, state, parameters));
    },
  };
}

/** What a device must do beside computing the right numbers. */
const others: Record<string, () => Promise<string | null>> = {
  "a leaf on the host": async () => {
    const x = pg.tensor([1, 2, 3]);
    const [y] = await realizeInto([x], [x.add(1)]);
    const found = (await y!.data()).join();
    return found === "2,3,4" ? null : found;
  },
  "reads that nobody has awaited yet": async () => {
    for (const read of [
      (x: Tensor) => x.data().then((elements) => elements[0]),
      (x: Tensor) => x.array().then((elements) => (elements as number[])[0]),
      (x: Tensor) => x.slice([0, 1]).reshape([]).item(),
    ]) {
      let x = pg.full([3000], 1);
      const logs: Promise<unknown>[] = [];
      for (let turn = 0; turn < 6; turn++) {
        logs.push(read(x));
        x = await realizeInto(x, x.add(1));
      }
      const found = (await Promise.all(logs)).join();
      if (found !== "1,2,3,4,5,6") return `${read}: ${found}`;
    }
    return null;
  },
  "a read while a step runs that gives the tensor up": async () => {
    const x = await realize(random([2, 3], 1));
    const step = realizeInto(x, x.add(1));
    const message = await x.data().then(
      (elements) => `read ${elements}`,
      (error: Error) => error.message,
    );
    await step;
    const expected =
      "a float32 tensor of shape [2,3] was used after it was given up in realizeInto";
    return message.startsWith(expected) ? null : message;
  },
  "a step holds its state once": async () => {
    const n = 20_000;
    const count = 6;
    let state: Tensor[] = [];
    for (let i = 0; i < count; i++) state.push(random([n], i));
    await realize(state);
    const spare: number[] = [];
    for (let turn = 0; turn < 3; turn++) {
      const before = await deviceStatistics();
      const held = before.bytes + before.scratchBytes;
      state = await realizeInto(
        state,
        state.map((x) => x.mul(0.5).add(turn)),
      );
      const after = await deviceStatistics();
      if (after.bytes > before.bytes) return `${after.bytes} bytes after ${before.bytes}`;
      spare.push(after.bytes + after.scratchBytes - held);
    }
    // One new buffer at most, which later steps use again.
    const [first, ...later] = spare as [number, ...number[]];
    const fits = first <= 4.2 * n && later.every((bytes) => bytes <= 0);
    return fits ? null : `grew by ${spare} bytes`;
  },
  "rows are written where the others are": async () => {
    const cache = await realize(random([50, 40], 1));
    const { buffer } = cache;
    const written = pg.writeSlice(cache, random([1, 40], 2), position(7));
    const { kernels, reusedBytes } = await pg.explainInto(cache, written);
    const writes = kernels.filter(({ kind }) => kind === "write");
    if (writes.length !== 1 || !writes[0]!.takesOver || reusedBytes !== 8000)
      return String(kernels);
    await realizeInto(cache, written);
    return written.buffer === buffer ? null : "the cache was copied";
  },
  "one used later is an error that names it": async () => {
    const x = await realize(random([2, 3], 1));
    const late = x.mul(3);
    await realizeInto(x, x.add(1));
    const expected =
      "a float32 tensor of shape [2,3] was used after it was given up in realizeInto";
    for (const use of [
      () => x.data(),
      () => late.data(),
      () => realize(x),
      () => realizeInto(x, x),
    ]) {
      const message = await use().then(
        () => "no error",
        (error: Error) => error.message,
      );
      if (!message.startsWith(expected)) return message;
    }
    return null;
  },
};

/** Every case. */
export const GIVEN_UP: readonly GivenUpCase[] = [
  ...Object.entries(loops).map(([name, loop]) => ({ name, check: () => sameAsRealize(loop) })),
  ...Object.entries({
    sgd: () => pg.sgd({ learningRate: 0.1, momentum: 0.9 }),
    adamw: () => pg.adamw({ learningRate: 0.1 }),
    rmsprop: () => pg.rmsprop({ learningRate: 0.1 }),
  }).map(([name, make]) => ({
    name: `steps of ${name}`,
    check: () => sameAsRealize(training(make as () => pg.Optimizer<unknown>)),
  })),
  ...Object.entries(others).map(([name, check]) => ({ name, check })),
];
