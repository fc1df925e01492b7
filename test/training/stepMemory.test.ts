/**
 * The estimate of a step's memory, against what WebAssembly's memory had grown to after three steps of DPO: four layers of
 * four heads, a feed-forward part of 2.75 widths, 1,024 tokens in the vocabulary, 8 pairs whose prompt and completions are
 * equally long, one thread; garbage that waits is part of it. LoRA is of rank 16, on all linear layers.
 */

import { describe, expect, it } from "vitest";
import type { DecoderConfig } from "../../src/models/decoder.js";
import { stepMemory } from "../../src/training/memory.js";

/** Of a width, numbers of the model, and of the adapter. */
const SIZES = { 128: [869_504, 149_504], 256: [2_820_352, 274_432] } as const;

describe("the estimate is not below what was measured, and at most 30 % above", () => {
  it.each([
    // width, LoRA, checkpointing, tokens of a part, MB
    [128, false, false, 60, 148.8],
    [128, false, true, 60, 56.4],
    [128, true, false, 60, 143.3],
    [128, true, true, 60, 47.8],
    [256, false, false, 60, 266.9],
    [256, false, true, 60, 124.6],
    [256, true, false, 60, 238.3],
    [256, true, true, 60, 94],
    [128, false, false, 140, 387.4],
    [128, false, false, 12, 38.3],
  ] as const)(
    "width %i, LoRA %s, checkpointing %s, %i tokens: %d MB",
    (width, lora, checkpointing, part, measured) => {
      const [model, adapter] = SIZES[width];
      const config = {
        width,
        feedForward: { width: 2.75 * width },
        heads: 4,
        layers: Array.from({ length: 4 }),
        vocabularySize: 1024,
      } as unknown as DecoderConfig;
      const megabytes =
        stepMemory(config, {
          trained: lora ? adapter : model,
          frozenBytes: lora ? 4 * model : 0,
          bytes: 4,
          tokens: 8 * 3 * part,
          length: 2 * part,
          checkpointing,
        }) / 1e6;
      expect(megabytes).toBeGreaterThan(measured);
      expect(megabytes).toBeLessThan(1.3 * measured);
    },
  );
});
