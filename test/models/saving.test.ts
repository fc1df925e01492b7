/**
 * Adapters and models in files: PEFT's and transformers' forms, there and back, what is refused, and what a failure
 * leaves. The golden adapter is TRL's own; it is read where `../shared/golden/models` is there.
 */

import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type DirectoryHandle,
  decodeSafetensors,
  encodeSafetensors,
  initLora,
  type LoadedModel,
  type LoraAdapter,
  loadAdapter,
  loadModel,
  mergeLora,
  saveAdapter,
  saveModel,
  sequenceLogProbs,
  setDevice,
  type Tensor,
  tensor,
  treeLeaves,
  treeMap,
  treeNamed,
  withLora,
} from "../../src/index.js";
import { TINY, tinyFiles, tinyTensors } from "./tinyCheckpoint.js";
import { FAMILIES } from "./tinyFamilies.js";

const GOLDEN = new URL("../../../shared/golden/models/", import.meta.url).pathname;

let folder: string;
let made = 0;
const fresh = () => join(folder, String(made++));
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-saving-"));
  await setDevice("wasm");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const tiny = async (name: string) => loadModel(await tinyFiles(FAMILIES[name]!));
const bits = async (tree: unknown) =>
  Promise.all(Object.entries(treeNamed(tree)).map(async ([name, t]) => [name, await t.data()]));
const jsonIn = async (directory: string, name: string) =>
  JSON.parse(await readFile(join(directory, name), "utf8"));

/** An adapter whose B is not 0. */
function adapterOf(lm: LoadedModel, targets: readonly string[] | "all-linear"): LoraAdapter {
  const own = initLora(lm, { rank: 2, alpha: 4, targets, seed: 3 });
  return { ...own, parameters: treeMap((t) => t.add(0.01), own.parameters) };
}

describe.skipIf(!existsSync(GOLDEN))("TRL's adapter", () => {
  const RUN = `${GOLDEN}trainer/dpo-lora-sigmoid/`;
  interface Row {
    readonly ids: number[];
    readonly prompt_len: number;
    readonly sum: number;
  }

  it("loaded gives TRL's log-probabilities, beside the weights and merged into them", async () => {
    const lm = await loadModel(`${GOLDEN}gsm-llama`);
    const adapter = await loadAdapter(`${RUN}adapter`, lm);
    expect(adapter.config).toMatchObject({ rank: 8, alpha: 16, dropout: 0, rankStabilized: false });
    const rows = JSON.parse(readFileSync(`${RUN}golden.json`, "utf8"))
      .eval_rows_final_logprobs as Row[];
    for (const parameters of [withLora(lm, adapter), mergeLora(lm, adapter)]) {
      for (const { ids: row, prompt_len, sum } of rows) {
        const ids = tensor([row], { dtype: "int32" });
        const mask = tensor([row.map((_, t) => Number(t >= prompt_len))]);
        const own = await sequenceLogProbs(lm.model.apply(parameters, ids), ids, mask).item();
        expect(Math.abs(own - sum)).toBeLessThan(1e-3);
      }
    }
  });

  it.each(["adapter/adapter_model", "initial_adapter"])(
    "saved again is the same, bit by bit (%s)",
    async (name) => {
      const lm = await loadModel(`${GOLDEN}gsm-llama`);
      const given = readFileSync(`${RUN}${name}.safetensors`);
      const adapter = await loadAdapter(
        {
          "adapter_config.json": `${RUN}adapter/adapter_config.json`,
          "adapter_model.safetensors": given,
        },
        lm,
      );
      const directory = fresh();
      await saveAdapter(directory, lm, adapter);
      const [was, is] = await Promise.all(
        [given, await readFile(join(directory, "adapter_model.safetensors"))].map(
          decodeSafetensors,
        ),
      );
      expect(Object.keys(is!.tensors).sort()).toEqual(Object.keys(was!.tensors).sort());
      for (const [key, t] of Object.entries(was!.tensors)) {
        expect(is!.tensors[key]!.shape).toEqual(t.shape);
        expect(await is!.tensors[key]!.data()).toEqual(await t.data());
      }
    },
  );
});

