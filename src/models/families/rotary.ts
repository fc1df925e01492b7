/**
 * Rotary embeddings as configs spell them: `rope_parameters` (transformers 5), or `rope_theta` and
 * `rope_scaling` (4.x and most of the hub).
 * @module
 */

import type { Rotary, RotaryScaling } from "../../nn/rotary.js";
import type { ConfigReader } from "./configReader.js";

/** The rotary embedding of all layers. */
export function rotaryOf(
  read: ConfigReader,
  headWidth: number,
  defaults: { readonly theta: number; readonly contextLength: number },
): Rotary {
  const share = read.positive("partial_rotary_factor", 1);
  const parameters = read.object("rope_parameters");
  if (parameters) {
    read.ignore("rope_theta", "rope_scaling");
    return rotaryFrom(parameters, headWidth, { ...defaults, share });
  }
  const theta = read.positive("rope_theta", defaults.theta);
  return scaledRotary(theta, read.object("rope_scaling"), headWidth, { ...defaults, share });
}

interface RotaryDefaults {
  readonly theta: number;
  readonly contextLength: number;
  /** Share of a head's dimensions that are turned. */
  readonly share: number;
}

/** The rotary embedding of an object of transformers 5. */
export function rotaryFrom(
  parameters: ConfigReader,
  headWidth: number,
  defaults: RotaryDefaults,
): Rotary {
  const theta = parameters.positive("rope_theta", defaults.theta);
  const share = parameters.positive("partial_rotary_factor", defaults.share);
  return scaledRotary(theta, parameters, headWidth, { ...defaults, share });
}

/** The rotary embedding of a base and, where there is one, a scaling. */
export function scaledRotary(
  theta: number,
  scaling: ConfigReader | undefined,
  headWidth: number,
  { share, contextLength }: RotaryDefaults,
): Rotary {
  const width = Math.trunc(headWidth * share);
  const found = scaling && scalingOf(scaling, contextLength);
  scaling?.finish();
  return { theta, width, ...(found && { scaling: found }) };
}

function scalingOf(read: ConfigReader, contextLength: number): RotaryScaling | undefined {
  const key = read.mentions("rope_type") ? "rope_type" : "type";
  if (key === "rope_type") read.ignore("type");
  const kind = read.choice(
    key,
    { default: "default", linear: "linear", llama3: "llama3" },
    "default",
  );
  if (kind === "linear") return { kind, factor: read.positive("factor") };
  if (kind !== "llama3") return undefined;
  return {
    kind,
    factor: read.positive("factor"),
    lowFrequencyFactor: read.positive("low_freq_factor"),
    highFrequencyFactor: read.positive("high_freq_factor"),
    originalContextLength: read.positive("original_max_position_embeddings", contextLength),
  };
}
