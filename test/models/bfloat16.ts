/**
 * Models whose matrices stay bfloat16: the numbers of the widened weights, in half the memory.
 * @module
 */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type DeviceName,
  type DeviceOptions,
  deviceStatistics,
  generate,
  initLora,
  loadModel,
  saveModel,
  setDevice,
  storeAs,
  tensor,
  tokenLogProbs,
  treeLeaves,
  treeNamed,
  valueAndGrad,
  withLora,
} from "../../src/index.js";
import { TINY, tinyFiles } from "./tinyCheckpoint.js";

const IDS = [[1, 5, 9, 2, 33, 7, 7, 20, 3, 14]];

/** Defines the tests of a device, on these models. */
export function describeBFloat16Models(
  device: DeviceName,
  options: DeviceOptions,
  models: readonly (keyof typeof TINY)[],
): void {
  let directory: string;
  beforeAll(async () => {
    await setDevice("wasm");
    directory = await mkdtemp(join(tmpdir(), "prefgrad-bfloat16-"));
    for (const name of models) {
      const lm = await loadModel(await tinyFiles(TINY[name]));
      await saveModel(join(directory, name), lm, { dtype: "bfloat16" });
    }
    await setDevice(device, options);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  describe.each(models)(`a %s of bfloat16 weights on ${device}`, (name) => {
    const load = (dtype: "float32" | "bfloat16") => loadModel(join(directory, name), { dtype });

    it("keeps matrices as they are in the file, and vectors as float32", async () => {
      const before = (await deviceStatistics()).bytes;
      const { parameters } = await load("bfloat16");
      const leaves = treeLeaves(parameters);
      for (const t of leaves) expect(t.storage).toBe(t.rank < 2 ? "float32" : "bfloat16");
      const bytes = leaves.reduce((sum, t) => sum + t.size * (t.rank < 2 ? 4 : 2), 0);
      expect((await deviceStatistics()).bytes - before).toBe(bytes);
      const wide = treeNamed((await load("float32")).parameters);
      for (const [path, t] of Object.entries(treeNamed(parameters))) {
        expect(await t.data()).toEqual(await wide[path]!.data());
      }
    });

    it("has the widened weights' logits and continuations, bit for bit", async () => {
      const [narrow, wide] = [await load("bfloat16"), await load("float32")];
      const ids = tensor(IDS, { dtype: "int32" });
      const logits = (lm: typeof wide) => lm.model.apply(lm.parameters, ids).data();
      expect(await logits(narrow)).toEqual(await logits(wide));
      const written = (lm: typeof wide) =>
        generate(lm.model, lm.parameters, IDS, { maxNewTokens: 8 });
      expect(await written(narrow)).toEqual(await written(wide));
    });

    it("gives an adapter the widened weights' gradients, bit for bit", async () => {
      const ids = tensor(IDS, { dtype: "int32" });
      const gradients = async (lm: Awaited<ReturnType<typeof load>>) => {
        const adapter = initLora(lm, { rank: 2, alpha: 4, targets: "all-linear", seed: 3 });
        const [, found] = valueAndGrad((parameters: typeof adapter.parameters) => {
          const adapted = withLora(lm, { ...adapter, parameters });
          return tokenLogProbs(lm.model.apply(adapted, ids), ids).sum();
        })(adapter.parameters);
        return Promise.all(treeLeaves(found).map((t) => t.data()));
      };
      expect(await gradients(await load("bfloat16"))).toEqual(
        await gradients(await load("float32")),
      );
    });

    it("is saved with the bits it was loaded with", async () => {
      const again = join(directory, `${name}-again`);
      await saveModel(again, await load("bfloat16"), { dtype: "bfloat16" });
      const [first, second] = await Promise.all(
        [name, `${name}-again`].map((one) => readFile(join(directory, one, "model.safetensors"))),
      );
      expect(second!.equals(first!)).toBe(true);
    });

    it("is the same from a Buffer, which is a view of more", async () => {
      const [config, weights] = await Promise.all(
        ["config.json", "model.safetensors"].map((file) => readFile(join(directory, name, file))),
      );
      // A Buffer of a larger one, at an odd place.
      const pooled = Buffer.concat([Buffer.from("abc"), weights!]).subarray(3);
      const files = { "config.json": config!, "model.safetensors": pooled };
      const narrow = treeNamed((await loadModel(files, { dtype: "bfloat16" })).parameters);
      const expected = treeNamed((await load("bfloat16")).parameters);
      for (const [path, t] of Object.entries(expected))
        expect(await narrow[path]!.data()).toEqual(await t.data());
    });

    it("rounds weights of other files as storeAs does", async () => {
      const files = await tinyFiles(TINY[name]);
      const narrow = treeNamed((await loadModel(files, { dtype: "bfloat16" })).parameters);
      const wide = await storeAs("bfloat16", treeNamed((await loadModel(files)).parameters));
      for (const [path, t] of Object.entries(narrow)) {
        if (t.rank > 1) expect(await t.data()).toEqual(await wide[path]!.data());
      }
    });
  });
}
