/**
 * AdamW as trainers of language models use it: biases and norms do not decay.
 * @module
 */

import { type AdamWOptions, adamw } from "../optim/adamw.js";
import type { Optimizer } from "../optim/optimizer.js";
import { parameterGroups } from "../optim/parameterGroups.js";
import { treeNamed } from "../tensor/tree.js";

/** What of a tensor's name says that it is a bias or belongs to a norm. */
const SPARED = /bias|norm/i;

/**
 * {@link adamw} for a tree of parameters, in which those that have `bias` or `norm` in their names do not decay, as
 * in transformers' trainers. Embeddings decay, and so do an adapter's matrices.
 */
export function adamwFor(parameters: unknown, options: AdamWOptions): Optimizer {
  const names = Object.keys(treeNamed(parameters));
  const spared = names.filter((name) => SPARED.test(name));
  if (spared.length === 0) return adamw(options) as Optimizer;
  const still = adamw({ ...options, weightDecay: 0 });
  if (spared.length === names.length) return still as Optimizer;
  const groups = { decaying: adamw(options), still };
  const groupOf = (name: string) => (SPARED.test(name) ? "still" : "decaying");
  return parameterGroups(groups, groupOf) as unknown as Optimizer;
}
