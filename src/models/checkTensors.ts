/**
 * The tensors of files that come from elsewhere, against those that are to be there.
 * @module
 */

import { fileTypeOf } from "../files/elements.js";
import type { SafetensorsEntry } from "../files/header.js";
import { isFloating } from "../kernels/dtype.js";
import { formatShape, sameShape } from "../tensor/shape.js";

/**
 * Compares what a file holds with what a configuration asks for.
 * @param what `"checkpoint"`, `"adapter"`.
 * @param config The configuration's file.
 * @param wanted Shapes in the file by name.
 * @throws naming tensors that are missing, of another shape, left over, or no floating-point numbers.
 */
export function checkTensors(
  what: string,
  config: string,
  wanted: ReadonlyMap<string, readonly number[]>,
  found: ReadonlyMap<string, Pick<SafetensorsEntry, "dtype" | "shape">>,
): void {
  const missing = [...wanted.keys()].filter((name) => !found.has(name));
  if (missing.length > 0) {
    throw new TypeError(`the ${what} lacks ${listed(missing)}; ${config} asks for them`);
  }
  for (const [name, expected] of wanted) {
    const { shape, dtype } = found.get(name)!;
    if (!sameShape(shape, expected)) {
      throw new TypeError(
        `the ${what}'s ${name} has shape ${formatShape(shape)}; ${config} asks for ${formatShape(expected)}`,
      );
    }
    if (!isFloating(fileTypeOf(name, dtype).dtype)) {
      throw new TypeError(`the ${what}'s ${name} is ${dtype}; weights are floating point`);
    }
  }
  const extra = [...found.keys()].filter((name) => !wanted.has(name));
  if (extra.length > 0) {
    throw new TypeError(`the ${what} holds ${listed(extra)}, which ${config} does not ask for`);
  }
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more tensors` : shown;
}
