/**
 * `prefgrad merge`: a model with an adapter's corrections in its weights.
 * @module
 */

import { loadAdapter } from "../models/adapterFiles.js";
import { loadModel } from "../models/loadModel.js";
import { mergeLora } from "../models/lora.js";
import { saveModel } from "../models/saveModel.js";
import { asInput } from "./input.js";
import type { OptionsOf } from "./options.js";
import { loadingLine } from "./progress.js";

/** Writes the merged model. */
export async function merge(options: OptionsOf<"merge">): Promise<void> {
  const { model, revision, adapter, output, saveDtype } = options;
  const onProgress = loadingLine(process.stderr);
  const lm = await asInput(() =>
    loadModel(model, { onProgress, ...(revision !== undefined && { revision }) }),
  );
  const parameters = mergeLora(lm, await asInput(() => loadAdapter(adapter, lm)));
  await asInput(() => saveModel(output, { ...lm, parameters }, { dtype: saveDtype }));
  process.stdout.write(`${output}\n`);
}
