/**
 * Model directories that are wrong in some way, of every family: each is refused, in words, before weights
 * are read.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadModel, ones, type Tensor } from "../../src/index.js";
import { readConfig } from "../../src/models/families/index.js";
import { tinyFiles, tinyTensors } from "./tinyCheckpoint.js";
import { FAMILIES } from "./tinyFamilies.js";

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

describe.each(Object.entries(FAMILIES))("a checkpoint of %s", (_, config) => {
  const changed = async (change: (tensors: Record<string, Tensor>) => void) => {
    const tensors = tinyTensors(config);
    change(tensors);
    return tinyFiles(config, tensors);
  };
  // A norm, a matrix of the last layer, and the embedding.
  const names = Object.keys(tinyTensors(config));
  const some = [names[0]!, names.at(-2)!, names[names.length >> 1]!];

  it.each(some)("is refused without %s, or where its shape is another", async (name) => {
    const missing = loadModel(await changed((tensors) => delete tensors[name]));
    await expect(missing).rejects.toThrow(`the checkpoint lacks ${name}; config.json asks for`);
    const misshapen = await changed((tensors) => {
      tensors[name] = ones([3, 5]);
    });
    await expect(loadModel(misshapen)).rejects.toThrow(
      `the checkpoint's ${name} has shape [3,5]; config.json asks for [`,
    );
  });

  it("is refused with a tensor that nothing takes", async () => {
    const extra = await changed((tensors) => {
      tensors["model.adapter.weight"] = ones([2]);
    });
    await expect(loadModel(extra)).rejects.toThrow(
      /holds .*model\.adapter\.weight, which config\.json does not ask for/,
    );
  });
});

/** What a key may wrongly hold. */
const anything = fc.oneof(
  fc.constantFrom(null, true, false, "", "gelu", "yarn", 0, -1, 1.5, 1e9, 2 ** 53, 1e308),
  fc.constantFrom([], {}, [1, 0], ["full_attention"], { rope_type: "linear" }, { factor: -1 }),
  fc.jsonValue({ maxDepth: 2 }),
);

describe("a config.json with a wrong value", () => {
  it.each(Object.entries(FAMILIES))("of %s is read, or refused by the key's name", (_, config) => {
    const keys = [
      ...Object.keys(config),
      "rope_scaling",
      "layer_types",
      "sliding_window",
      "new_key",
    ];
    fc.assert(
      fc.property(fc.constantFrom(...keys), anything, (key, value) => {
        let message: string;
        try {
          readConfig({ ...config, [key]: value });
          return;
        } catch (error) {
          // A TypeError of the engine itself would speak of undefined properties and no functions.
          expect(error).toBeInstanceOf(Error);
          message = (error as Error).message;
        }
        expect(message).toMatch(/^(config\.json|decoder)/);
      }),
      { numRuns: 300 },
    );
  });

  it("asks for no more layers than can be listed", async () => {
    const files = await tinyFiles(FAMILIES.llama!);
    const config = json({ ...FAMILIES.llama, num_hidden_layers: 1e9 });
    await expect(loadModel({ ...files, "config.json": config })).rejects.toThrow(
      'config.json: "num_hidden_layers" must be at most 10000, got 1000000000',
    );
  });
});

describe("an index of shards", () => {
  it("of any form is read, or refused in words", async () => {
    const files = await tinyFiles(FAMILIES.llama!);
    const weights = files["model.safetensors"]!;
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.jsonValue({ maxDepth: 2 }),
          fc.record({ weight_map: fc.jsonValue({ maxDepth: 1 }) }),
          fc.record({
            weight_map: fc.dictionary(
              fc.string(),
              fc.constantFrom("model.safetensors", "../x", "/etc/passwd", "x.bin", "..", ""),
            ),
          }),
        ),
        async (index) => {
          const given = {
            "config.json": files["config.json"]!,
            "model.safetensors": weights,
            "model.safetensors.index.json": json(index),
          };
          const failed = await loadModel(given).then(
            () => null,
            (error: Error) => error.message,
          );
          if (failed !== null) expect(failed).toMatch(/model\.safetensors\.index\.json|has no /);
        },
      ),
      { numRuns: 200 },
    );
  });
});