describe("saveAdapter", () => {
  it.each(Object.keys(FAMILIES))(
    "and loadAdapter give back an adapter of %s, bit by bit",
    async (name) => {
      const lm = await tiny(name);
      const adapter = adapterOf(lm, "all-linear");
      const directory = fresh();
      await saveAdapter(directory, lm, adapter);
      const again = await loadAdapter(directory, lm);
      expect(again.config).toEqual(adapter.config);
      expect(await bits(again.parameters)).toEqual(await bits(adapter.parameters));
    },
  );

  it("writes PEFT's names, orientation and settings, and nothing besides", async () => {
    const lm = await tiny("gpt2");
    const adapter = adapterOf(lm, ["c_proj"]);
    const directory = fresh();
    await saveAdapter(directory, lm, adapter, { baseModel: "openai-community/gpt2" });
    expect((await readdir(directory)).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
    ]);
    const { tensors, metadata } = await decodeSafetensors(
      await readFile(join(directory, "adapter_model.safetensors")),
    );
    expect(metadata).toEqual({ format: "pt" });
    const module = "transformer.h.1.mlp.c_proj";
    const { A, B } = adapter.parameters[module]!;
    const stored = (key: string) => tensors[`base_model.model.${module}.lora_${key}.weight`]!;
    expect(await stored("A").array()).toEqual(await A.transpose().array());
    expect(await stored("B").array()).toEqual(await B.transpose().array());
    expect(Object.keys(tensors)).toHaveLength(8);
    expect(await jsonIn(directory, "adapter_config.json")).toMatchObject({
      peft_type: "LORA",
      task_type: "CAUSAL_LM",
      base_model_name_or_path: "openai-community/gpt2",
      r: 2,
      lora_alpha: 4,
      target_modules: ["c_proj"],
      fan_in_fan_out: true,
      use_rslora: false,
    });
    const llama = await tiny("llama");
    await saveAdapter(directory, llama, adapterOf(llama, "all-linear"));
    expect(await jsonIn(directory, "adapter_config.json")).toMatchObject({
      base_model_name_or_path: null,
      target_modules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
      fan_in_fan_out: false,
    });
    await expect(saveAdapter(fresh(), llama, adapter)).rejects.toThrow(
      /no linear layer transformer/,
    );
  });

  it("refuses what loadAdapter would not load", async () => {
    const lm = await tiny("llama");
    const adapter = adapterOf(lm, ["q_proj"]);
    const save = (own: object) => saveAdapter(fresh(), lm, { ...adapter, ...own });
    await expect(save({ parameters: {} })).rejects.toThrow(
      /^saveAdapter: the adapter lacks model\.layers\.0\.self_attn\.q_proj, which config\.targets name/,
    );
    const more = adapterOf(lm, ["q_proj", "v_proj"]);
    await expect(save({ parameters: more.parameters })).rejects.toThrow(
      /^saveAdapter: config\.targets name no model\.layers\.0\.self_attn\.v_proj/,
    );
    await expect(save({ config: { ...adapter.config, targets: [] } })).rejects.toThrow(
      /^saveAdapter: config\.targets must be a list of at least one name/,
    );
  });

  it("names the directory that the base was loaded from", async () => {
    const base = fresh();
    await saveModel(base, await tiny("qwen2"));
    const lm = await loadModel(base);
    const directory = fresh();
    await saveAdapter(directory, lm, adapterOf(lm, ["q_proj"]));
    expect((await jsonIn(directory, "adapter_config.json")).base_model_name_or_path).toBe(base);
  });
});

