/**
 * How the elements of a shape lie in memory.
 * @module
 */

/** How many elements a shape has: the product of its sizes. */
export function sizeOf(shape: readonly number[]): number {
  let size = 1;
  for (const extent of shape) size *= extent;
  return size;
}

/** Row-major strides of a shape. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = stride;
    stride *= shape[d]!;
  }
  return strides;
}

/** An axis, and how far apart its neighbouring elements are. */
export interface StridedAxis {
  readonly size: number;
  readonly stride: number;
}

/** Axes with neighbours merged where one stride walks both: `outer stride = inner size · inner stride`. */
export function collapse(sizes: readonly number[], strides: readonly number[]): StridedAxis[] {
  const axes: StridedAxis[] = [];
  sizes.forEach((size, i) => {
    if (size === 1) return;
    const stride = strides[i]!;
    const last = axes.at(-1);
    if (last && last.stride === size * stride)
      axes[axes.length - 1] = { size: last.size * size, stride };
    else axes.push({ size, stride });
  });
  return axes;
}

/** `0 … count − 1`. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
