/**
 * What a model is, by its configuration and the headers of its files: no weight is read.
 * @module
 */

import { fileTypeOf } from "../files/elements.js";
import { sizeOf } from "../tensor/shape.js";
import { checkedTensors } from "./checkpoint.js";
import { type DecoderConfig, parameterShapes } from "./decoder.js";
import type { GenerationConfig } from "./generationConfig.js";
import { readConfigs, withWeights } from "./loadModel.js";
import { type ModelSource, modelFiles } from "./modelFiles.js";
import { readTokenizer, type Tokenizer } from "./tokenizer.js";

/** A model that is not loaded. */
export interface ModelInfo {
  readonly modelType: string;
  readonly config: DecoderConfig;
  readonly generationConfig: GenerationConfig;
  readonly tokenizer: Tokenizer | null;
  /** How many numbers the parameters are. */
  readonly parameters: number;
  /** How many numbers the files hold, by their types: `"F32"`, `"BF16"`, … */
  readonly stored: ReadonlyMap<string, number>;
  /** Of the files with weights. */
  readonly files: number;
  readonly bytes: number;
}

/**
 * Reads all of a model but its weights.
 * @throws (the returned promise rejects) for what `loadModel` refuses before it reads weights, but for a device's limits.
 */
export async function modelInfo(source: ModelSource, revision?: string): Promise<ModelInfo> {
  const from = await modelFiles(source, revision);
  const { read, generationConfig } = await readConfigs(from);
  const tokenizer = await readTokenizer(from);
  const shapes = [...parameterShapes(read.config).values()];
  const parameters = shapes.reduce((sum, shape) => sum + sizeOf(shape), 0);
  return withWeights(from, (files) => {
    checkedTensors(read, files);
    const stored = new Map<string, number>();
    for (const [name, { dtype, bytes }] of files.flatMap(({ header }) => [...header.tensors])) {
      const count = (bytes[1] - bytes[0]) / fileTypeOf(name, dtype).bytes;
      stored.set(dtype, (stored.get(dtype) ?? 0) + count);
    }
    return {
      modelType: read.family.modelType,
      config: read.config,
      generationConfig,
      tokenizer,
      parameters,
      stored,
      files: files.length,
      bytes: files.reduce((sum, { source: file }) => sum + file.size, 0),
    };
  });
}