describe("loadAdapter", () => {
  const config = { peft_type: "LORA", r: 2, lora_alpha: 4, target_modules: ["q_proj"] };
  const name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
  let lm: LoadedModel;
  let tensors: Record<string, Tensor>;
  beforeAll(async () => {
    lm = await tiny("llama");
    const directory = fresh();
    await saveAdapter(directory, lm, adapterOf(lm, ["q_proj"]));
    const file = await readFile(join(directory, "adapter_model.safetensors"));
    tensors = { ...(await decodeSafetensors(file)).tensors };
  });
  const load = async (own: object, change: Record<string, Tensor | undefined> = {}) => {
    const kept = Object.entries({ ...tensors, ...change }).filter(([, t]) => t);
    return loadAdapter(
      {
        "adapter_config.json": bytes({ ...config, ...own }),
        "adapter_model.safetensors": await encodeSafetensors(
          Object.fromEntries(kept) as Record<string, Tensor>,
        ),
      },
      lm,
    );
  };

  it("reads what PEFT needs, and what it writes without meaning", async () => {
    const empty = { rank_pattern: {}, alpha_pattern: {}, loftq_config: {}, modules_to_save: null };
    const noise = { peft_version: "0.21.0", megatron_core: "megatron.core", qalora_group_size: 16 };
    const own = await load({ ...empty, ...noise, init_lora_weights: "gaussian", use_dora: false });
    expect(own.config).toEqual({
      rank: 2,
      alpha: 4,
      targets: ["q_proj"],
      dropout: 0,
      rankStabilized: false,
    });
    expect((await load({ use_rslora: true, lora_dropout: 0.1 })).config).toMatchObject({
      dropout: 0.1,
      rankStabilized: true,
    });
  });

  it.each<[object, RegExp]>([
    [{ peft_type: "IA3" }, /"peft_type" must be one of LORA, got "IA3"/],
    [{ peft_type: undefined }, /"peft_type" is missing/],
    [{ use_dora: true }, /"use_dora": true is not supported/],
    [{ bias: "all" }, /"bias" must be one of none, got "all"/],
    [{ lora_bias: true }, /"lora_bias": true/],
    [{ modules_to_save: ["lm_head"] }, /"modules_to_save": \["lm_head"\]/],
    [{ rank_pattern: { q_proj: 4 } }, /"rank_pattern": \{"q_proj":4\}/],
    [{ alpha_pattern: { q_proj: 4 } }, /"alpha_pattern"/],
    [{ layers_to_transform: [1] }, /"layers_to_transform"/],
    [{ exclude_modules: ["v_proj"] }, /"exclude_modules"/],
    [
      { init_lora_weights: "pissa" },
      /"init_lora_weights" must be one of gaussian, orthogonal, got "pissa"/,
    ],
    [{ target_modules: ".*q_proj" }, /"target_modules" must be a list of names or "all-linear"/],
    [{ target_modules: ["c_attn"] }, /no linear layer "c_attn".*It has q_proj/],
    [{ target_modules: ["embed_tokens"] }, /no linear layer "embed_tokens"/],
    [{ r: 0 }, /"r" must be a positive integer/],
    [{ lora_alpha: "16" }, /"lora_alpha" must be a number/],
    [{ lora_dropout: 2 }, /lora_dropout must be a number in \[0, 1\)/],
    [{ r: 3 }, /lora_A\.weight has shape \[2,16\]; adapter_config\.json asks for \[3,16\]/],
    [
      { target_modules: ["q_proj", "v_proj"] },
      /lacks base_model\.model\.model\.layers\.0\.self_attn\.v_proj\.lora_A/,
    ],
    [
      { target_modules: ["0.self_attn.q_proj"] },
      /holds base_model\.model\.model\.layers\.1\.self_attn\.q_proj\.lora_A/,
    ],
  ])("refuses %j by name", async (own, why) => {
    await expect(load(own)).rejects.toThrow(why);
  });

  it.each<[string, Record<string, Tensor | undefined>, RegExp]>([
    ["lacks one", { [name]: undefined }, /the adapter lacks .*layers\.0.*lora_A\.weight;/],
    [
      "has one left over",
      { "x.lora_magnitude_vector": tensor([1]) },
      /holds x\.lora_magnitude_vector/,
    ],
    [
      "has another shape",
      { [name]: tensor(new Float32Array(32), { shape: [16, 2] }) },
      /has shape \[16,2\]/,
    ],
    [
      "has integers",
      { [name]: tensor(new Int32Array(32), { shape: [2, 16] }) },
      /is I32; weights are/,
    ],
  ])("refuses a file whose list of tensors %s", async (_, change, why) => {
    await expect(load({}, change)).rejects.toThrow(why);
  });

  it("refuses what is not there, not JSON, cut short, or a pickle", async () => {
    const json = bytes(config);
    await expect(loadAdapter({}, lm)).rejects.toThrow(/no adapter_config\.json/);
    await expect(loadAdapter({ "adapter_config.json": json }, lm)).rejects.toThrow(
      /no adapter_model/,
    );
    await expect(
      loadAdapter({ "adapter_config.json": json, "adapter_model.bin": json }, lm),
    ).rejects.toThrow(/may hold code/);
    await expect(loadAdapter({ "adapter_config.json": bytes(3) }, lm)).rejects.toThrow(
      /no JSON object/,
    );
    await expect(
      loadAdapter({ "adapter_config.json": json, "adapter_model.safetensors": json }, lm),
    ).rejects.toThrow(/safetensors: the header claims/);
  });
});

