/**
 * Sums over micro-batches: the bits of parts that are computed one by one, by whomever, and added in order.
 */

import { expect, it } from "vitest";
import { tensor } from "../../src/tensor/create.js";
import { realize, realizeInto } from "../../src/tensor/evaluate.js";
import { treeMap } from "../../src/tensor/tree.js";
import { microBatchesOf } from "../../src/training/microBatches.js";
import { numbersOf, rows, start, withLookahead } from "./problem.js";

const batches = [rows.slice(0, 9), rows.slice(9, 12), rows.slice(12)];
const microBatches = microBatchesOf(withLookahead.parts, 23, 3, (i: number) => batches[i]!);

it("a sum is that of the parts in their order, bit for bit, in whatever order they are computed", async () => {
  const at = start();
  const { parts } = withLookahead;
  const [third, first, second] = [
    await realize(parts.lower(at, batches[2]!)),
    await realize(parts.lower(at, batches[0]!)),
    await realize(parts.lower(at, batches[1]!)),
  ];
  const two = await realize(treeMap((a, b) => a.add(b!), first, second));
  const all = await realize(treeMap((a, b) => a.add(b!), two, third));
  expect(await numbersOf(await microBatches.sum("lower", at))).toEqual(await numbersOf(all));
  const each = await microBatches.each("lower", at);
  expect(await numbersOf(each)).toEqual(await numbersOf([first, second, third]));
});

it("a part may be given something of each micro-batch", async () => {
  const points = [start(), await realize(treeMap((p) => p.mul(2), start())), start()];
  const found = await microBatches.each("upper", (i) => points[i]!);
  const { parts } = withLookahead;
  const expected = points.map((at, i) => parts.upper(at, batches[i]!));
  expect(await numbersOf(found)).toEqual(await numbersOf(expected));
});

it("results are the caller's own, also of a part that gives what it was given", async () => {
  const given = await realize({ w: tensor([1, 2]) });
  for (const count of [1, 2]) {
    const same = microBatchesOf({ same: (at: typeof given) => at }, count, count, () => null);
    const sum = await same.sum("same", given);
    await realizeInto(sum, tensor([0, 0]).add(1));
  }
  expect(await numbersOf(given)).toEqual([1, 2]);
});
