/**
 * Finds the operation behind a value that is not finite, for `setDebug({ checkFinite: true })`.
 * @module
 */

import type { TypedArray } from "../kernels/dtype.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { isGiven } from "./partition.js";

/** What the search needs of the runtime. */
interface Evaluator {
  /** The graph behind the tensors, inputs before their users. */
  nodesBehind(outputs: readonly Tensor[]): readonly Tensor[];
  /** Evaluates one node. */
  run(node: Tensor): Promise<void>;
  /** A copy of an evaluated node's elements. */
  elements(node: Tensor): Promise<TypedArray>;
}

/**
 * Looks at the evaluated outputs. If one is not finite, evaluates the graph behind them operation by
 * operation.
 * @throws an error that names the first operation that made a non-finite value of finite inputs.
 */
export async function traceNonFinite(
  outputs: readonly Tensor[],
  { nodesBehind, run, elements }: Evaluator,
): Promise<void> {
  const finite = async (node: Tensor): Promise<boolean> =>
    (await elements(node)).every(Number.isFinite);
  let allFinite = true;
  for (const output of outputs) allFinite &&= await finite(output);
  if (allFinite) return;
  // Nodes with a buffer count as given, which would hide the graph behind the outputs.
  for (const output of outputs) output.buffer = null;
  const evaluated: Tensor[] = [];
  try {
    const known = new Map<Tensor, boolean>();
    for (const node of nodesBehind(outputs)) {
      if (node.primitive.lowering.kind === "constant") {
        known.set(node, Number.isFinite(node._element));
        continue;
      }
      const given = isGiven(node);
      if (!given) {
        await run(node);
        evaluated.push(node);
      }
      known.set(node, await finite(node));
      if (given || known.get(node)) continue;
      if (node.inputs.every((input) => known.get(input))) throw culprit(node);
    }
  } finally {
    for (const node of evaluated) {
      node.buffer?.dispose();
      node.buffer = null;
    }
  }
  throw new Error("an evaluated tensor is not finite, and so were the tensors it was made from");
}

/** The error for an operation whose result is not finite although its inputs are. */
function culprit({ primitive, inputs, stack }: Tensor): Error {
  const types = inputs.map((x) => `${x.dtype}${formatShape(x.shape)}`).join(", ");
  const where = stack?.split("\n").slice(2, 8).join("\n") ?? "";
  return new Error(
    `${primitive.name}(${types}) made a value that is not finite from inputs that are\n${where}`,
  );
}
