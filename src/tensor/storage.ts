/**
 * Tensors held in fewer bytes than their dtype takes.
 * @module
 */

import { checkChoice } from "../checks.js";
import { toBFloat16 } from "../kernels/dtype.js";
import { tensorOfPieces } from "./pieces.js";
import type { Tensor } from "./tensor.js";
import { treeLeaves, treeUnflatten } from "./tree.js";

/**
 * Rounds float32 tensors to bfloat16 (8 bits of precision: the nearest, of two equally near ones the even) and holds
 * them in 2 bytes an element: weights that are read and not trained, as the base model of an adapter.
 *
 * A tensor's `dtype` stays `"float32"`, its {@link Tensor.storage} is `"bfloat16"`. Operations widen what they read, so
 * results are those of the rounded float32 weights, and are float32 themselves; `storeAs("float32", tree)` is the way
 * back. All devices have it but the GPU on WebGL2, which refuses it.
 *
 * @param tree Evaluated where it is not yet. Its tensors stay as they are; tensors of other dtypes are in the result
 * too.
 * @example
 * const frozen = await storeAs("bfloat16", parameters);
 * const kept = new Set(treeLeaves(frozen));
 * for (const t of treeLeaves(parameters)) if (!kept.has(t)) t.dispose();
 */
export async function storeAs<T>(storage: "bfloat16" | "float32", tree: T): Promise<T> {
  checkChoice("storeAs", "storage", storage, ["bfloat16", "float32"]);
  const stored: Tensor[] = [];
  for (const t of treeLeaves(tree)) stored.push(await heldAs(storage, t));
  return treeUnflatten(tree, stored);
}

async function heldAs(storage: "bfloat16" | "float32", t: Tensor): Promise<Tensor> {
  if (t.dtype !== "float32" || t.storage === storage) return t;
  const values = await t.data();
  const elements = storage === "bfloat16" ? toBFloat16(values) : values;
  return tensorOfPieces(t.shape, storage, (own) => own.write(0, elements));
}
