/**
 * What of a model a run trains, and how it is kept: all of its parameters, or an adapter.
 * @module
 */

import type { DirectoryTreeTarget } from "../files/outputTree.js";
import { bytesPerElement } from "../kernels/dtype.js";
import type { DecoderParameters } from "../models/decoder.js";
import type { LoadedModel } from "../models/loadModel.js";
import { type LoraAdapter, type LoraParameters, withLora } from "../models/lora.js";
import type { SaveModelOptions } from "../models/saveModel.js";
import { sizeOf } from "../tensor/shape.js";
import { treeLeaves } from "../tensor/tree.js";
import { type CheckpointWeights, treeWeights } from "./checkpoints.js";
import { fullPolicy, loraPolicy, type Policy } from "./policy.js";
import { adapterWeights, modelWeights, writeWeights } from "./runFiles.js";

/** What is trained. */
export interface Trainee<P> {
  readonly policy: Policy<P>;
  /** The model's parameters with those that are trained in their place. */
  whole(parameters: P): DecoderParameters;
  /** The adapter with other matrices; null where the model itself is trained. */
  adapter(parameters: P): LoraAdapter | null;
  /** How checkpoints in a directory keep it. */
  weights(directory: DirectoryTreeTarget): CheckpointWeights<P>;
  /** Writes the result of a run. */
  write(directory: DirectoryTreeTarget, parameters: P): Promise<void>;
  /** How many numbers are trained. */
  readonly trained: number;
}

/** How many numbers a tree holds. */
export const sizeOfTree = (tree: unknown): number =>
  treeLeaves(tree).reduce((sum, { shape }) => sum + sizeOf(shape), 0);

/** How many bytes a tree takes on a device. */
export const bytesOfTree = (tree: unknown): number =>
  treeLeaves(tree).reduce((sum, { size, storage }) => sum + size * bytesPerElement(storage), 0);

// Models and adapters are read from paths; a browser's directories have trees in their place.
const kept = <P>(directory: DirectoryTreeTarget, weights: CheckpointWeights<P>) =>
  typeof directory === "string" ? weights : (treeWeights as CheckpointWeights<P>);

/** All parameters of a model. */
export function wholeModel(
  lm: LoadedModel,
  dtype: NonNullable<SaveModelOptions["dtype"]>,
): Trainee<DecoderParameters> {
  return {
    policy: fullPolicy(lm),
    whole: (parameters) => parameters,
    adapter: () => null,
    weights: (directory) => kept(directory, modelWeights(lm)),
    write: (directory, parameters) => writeWeights(directory, lm, { parameters }, dtype),
    trained: sizeOfTree(lm.parameters),
  };
}

/** An adapter beside a model. */
export function adapterOf(
  lm: LoadedModel,
  adapter: LoraAdapter,
  seed: number,
): Trainee<LoraParameters> {
  return {
    policy: loraPolicy(lm, adapter, { seed }),
    whole: (parameters) => withLora(lm, { ...adapter, parameters }),
    adapter: (parameters) => ({ ...adapter, parameters }),
    weights: (directory) => kept(directory, adapterWeights(lm, adapter)),
    write: (directory, parameters) =>
      writeWeights(directory, lm, { adapter: { ...adapter, parameters } }, "float32"),
    trained: sizeOfTree(adapter.parameters),
  };
}
