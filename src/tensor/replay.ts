/**
 * Evaluations that are done again and again on other tensors, as a token at a time is decoded.
 * @module
 */

import { realizeInto } from "./evaluate.js";
import { NO_ATTRIBUTES, REALIZED } from "./primitive.js";
import { type Recording, runtime } from "./runtime.js";
import { createNode, type Tensor } from "./tensor.js";
import { distinctLeaves, treeLeaves, treeMap } from "./tree.js";

/**
 * A function of a tree of tensors that evaluates what `make` gives, as {@link realizeInto} does. Only the first call with
 * tensors of some shapes builds the graph and finds its plan; later ones put their tensors in the place of the first ones.
 * Trees with numbers in them, or a tensor in two places, are evaluated anew each time.
 *
 * @param make It is pure, and looks at no elements. Tensors that are not among its inputs stay those of the first call,
 * and have their elements by then.
 * @param givenUp Those of the inputs that nobody needs afterwards.
 */
export function replayed<Inputs, Results>(
  make: (inputs: Inputs) => Results,
  givenUp: (inputs: Inputs) => unknown,
): (inputs: Inputs) => Promise<Results> {
  const known = new Map<string, { recording: Recording; results: Results }>();
  return async (inputs) => {
    const engine = await runtime();
    const own = distinctLeaves(inputs);
    const ending = givenUp(inputs);
    if (!own) return realizeInto(ending, make(inputs));
    const key = own.map(({ storage, shape }) => `${storage} ${shape}`).join();
    const found = known.get(key);
    if (found) {
      const results = treeMap(blank, found.results);
      const leaves = treeLeaves(results);
      if (await engine.replay(found.recording, leaves, own, treeLeaves(ending))) return results;
    }
    const results = make(inputs);
    const leaves = distinctLeaves(results);
    if (!leaves) return realizeInto(ending, results);
    const recording = await engine.record(leaves, own, treeLeaves(ending));
    for (const t of leaves) t.detachHistory();
    if (recording) known.set(key, { recording, results: treeMap(blank, results) });
    return results;
  };
}

/** A tensor like an evaluated one, without elements. */
function blank({ shape, dtype }: Tensor): Tensor {
  return createNode({ primitive: REALIZED, inputs: [], attributes: NO_ATTRIBUTES, shape, dtype });
}
