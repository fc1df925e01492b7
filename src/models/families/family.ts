/**
 * What a family of models is: how its `config.json` is read, and what its tensors are called.
 * @module
 */

import type { DecoderConfig } from "../decoder.js";
import type { ConfigReader } from "./configReader.js";

/** A tensor of a checkpoint and its place in the parameter tree. */
export interface CheckpointTensor {
  /** Its name in the file. */
  readonly name: string;
  /** Its path in the tree, with dots: `blocks.0.attention.query.weight`. */
  readonly path: string;
  /** Whether the file has it as `[outputs, inputs]`, as PyTorch's `Linear` does. */
  readonly transposed: boolean;
}

/** A family of models. */
export interface Family {
  /** `model_type` in the `config.json`. */
  readonly modelType: string;
  config(read: ConfigReader): DecoderConfig;
  tensors(config: DecoderConfig): readonly CheckpointTensor[];
  /** A name as the family's files may have it, in the form of `tensors`; null for a tensor that is known to be of no use. */
  readonly canonicalName?: (name: string) => string | null;
}
