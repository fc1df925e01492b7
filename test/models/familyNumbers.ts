/**
 * A model's numbers on a device: what is compared with transformers'. Arguments and results are JSON.
 * @module
 */

import {
  type FloatDType,
  generate,
  gradients,
  loadModel,
  packBatch,
  packedTokenLogProbs,
  realize,
  sequenceLogProbs,
  setDevice,
  tensor,
  tokenLogProbs,
  treeNamed,
} from "../../src/index.js";
import type { TestedDevice } from "../conformance/devices.js";

/** A model, and which of its numbers are asked for. */
export interface FamilyInput {
  /** Its files, as base64. */
  readonly files: Readonly<Record<string, string>>;
  /** `[B, T]`, of which the first so many of each row count. */
  readonly ids: readonly (readonly number[])[];
  readonly lengths: readonly number[];
  /** Rows and positions of the logits. */
  readonly logits: readonly (readonly [row: number, position: number])[];
  /** Tensors by their names in the files, and where they are. */
  readonly parameters: readonly { name: string; path: string; transposed: boolean }[];
  readonly prompts: readonly (readonly number[])[];
  readonly newTokens: number;
}

/** The numbers. */
export interface FamilyNumbers {
  readonly logits: readonly number[][];
  readonly logProbs: readonly number[][];
  readonly packedLogProbs: readonly number[][];
  /** The negative log-likelihood of all tokens that count. */
  readonly loss: number;
  /** Its gradient with respect to each tensor: the norm, and the first four entries as the file has them. */
  readonly gradients: Readonly<Record<string, { norm: number; first: number[] }>>;
  /** Greedy tokens after each prompt: with keys and values kept, and but on GPUs, where that compiles as much again, without. */
  readonly written: readonly number[][][];
}

/** The model's numbers on the device. */
export async function familyNumbers(
  { name, options }: Pick<TestedDevice, "name" | "options">,
  dtype: FloatDType,
  input: FamilyInput,
): Promise<FamilyNumbers> {
  await setDevice(name, options);
  const files = Object.entries(input.files).map(([file, text]) => {
    return [file, Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))] as const;
  });
  const { model, parameters } = await loadModel(Object.fromEntries(files), { dtype });
  const ids = tensor(input.ids, { dtype: "int32" });
  const mask = tensor(
    input.ids.map((row, i) => row.map((_, t) => Number(t < input.lengths[i]!))),
    { dtype },
  );

  const logits = model.apply(parameters, ids);
  const batch = await packBatch(ids, mask);
  const packed = packedTokenLogProbs(
    model.packedHidden(parameters, batch),
    model.headWeight(parameters),
    batch,
    { logitSoftCap: model.config.logitSoftCap },
  );
  const loss = sequenceLogProbs(logits, ids, mask).sum().neg();
  const named = treeNamed(parameters);
  const wanted = input.parameters.map(({ path }) => named[path]!);
  const slopes = gradients(loss, wanted).map((slope, i) => {
    const { transposed } = input.parameters[i]!;
    return transposed ? slope.transpose() : slope;
  });
  const perToken = tokenLogProbs(logits, ids);
  await realize(logits, perToken, packed, loss, slopes);

  const { cached: _, ...recomputing } = model;
  const written: number[][][] = [];
  for (const writer of name === "wasm" ? [model, recomputing] : [model]) {
    const options = { maxNewTokens: input.newTokens };
    written.push(await generate(writer, parameters, input.prompts, options));
  }
  const table = (await logits.array()) as number[][][];
  return {
    logits: input.logits.map(([row, position]) => table[row]![position]!),
    logProbs: (await perToken.array()) as number[][],
    packedLogProbs: (await packed.array()) as number[][],
    loss: await loss.item(),
    gradients: Object.fromEntries(
      await Promise.all(
        slopes.map(async (slope, i) => {
          const values = Array.from(await slope.data());
          const norm = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
          return [input.parameters[i]!.name, { norm, first: values.slice(0, 4) }] as const;
        }),
      ),
    ),
    written,
  };
}
