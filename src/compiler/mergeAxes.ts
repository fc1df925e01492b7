/**
 * Fewer, longer loops: neighbouring axes that every index of a kernel treats as one become one.
 * @module
 */

import type { Affine } from "../kernels/kernel.js";

/** Axes merged as far as every index allows. */
interface MergedAxes {
  /** Sizes of the axes that are left. */
  readonly sizes: number[];
  /** How many merged axes lie before a border. */
  countBefore(border: number): number;
  /** An index over the axes there were, as one over those that are left. */
  rewrite(index: Affine): Affine;
}

/**
 * Merges neighbouring axes that every index walks through as one: where the stride of the outer
 * is the stride of the inner times its size. Axes do not merge across the `borders` of groups.
 */
export function mergeAxes(
  sizes: readonly number[],
  affines: readonly Affine[],
  borders: readonly number[],
): MergedAxes {
  // The innermost of each run of merged axes. Its stride is the run's stride.
  const kept: number[] = [];
  const merged: number[] = [];
  sizes.forEach((size, d) => {
    const fits =
      d > 0 &&
      !borders.includes(d) &&
      affines.every(({ strides }) => strides[d - 1] === strides[d]! * size);
    if (fits) {
      merged[merged.length - 1]! *= size;
      kept[kept.length - 1] = d;
    } else {
      merged.push(size);
      kept.push(d);
    }
  });
  const lookupsFrom = sizes.length;
  return {
    sizes: merged,
    countBefore: (border) => kept.filter((d) => d < border).length,
    rewrite: ({ offset, strides }) => ({
      offset,
      strides: [...kept.map((d) => strides[d]!), ...strides.slice(lookupsFrom)],
    }),
  };
}
