/**
 * `prefgrad merge`: the model it writes, and options in a file.
 */

import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  initLora,
  loadModel,
  mergeLora,
  saveAdapter,
  treeMap,
  treeNamed,
} from "../../src/index.js";
import { TINY, tinyFiles, writeFiles } from "../models/tinyCheckpoint.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";
import { bundled, started } from "./run.js";

let folder: string;
let main: string;
let model: string;
let adapter: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-merge-"));
  main = await bundled(folder);
  [model, adapter] = [join(folder, "model"), join(folder, "adapter")];
  const files = await tinyFiles({ ...TINY.qwen3, vocab_size: 257 });
  await writeFiles(model, { ...files, ...tokenizerFiles(byteLevel()) });
  const lm = await loadModel(model);
  const own = initLora(lm, { rank: 2, alpha: 4, targets: "all-linear", seed: 3 });
  await saveAdapter(adapter, lm, {
    ...own,
    parameters: treeMap((t) => t.add(0.1), own.parameters),
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("writes the weights with the adapter's corrections, and the tokenizer", async () => {
  const output = join(folder, "merged");
  const config = join(folder, "merge.yaml");
  await writeFile(
    config,
    `model: ${model}\nadapter: nowhere\noutput_dir: ${output}\nbf16: false\n`,
  );
  // The flag wins over the file.
  const ran = await started(main, ["merge", "--config", config, "--adapter", adapter]);
  expect(ran).toMatchObject({
    code: 0,
    output: `${output}\n`,
    errors: `${config}: without meaning here: bf16\n`,
  });
  const [lm, merged] = [await loadModel(model), await loadModel(output)];
  const { loadAdapter } = await import("../../src/index.js");
  const right = Object.entries(treeNamed(mergeLora(lm, await loadAdapter(adapter, lm))));
  const found = treeNamed(merged.parameters);
  expect(Object.keys(found)).toEqual(right.map(([path]) => path));
  for (const [path, tensor] of right)
    expect(await found[path]!.data()).toEqual(await tensor.data());
  expect(merged.tokenizer!.encode("ab")).toEqual(lm.tokenizer!.encode("ab"));
});

it("writes a smaller type, and nothing where the adapter is none", async () => {
  const output = join(folder, "small");
  const args = ["merge", "--model", model, "--output", output];
  const refused = await started(main, [...args, "--adapter", model]);
  expect(refused).toMatchObject({ code: 2, output: "" });
  expect(refused.errors).toMatch(/^loadAdapter: there is no adapter_config\.json in .*\n$/);
  expect(existsSync(output)).toBe(false);
  const ran = await started(main, [...args, "--adapter", adapter, "--save-dtype", "bfloat16"]);
  expect([ran.errors, ran.code]).toEqual(["", 0]);
  expect((await loadModel(output)).configJson).toMatchObject({ dtype: "bfloat16" });
});

it("prints what would hold, as a file of options", async () => {
  const { output } = await started(main, [
    "merge",
    "--adapter",
    "a",
    "--model=m",
    "--output_dir",
    "o",
    "--print-config",
  ]);
  expect(output).toBe("model: m\nadapter: a\noutput: o\nsave_dtype: float32\n");
});