describe("saveModel", () => {
  it.each(Object.keys(FAMILIES))(
    "and loadModel give back a model of %s, bit by bit",
    async (name) => {
      const lm = await tiny(name);
      const directory = fresh();
      await saveModel(directory, lm, { maxShardSize: 3000 });
      const again = await loadModel(directory);
      expect(again.model.config).toEqual(lm.model.config);
      expect(await bits(again.parameters)).toEqual(await bits(lm.parameters));
      const index = await jsonIn(directory, "model.safetensors.index.json");
      const wanted = tinyTensors(FAMILIES[name]!);
      expect(Object.keys(index.weight_map).sort()).toEqual(Object.keys(wanted).sort());
      const size = Object.values(wanted).reduce((sum, t) => sum + t.size, 0);
      expect(index.metadata).toEqual({ total_parameters: size, total_size: 4 * size });
      for (const file of new Set<string>(Object.values(index.weight_map))) {
        const { tensors } = await decodeSafetensors(await readFile(join(directory, file)));
        const held = Object.values(tensors).reduce((sum, t) => sum + 4 * t.size, 0);
        expect(held <= 3000 || Object.keys(tensors).length === 1).toBe(true);
        for (const [key, t] of Object.entries(tensors)) {
          expect(t.shape).toEqual(wanted[key]!.shape);
          expect(await t.data()).toEqual(await wanted[key]!.data());
        }
      }
    },
  );

  it("copies what it does not make, byte by byte, and writes the dtype into the config", async () => {
    const others = {
      "tokenizer.json": new Uint8Array([123, 32, 125, 10, 255]),
      "chat_template.jinja": bytes("{{ messages }}"),
      "generation_config.json": bytes({ eos_token_id: [1, 2] }),
    };
    const given = { ...(await tinyFiles(TINY.qwen3)), ...others, "README.md": bytes("not copied") };
    const directory = fresh();
    await saveModel(directory, await loadModel(given, { tokenizer: false }), { dtype: "float16" });
    expect((await readdir(directory)).sort()).toEqual(
      [...Object.keys(others), "config.json", "model.safetensors"].sort(),
    );
    for (const [name, wanted] of Object.entries(others)) {
      expect(new Uint8Array(await readFile(join(directory, name)))).toEqual(wanted);
    }
    expect(await jsonIn(directory, "config.json")).toEqual({ ...TINY.qwen3, dtype: "float16" });
    const llama = fresh();
    await saveModel(llama, await tiny("llama"), { dtype: "bfloat16" });
    expect(await jsonIn(llama, "config.json")).toEqual({
      ...FAMILIES.llama,
      torch_dtype: "bfloat16",
    });
  });

  it.each(["float16", "bfloat16"] as const)(
    "in %s and loaded again is what it was rounded to",
    async (dtype) => {
      const lm = await tiny("llama");
      const [first, second] = [fresh(), fresh()];
      await saveModel(first, lm, { dtype });
      const rounded = await loadModel(first);
      const [was, is] = [treeLeaves(lm.parameters), treeLeaves(rounded.parameters)];
      const share = { float16: 2 ** -11, bfloat16: 2 ** -8 }[dtype];
      let moved = 0;
      for (const [i, t] of was.entries()) {
        const [a, b] = [await t.data(), await is[i]!.data()];
        for (const [j, x] of a.entries()) {
          // Half a unit in the last place of normal numbers, and of float16's subnormal ones.
          expect(Math.abs(b[j]! - x)).toBeLessThanOrEqual(Math.max(share * Math.abs(x), 2 ** -25));
          moved += Number(b[j] !== x);
        }
      }
      expect(moved).toBeGreaterThan(100);
      await saveModel(second, rounded, { dtype });
      expect(await readFile(join(second, "model.safetensors"))).toEqual(
        await readFile(join(first, "model.safetensors")),
      );
    },
  );

  it("saves merged parameters without keeping a copy of each", async () => {
    const lm = await tiny("phi3");
    const merged = mergeLora(lm, adapterOf(lm, "all-linear"));
    const directory = fresh();
    await saveModel(directory, { ...lm, parameters: merged });
    const { weight } = merged.blocks[0]!.attention.qkv!;
    expect(weight.buffer ?? weight.host).toBeNull();
    const again = await loadModel(directory);
    expect(await again.parameters.blocks[0]!.attention.qkv!.weight.data()).toEqual(
      await weight.data(),
    );
  });

  it("replaces shards by one file and one file by shards, and leaves none that is of no use", async () => {
    const directory = fresh();
    const [a, b] = [await tiny("llama"), await tiny("llama")];
    const other = { ...b, parameters: treeMap((t) => t.mul(2), b.parameters) };
    const files = async () =>
      (await readdir(directory)).filter((name) => name.includes("safetensors")).sort();
    const isOther = async () => {
      const found = await loadModel(directory);
      expect(await bits(found.parameters)).toEqual(await bits(other.parameters));
    };
    await saveModel(directory, a);
    await saveModel(directory, other, { maxShardSize: 10_000 });
    const sharded = await files();
    expect(sharded.at(-1)).toBe("model.safetensors.index.json");
    expect(sharded[0]).toMatch(/^model-00001-of-0000\d\.safetensors$/);
    await isOther();
    await saveModel(directory, a, { maxShardSize: 10_000 });
    expect(await files()).toHaveLength(sharded.length);
    await saveModel(directory, other, { maxShardSize: 10_000 });
    expect(await files()).toEqual(sharded);
    await isOther();
    await saveModel(directory, other);
    expect(await files()).toEqual(["model.safetensors"]);
    await isOther();
  });

  it.each([1e9, 4000])(
    "that fails between files leaves the old model (maxShardSize %d)",
    async (maxShardSize) => {
      const directory = fresh();
      const lm = await tiny("llama");
      await saveModel(directory, lm, { maxShardSize });
      const before = await readdir(directory);
      const doubled = treeMap((t) => t.mul(2), lm.parameters);
      const { finalNorm } = doubled;
      const broken = { ...finalNorm, weight: tensor(new Float32Array(16).fill(1e30)) };
      const failing = saveModel(
        directory,
        { ...lm, parameters: { ...doubled, finalNorm: broken } },
        { maxShardSize, dtype: "float16" },
      );
      await expect(failing).rejects.toThrow(
        /model\.norm\.weight holds 1\.0\d*e\+30, which is beyond the largest number of F16/,
      );
      expect(await readdir(directory)).toEqual(before);
      const again = await loadModel(directory);
      expect(await bits(again.parameters)).toEqual(await bits(lm.parameters));
    },
  );

  it.each([1e9, 4000])(
    "that fails while files take their places leaves a whole model (maxShardSize %d)",
    async (maxShardSize) => {
      const lm = await tiny("llama");
      const doubled = { ...lm, parameters: treeMap((t) => t.mul(2), lm.parameters) };
      const directory = fresh();
      await saveModel(directory, lm, { maxShardSize });
      // A directory that is not empty is in the way of the last file to be renamed.
      const last = maxShardSize > 1e6 ? "model.safetensors" : "model.safetensors.index.json";
      const old = await readFile(join(directory, last));
      await rm(join(directory, last));
      await mkdir(join(directory, last, "in the way"), { recursive: true });
      await expect(saveModel(directory, doubled, { maxShardSize })).rejects.toThrow();
      await rm(join(directory, last), { recursive: true });
      await writeFile(join(directory, last), old);
      expect((await readdir(directory)).filter((name) => name.includes(".tmp-"))).toEqual([]);
      expect(await bits((await loadModel(directory)).parameters)).toEqual(
        await bits(lm.parameters),
      );
    },
  );

  it("leaves no file of a tokenizer that the model does not have", async () => {
    const directory = fresh();
    const tokenizer = { "tokenizer.json": bytes({}), "chat_template.jinja": bytes("") };
    const given = { ...(await tinyFiles(TINY.qwen3)), ...tokenizer };
    await saveModel(directory, await loadModel(given, { tokenizer: false }));
    await saveModel(directory, await tiny("llama"));
    expect((await readdir(directory)).sort()).toEqual(["config.json", "model.safetensors"]);
  });

  it("refuses a directory with an adapter, which transformers would apply", async () => {
    const [directory, lm] = [fresh(), await tiny("llama")];
    await saveAdapter(directory, lm, adapterOf(lm, ["q_proj"]));
    const before = await readdir(directory);
    await expect(saveModel(directory, lm)).rejects.toThrow(
      /^saveModel: .* holds adapter_config\.json, and transformers would .*; save the model in another directory/,
    );
    expect(await readdir(directory)).toEqual(before);
  });

  it("refuses parameters that the model does not have: a tied model's head", async () => {
    const lm = await tiny("llama");
    const head = { weight: lm.parameters.tokenEmbedding.weight };
    await expect(
      saveModel(fresh(), { ...lm, parameters: { ...lm.parameters, head } }),
    ).rejects.toThrow(/^saveModel: the model has no parameters\.head\.weight/);
  });

  it("refuses parameters that are adapted, another model's, or whose files are gone", async () => {
    const lm = await tiny("llama");
    const save = (own: LoadedModel, options: object = {}) => saveModel(fresh(), own, options);
    const adapted = withLora(lm, adapterOf(lm, ["q_proj"]));
    await expect(save({ ...lm, parameters: adapted })).rejects.toThrow(
      /hold an adapter at blocks\.0\.attention\.query\.lora\.A; saveAdapter .* mergeLora/,
    );
    const { parameters } = await tiny("qwen3");
    await expect(save({ ...lm, parameters })).rejects.toThrow(
      /parameters\.blocks\.0\.attention\.query\.weight is of shape/,
    );
    await expect(save({ ...lm, parameters: { ...lm.parameters, blocks: [] } })).rejects.toThrow(
      /parameters\.blocks\.0\.norm1\.weight is missing; the model has \[16\]/,
    );
    await expect(save(lm, { dtype: "int8" })).rejects.toThrow(/dtype must be one of "float64"/);
    await expect(save(lm, { maxShardSize: 0 })).rejects.toThrow(/maxShardSize must be/);
    const directory = fresh();
    await saveModel(directory, lm);
    const loaded = await loadModel(directory);
    await rm(directory, { recursive: true });
    await expect(save(loaded)).rejects.toThrow(/files in .* are gone/);
  });
});

