/**
 * Twelve families against transformers: logits, log-probabilities, gradients and greedy tokens of the small
 * random models of `../shared/golden/models`, which are read where they are there.
 * @module
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import type { DType } from "../../src/index.js";
import { readConfig } from "../../src/models/families/index.js";
import type { RunSuite } from "../conformance/describeDevice.js";
import type { TestedDevice } from "../conformance/devices.js";
import type { FamilyInput, FamilyNumbers } from "./familyNumbers.js";

const GOLDEN = new URL("../../../shared/golden/models/tiny/", import.meta.url).pathname;

interface Golden {
  readonly input_ids: number[][];
  readonly lengths: number[];
  readonly logits: { row: number; pos: number; f64: number[] }[];
  readonly logprobs_f64: number[][];
  readonly sum_loss_f64: number;
  readonly grads: Record<string, { norm_f64: number; first4_f64: number[] }>;
  readonly generate_greedy: { prompt_ids: number[]; new_ids: number[] }[];
}

function golden(name: string): Golden {
  const own = JSON.parse(readFileSync(`${GOLDEN}${name}/golden.json`, "utf8"));
  return own.same_as
    ? golden(
        String(own.same_as)
          .replace(/^\.\.\//, "")
          .replace(/\/.*$/, ""),
      )
    : own;
}

/** Names of the small models; none where they are not. */
export const FAMILY_MODELS: readonly string[] = existsSync(GOLDEN) ? readdirSync(GOLDEN) : [];

/** The family that a small model is of. */
export const modelTypeOf = (name: string): string =>
  JSON.parse(readFileSync(`${GOLDEN}${name}/config.json`, "utf8")).model_type;

/** One of each kind of norm, with learnt positions, sandwiched windows and caps, and norms after. */
export const A_FEW_MODELS: readonly string[] = FAMILY_MODELS.filter((name) =>
  ["gpt2", "gemma2", "olmo2"].includes(name),
);

/** What a device may differ by. Gradients are relative to the tensor's norm. */
export interface FamilyTolerances {
  readonly logits: number;
  readonly logProbs: number;
  readonly gradients: number;
}

/** float32 on a GPU, whose products are summed in another order. */
export const ON_GPUS: FamilyTolerances = { logits: 1e-4, logProbs: 1e-4, gradients: 1e-4 };

/** The model's files as base64, and where the numbers to be compared are. */
function inputOf(name: string, { input_ids: ids, lengths, ...rest }: Golden): FamilyInput {
  const files = readdirSync(GOLDEN + name).filter((file) => file !== "golden.json");
  const bytes = (file: string) => readFileSync(`${GOLDEN}${name}/${file}`).toString("base64");
  const { config, family } = readConfig(
    JSON.parse(readFileSync(`${GOLDEN}${name}/config.json`, "utf8")),
  );
  const places = new Map(family.tensors(config).map((t) => [t.name, t]));
  return {
    files: Object.fromEntries(files.map((file) => [file, bytes(file)])),
    ids,
    lengths,
    logits: rest.logits.map(({ row, pos }) => [row, pos]),
    parameters: Object.keys(rest.grads).map((key) => places.get(key)!),
    prompts: rest.generate_greedy.map((one) => one.prompt_ids),
    newTokens: rest.generate_greedy[0]!.new_ids.length,
  };
}

function furthest(own: readonly number[], wanted: readonly number[]): number {
  return wanted.reduce((most, value, i) => Math.max(most, Math.abs(own[i]! - value)), 0);
}

/** Defines the tests of the models' numbers on a device, which may be elsewhere. */
export function describeFamilies(
  device: Pick<TestedDevice, "name" | "options">,
  runSuite: RunSuite,
  { dtype, names, accept }: { dtype: DType; names: readonly string[]; accept: FamilyTolerances },
): void {
  if (names.length === 0) it.skip("models are not there: ../shared/golden/models/tiny", () => {});
  it.each(names)("%s has transformers' numbers", async (name) => {
    const expected = golden(name);
    const found = (await runSuite("family", [
      device,
      dtype,
      inputOf(name, expected),
    ])) as FamilyNumbers;
    for (const [i, { f64 }] of expected.logits.entries()) {
      expect(furthest(found.logits[i]!, f64)).toBeLessThan(accept.logits);
    }
    for (const [row, wanted] of expected.logprobs_f64.entries()) {
      expect(furthest(found.logProbs[row]!, wanted)).toBeLessThan(accept.logProbs);
      expect(furthest(found.packedLogProbs[row]!, wanted)).toBeLessThan(accept.logProbs);
    }
    expect(Math.abs(found.loss / expected.sum_loss_f64 - 1)).toBeLessThan(1e-6);
    for (const [key, { norm_f64: norm, first4_f64: first }] of Object.entries(expected.grads)) {
      const own = found.gradients[key]!;
      expect(Math.abs(own.norm / norm - 1), key).toBeLessThan(accept.gradients);
      expect(furthest(own.first, first), key).toBeLessThan(accept.gradients * norm);
    }
    for (const written of found.written) {
      expect(written).toEqual(expected.generate_greedy.map((one) => one.new_ids));
    }
  });
}
