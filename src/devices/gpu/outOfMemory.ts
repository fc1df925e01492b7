/**
 * What is said when a GPU has no memory left.
 * @module
 */

import { OutOfMemoryError } from "../device.js";

/** The error of a GPU that has no memory `for` something or `to` do something. */
export function outOfMemory(purpose: string): OutOfMemoryError {
  return new OutOfMemoryError(
    `the GPU has no memory left ${purpose}; dispose() tensors that are no longer needed, or use smaller batches`,
  );
}
