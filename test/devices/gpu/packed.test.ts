/**
 * bfloat16s on their way into words: pieces of any lengths, in any order.
 */

import fc from "fast-check";
import { expect, it } from "vitest";
import { WordPacker } from "../../../src/devices/gpu/webgpu/packed.js";

/** Writes the pieces of `values` between these places, in this order, as a queue writes words. */
function written(values: Uint16Array, places: readonly number[], order: readonly number[]) {
  const packer = new WordPacker();
  const [buffer, other] = [{}, {}];
  const memory = new Uint16Array(values.length + (values.length % 2));
  const ends = [...places, values.length];
  for (const piece of order) {
    const from = piece === 0 ? 0 : ends[piece - 1]!;
    const [first, elements] = packer.words(buffer, from, values.subarray(from, ends[piece]!));
    expect([first % 2, elements.length % 2]).toEqual([0, 0]);
    memory.set(elements, first);
    // What is written into another buffer meanwhile has no part in it.
    packer.words(other, from, Uint16Array.of(1));
  }
  return memory.subarray(0, values.length);
}

it("every element arrives, whatever the pieces", () => {
  const pieces = fc
    .tuple(
      fc.uint16Array({ minLength: 1, maxLength: 40 }),
      fc.uniqueArray(fc.nat({ max: 38 }), { maxLength: 12 }),
    )
    .map(([values, drawn]) => ({
      values,
      places: drawn
        .map((place) => place + 1)
        .filter((place) => place < values.length)
        .sort((a, b) => a - b),
    }))
    .chain(({ values, places }) => {
      const all = [...places.keys(), places.length];
      return fc.tuple(
        fc.constant(values),
        fc.constant(places),
        fc.shuffledSubarray(all, { minLength: all.length }),
      );
    });
  fc.assert(
    fc.property(pieces, ([values, places, order]) => {
      expect(written(values, places, order)).toEqual(values);
    }),
  );
});

it("no elements are no words", () => {
  expect(new WordPacker().words({}, 0, [])).toEqual([0, new Uint16Array(0)]);
});
