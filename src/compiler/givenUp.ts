/**
 * Memory of values that nobody needs any more, for values that are computed later, and of results for values that are
 * computed on the way to them.
 *
 * A result takes the memory of an input that was given up, has its dtype and size, and whose last reader has run;
 * or whose last reader is the result's own kernel, if that reads each element for the element at its place only and
 * the device can do that. Where it cannot, results rotate: the first of a size takes new memory, the second
 * that of the input the first was made of, and so on. A kernel that replaces elements of a value takes over
 * its memory, if nothing reads the value later.
 *
 * A result in new memory has forerunners there: temporaries that it, or the one before it, overwrites.
 * @module
 */

import { loadIn } from "../kernels/expressions.js";
import { sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import type { RootedKernel } from "./order.js";
import { isGiven } from "./partition.js";
import { overwritable } from "./scratch.js";
import type { Graph } from "./structure.js";

/** Memory can be passed on between values of one type. */
function typeOf({ storage, shape }: Tensor): string {
  return `${storage} ${sizeOf(shape)}`;
}

/** The value some elements of which the kernel replaces, if it reads nothing else of it. */
function replacedBy({ kernel, reads }: RootedKernel): Tensor | null {
  if (kernel.kind !== "scatter" || !kernel.replaces) return null;
  return kernel.expressions.some((e) => loadIn(e)?.buffer === 1) ? null : reads[0]!;
}

/**
 * Which kernels each kernel must wait for, beside those whose results it reads: the other readers of a value whose
 * memory it could take over, unless one of them needs its result.
 */
export function findWaits(order: readonly RootedKernel[], graph: Graph): number[][] {
  const waits: number[][] = order.map(() => []);
  const outputs = new Set(graph.outputs);
  const givenUp = new Set(graph.givenUp);
  const readers = new Map<Tensor, number[]>();
  order.forEach(({ reads }, i) => {
    for (const node of reads) readers.set(node, [...(readers.get(node) ?? []), i]);
  });
  const heirs = new Map<Tensor, number>();
  order.forEach((kernel, i) => {
    const replaced = replacedBy(kernel);
    if (replaced && (givenUp.has(replaced) || !(isGiven(replaced) || outputs.has(replaced)))) {
      heirs.set(replaced, i);
    }
  });
  for (const node of graph.givenUp) {
    if (heirs.has(node)) continue;
    const able = (readers.get(node) ?? []).filter((i) => {
      const { root } = order[i]!;
      return outputs.has(root) && typeOf(root) === typeOf(node);
    });
    const isBest = (i: number): boolean =>
      overwritable(order[i]!.kernel, order[i]!.reads.indexOf(node) + 1);
    const heir = able.filter(isBest).at(-1) ?? able.at(-1);
    if (heir !== undefined) heirs.set(node, heir);
  }
  const followers = order.map(({ root }) => [...(readers.get(root) ?? [])]);
  const reached = (from: number): Set<number> => {
    const found = new Set([from]);
    for (const one of found) for (const next of followers[one]!) found.add(next);
    return found;
  };
  for (const [node, heir] of heirs) {
    const others = readers.get(node)!.filter((i) => i !== heir);
    if (others.length === 0) continue;
    const later = reached(heir);
    if (others.some((i) => later.has(i))) continue;
    for (const i of others) {
      waits[heir]!.push(i);
      followers[i]!.push(heir);
    }
  }
  return waits;
}

/** The value in whose memory each value goes that has none of its own. `order` is final. */
export function findHomes(
  order: readonly RootedKernel[],
  graph: Graph,
  canOverwrite: boolean,
): ReadonlyMap<Tensor, Tensor> {
  const outputs = new Set(graph.outputs);
  const givenUp = new Set(graph.givenUp);
  const lastReader = new Map<Tensor, number>();
  order.forEach(({ reads }, time) => {
    for (const node of reads) lastReader.set(node, time);
  });
  const homes = new Map<Tensor, Tensor>();
  const homeOf = (node: Tensor): Tensor => homes.get(node) ?? node;
  const free = new Map<string, Tensor[]>();
  const release = (home: Tensor): void => {
    free.set(typeOf(home), [...(free.get(typeOf(home)) ?? []), home]);
  };
  for (const node of givenUp) if (!lastReader.has(node)) release(node);
  order.forEach((rooted, time) => {
    const { root, kernel, reads } = rooted;
    const ending = reads.filter(
      (node) =>
        lastReader.get(node) === time &&
        !outputs.has(node) &&
        (givenUp.has(node) || !isGiven(node)),
    );
    const overwritten = (): Tensor | undefined =>
      ending.find(
        (node) =>
          canOverwrite &&
          givenUp.has(homeOf(node)) &&
          typeOf(node) === typeOf(root) &&
          overwritable(kernel, reads.indexOf(node) + 1),
      );
    const replaced = replacedBy(rooted);
    let home: Tensor | undefined;
    if (replaced !== null && ending.includes(replaced)) home = homeOf(replaced);
    else if (outputs.has(root)) {
      const same = overwritten();
      home = same ? homeOf(same) : free.get(typeOf(root))?.pop();
    }
    if (home) homes.set(root, home);
    for (const node of ending) {
      if (homeOf(node) !== home && givenUp.has(homeOf(node))) release(homeOf(node));
    }
  });
  if (canOverwrite) findForerunners(order, outputs, lastReader, homes);
  return homes;
}

/**
 * Gives values in new memory forerunners there: the temporary that the value's kernel could overwrite is computed in that
 * memory from the start, and so on back from it. The exponentials of a softmax lie where their quotients will.
 */
function findForerunners(
  order: readonly RootedKernel[],
  outputs: ReadonlySet<Tensor>,
  lastReader: ReadonlyMap<Tensor, number>,
  homes: Map<Tensor, Tensor>,
): void {
  for (const [time, { root, kernel, reads }] of [...order.entries()].reverse()) {
    // A result's own memory is new; so is that of a forerunner.
    const home = homes.get(root) ?? root;
    if (!outputs.has(home)) continue;
    const forerunner = reads.find(
      (node) =>
        lastReader.get(node) === time &&
        !outputs.has(node) &&
        !isGiven(node) &&
        !homes.has(node) &&
        typeOf(node) === typeOf(root) &&
        overwritable(kernel, reads.indexOf(node) + 1),
    );
    if (forerunner) homes.set(forerunner, home);
  }
}
