/**
 * How much memory a step of training takes, about; less where blocks are fused.
 * @module
 */

import type { DecoderConfig } from "../models/decoder.js";

/** What a step's memory depends on. */
export interface StepSize {
  /** Numbers that are trained. */
  readonly trained: number;
  /** Bytes of those that are not. */
  readonly frozenBytes: number;
  /** Bytes of a number that is trained or computed. */
  readonly bytes: number;
  /** Tokens of the longest micro-batch, and of its longest sequence. */
  readonly tokens: number;
  readonly length: number;
  /** Whether blocks are computed again for their gradients. */
  readonly checkpointing: boolean;
}

/** Rows of logits that are held at a time. */
const CHUNK = 1024;

/**
 * Bytes of parameters, gradients, moments and updates, and of what the backward pass needs of a micro-batch: of each
 * token and block some 18 vectors of the model's width, six of the feed-forward's, and the attention weights three
 * times (with checkpointing of one block, and of the others a vector); of a chunk of predictions the logits three
 * times. The counts are from measurements: `test/training/stepMemory.test.ts` has what WebAssembly's memory grew to.
 */
export function stepMemory(config: DecoderConfig, size: StepSize): number {
  const { trained, frozenBytes, bytes, tokens, length, checkpointing } = size;
  const { width, feedForward, heads, layers, vocabularySize } = config;
  const block = 18 * width + 6 * feedForward.width + 3 * heads * length;
  const token = checkpointing ? layers.length * width + block : layers.length * block;
  const logits = 3 * Math.min(CHUNK, tokens) * vocabularySize;
  return frozenBytes + bytes * (5 * trained + tokens * token + logits);
}