describe("a browser's directory", () => {
  /** As the File System standard has it: a file's new contents are there when its stream is closed. */
  function directoryOf(files: Map<string, Uint8Array>): DirectoryHandle {
    return {
      async getFileHandle(name, { create = false } = {}) {
        if (!files.has(name) && !create) throw new DOMException("none", "NotFoundError");
        if (!files.has(name)) files.set(name, new Uint8Array());
        return {
          getFile: async () => new Blob([files.get(name)! as Uint8Array<ArrayBuffer>]),
          async createWritable() {
            const pieces: number[] = [];
            return {
              write: async (piece) => void pieces.push(...piece),
              close: async () => void files.set(name, Uint8Array.from(pieces)),
              abort: async () => {},
            };
          },
        };
      },
      async removeEntry(name) {
        if (!files.delete(name)) throw new DOMException("none", "NotFoundError");
      },
    };
  }

  it("takes models and adapters, and loses the shards that are replaced", async () => {
    const files = new Map<string, Uint8Array>();
    const lm = await tiny("llama");
    const adapter = adapterOf(lm, ["q_proj"]);
    await saveModel(directoryOf(files), lm, { maxShardSize: 4000 });
    expect(files.has("model.safetensors.index.json")).toBe(true);
    await saveModel(directoryOf(files), lm);
    expect([...files.keys()].sort()).toEqual(["config.json", "model.safetensors"]);
    await saveAdapter(directoryOf(files), lm, adapter);
    const given = Object.fromEntries(files);
    const again = await loadModel(given);
    expect(await bits(again.parameters)).toEqual(await bits(lm.parameters));
    const { parameters } = await loadAdapter(given, lm);
    expect(await bits(parameters)).toEqual(await bits(adapter.parameters));
  });
});
