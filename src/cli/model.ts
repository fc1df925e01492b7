/**
 * A model on its device, as the options name them.
 * @module
 */

import { loadAdapter } from "../models/adapterFiles.js";
import { type LoadedModel, loadModel } from "../models/loadModel.js";
import type { LoraAdapter } from "../models/lora.js";
import { setDevice } from "../tensor/evaluate.js";
import { asInput, InputError } from "./input.js";
import type { OptionsOf } from "./options.js";
import { loadingLine } from "./progress.js";

type ModelOptions = Pick<
  OptionsOf<"generate">,
  "model" | "revision" | "adapter" | "dtype" | "device" | "threads"
>;

/** Refuses what a device does not have. */
export function checkDevice({ device, dtype, threads }: ModelOptions): void {
  if (device !== "gpu") return;
  if (threads !== undefined) throw new InputError("--threads are of --device wasm, not of the GPU");
  if (dtype === "float64") throw new InputError("--dtype float64 is not for --device gpu");
}

/** The model with its tokenizer, on its device, and the adapter. */
export async function loaded(
  options: ModelOptions,
): Promise<{ readonly lm: LoadedModel; readonly adapter: LoraAdapter | null }> {
  const { model, revision, adapter, dtype, device, threads } = options;
  await setDevice(device, threads === undefined ? {} : { threads });
  const onProgress = loadingLine(process.stderr);
  const own = { dtype, onProgress, ...(revision !== undefined && { revision }) };
  const lm = await asInput(() => loadModel(model, own));
  return {
    lm,
    adapter: adapter === undefined ? null : await asInput(() => loadAdapter(adapter, lm)),
  };
}
