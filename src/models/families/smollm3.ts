/**
 * SmolLM3: Llama in which every fourth layer does not turn queries and keys.
 * @module
 */

import { llamaForm, slidingLayers, TENSORS } from "./common.js";
import type { ConfigReader } from "./configReader.js";
import type { Family } from "./family.js";

const isTurned = (item: unknown): item is 0 | 1 => item === 0 || item === 1;

function usesWindow(read: ConfigReader): boolean {
  const uses = read.flag("use_sliding_window", false) && read.has("sliding_window");
  read.ignore("sliding_window");
  return uses;
}

export const smollm3: Family = {
  modelType: "smollm3",
  ...TENSORS,
  config(read) {
    const form = llamaForm(read, {
      epsilon: 1e-6,
      tiedHead: true,
      keyValueHeads: 4,
      theta: 2e6,
      biases: { attention: true, mlp: true },
    });
    const { length } = form.layers;
    const interval = read.integer("no_rope_layer_interval", 4);
    const turned = read.list("no_rope_layers", length, isTurned);
    const isRotary = (i: number) => (turned ? turned[i] === 1 : (i + 1) % interval !== 0);
    // With windows, the layers that do not turn are the ones that have them.
    const window = usesWindow(read) ? read.integer("sliding_window") : undefined;
    const sliding = slidingLayers(read, length, (i) => window !== undefined && !isRotary(i));
    return {
      ...form,
      layers: form.layers.map(({ rotary }, i) => ({
        window: sliding[i] ? window : undefined,
        rotary: isRotary(i) ? rotary : undefined,
      })),
    };
  },
};
