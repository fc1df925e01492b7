/**
 * Model directories: what is read from them, and what is refused. The numbers of the small models are
 * transformers' (5.18, float32).
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Device, OutOfMemoryError } from "../../src/devices/device.js";
import { encodeHeader } from "../../src/files/header.js";
import {
  deviceStatistics,
  encodeSafetensors,
  generate,
  loadModel,
  ones,
  setDevice,
  type Tensor,
  tensor,
} from "../../src/index.js";
import type { ConfigJson } from "../../src/models/families/configReader.js";
import { readConfig } from "../../src/models/families/index.js";
import { TINY, tinyFiles, tinyTensors, writeFiles } from "./tinyCheckpoint.js";
import { FAMILIES } from "./tinyFamilies.js";
import { byteLevel, tokenizerFiles } from "./tinyTokenizer.js";

/** Logits of the first tokens after the last of IDS, and the tokens written after PROMPT. */
const TRANSFORMERS = {
  gpt2: {
    logits: [0.2379501760005951, 0.48917001485824585, 0.10729968547821045, 0.7718651294708252],
    greedy: [20, 20, 37, 23, 23, 23, 23, 23],
  },
  gemma2: {
    logits: [-0.17156974971294403, 0.8054808378219604, 0.3593650162220001, -0.019376032054424286],
    greedy: [18, 18, 18, 18, 18, 18, 18, 18],
  },
  qwen3: {
    logits: [-0.6248514652252197, -0.615594208240509, 0.3480965495109558, -1.1991089582443237],
    greedy: [8, 27, 16, 13, 33, 38, 36, 13],
  },
};
const IDS = [1, 5, 9, 2, 33, 7, 7, 20, 3, 14];
const PROMPT = [1, 5, 9, 2];

const names = Object.keys(TINY) as (keyof typeof TINY)[];
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "prefgrad-models-"));
  for (const name of names) await writeFiles(join(directory, name), await tinyFiles(TINY[name]));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
  await setDevice("wasm");
});

describe.each([
  ["wasm", "float32", 2e-6],
  ["wasm", "float64", 1e-6],
  ["interpreter", "float64", 1e-6],
] as const)("a directory loaded on %s in %s", (device, dtype, tolerance) => {
  beforeAll(() => setDevice(device));

  it.each(names)("%s has transformers' logits and greedy tokens", async (name) => {
    const { model, parameters } = await loadModel(join(directory, name), { dtype });
    const ids = tensor([IDS], { dtype: "int32" });
    const last = (await model.apply(parameters, ids).slice(0, -1, [0, 4]).data()) as Float32Array;
    for (const [i, z] of TRANSFORMERS[name].logits.entries()) {
      expect(Math.abs(last[i]! - z)).toBeLessThan(tolerance);
    }
    const options = { maxNewTokens: 8 };
    expect(await generate(model, parameters, [PROMPT], options)).toEqual([
      TRANSFORMERS[name].greedy,
    ]);
  });
});

describe("loadModel", () => {
  beforeAll(() => setDevice("wasm"));

  const config: ConfigJson = TINY.qwen3;
  const bits = async (t: Tensor) => Array.from(await t.data());
  const load = async (files: Record<string, Uint8Array>) => loadModel(files);
  /** The qwen3 model's files with some changed. */
  const changed = async (change: (tensors: Record<string, Tensor>) => void, own = config) => {
    const tensors = tinyTensors(config);
    change(tensors);
    return tinyFiles(own, tensors);
  };

  it("reads the files a page was given: Files, Blobs, bytes", async () => {
    const files = await tinyFiles(config);
    const dropped = Object.entries(files).map(
      ([name, bytes]) => new File([bytes as Uint8Array<ArrayBuffer>], name),
    );
    const [a, b] = [await loadModel(dropped), await loadModel(files)];
    expect(a.modelType).toBe("qwen3");
    expect(await bits(a.parameters.finalNorm.weight)).toEqual(
      await bits(b.parameters.finalNorm.weight),
    );
  });

  it("gives the tokenizer, null where there is none or none is wanted", async () => {
    const files = await tinyFiles(config);
    const own = { ...files, ...tokenizerFiles(byteLevel(), { eos_token: "a" }) };
    expect((await load(own)).tokenizer?.eosTokenId).toBe(0x61);
    expect((await load(files)).tokenizer).toBe(null);
    const refused = { ...files, ...tokenizerFiles(byteLevel({ model: { dropout: 0.5 } })) };
    await expect(load(refused)).rejects.toThrow(/dropout/);
    expect((await loadModel(refused, { tokenizer: false })).tokenizer).toBe(null);
    await expect(loadModel(files, { tokenizer: null as never })).rejects.toThrow(/true or false/);
  });

  it("gives what generation_config.json says, with transformers' defaults", async () => {
    const files = await tinyFiles({ ...config, eos_token_id: 7, bos_token_id: 5 });
    const defaults = {
      eosTokenIds: [7],
      bosTokenId: 5,
      padTokenId: undefined,
      doSample: false,
      temperature: 1,
      topK: 50,
      topP: 1,
      minP: undefined,
      repetitionPenalty: 1,
      maxNewTokens: undefined,
    };
    expect((await load(files)).generationConfig).toEqual(defaults);
    const read = async (generation: object) =>
      (await load({ ...files, "generation_config.json": json(generation) })).generationConfig;
    expect(
      await read({ eos_token_id: [3, 0], pad_token_id: 0, top_k: 0, temperature: 0.6 }),
    ).toEqual({
      ...defaults,
      eosTokenIds: [3, 0],
      padTokenId: 0,
      topK: undefined,
      temperature: 0.6,
    });
    expect(await read({ do_sample: true, min_p: 0.1, top_p: 0.9, max_new_tokens: 12 })).toEqual({
      ...defaults,
      doSample: true,
      minP: 0.1,
      topP: 0.9,
      maxNewTokens: 12,
    });
    await expect(read({ temperature: "hot" })).rejects.toThrow(/generation_config.*temperature/);
    for (const wrong of [
      { temperature: -1 },
      { top_k: 1.5 },
      { top_p: 0 },
      { min_p: 2 },
      { repetition_penalty: 0 },
      { max_new_tokens: 0 },
    ]) {
      const [key] = Object.keys(wrong);
      await expect(read(wrong)).rejects.toThrow(`generation_config.json: "${key}" must be`);
    }
    await expect(read({ eos_token_id: ["</s>"] })).rejects.toThrow(/eos_token_id.*list of tokens/);
  });

  it("takes how to sample from a config.json that is alone, as old ones are", async () => {
    const old = { ...config, max_length: 4096, num_beams: 4, temperature: 0.7, do_sample: true };
    const { generationConfig } = await load(await tinyFiles(old));
    expect(generationConfig).toMatchObject({ doSample: true, temperature: 0.7, topK: 50 });
  });

  it("takes a pad token of -1 for none, and says which file a wrong token stands in", async () => {
    const own = await tinyFiles({ ...config, pad_token_id: -1 });
    expect((await load(own)).generationConfig.padTokenId).toBeUndefined();
    await expect(load(await tinyFiles({ ...config, eos_token_id: "</s>" }))).rejects.toThrow(
      /^config\.json: "eos_token_id"/,
    );
  });

  it("reads the whole file before shards, as transformers does", async () => {
    const others = tinyTensors(config, "others");
    const map = Object.fromEntries(Object.keys(others).map((name) => [name, "a.safetensors"]));
    const files = {
      ...(await tinyFiles(config)),
      "model.safetensors.index.json": json({ weight_map: map }),
      "a.safetensors": await encodeSafetensors(others),
    };
    const { parameters } = await load(files);
    expect(await bits(parameters.head!.weight)).toEqual(
      await bits(tinyTensors(config)["lm_head.weight"]!),
    );
  });

  it("refuses a tensor that is not in the file that the index names", async () => {
    const { "config.json": own, "model.safetensors": all } = await tinyFiles(config);
    const map = Object.fromEntries(
      Object.keys(tinyTensors(config)).map((name) => [name, "a.safetensors"]),
    );
    const { "model.norm.weight": moved, ...rest } = tinyTensors(config);
    const files = {
      "config.json": own!,
      "model.safetensors.index.json": json({
        weight_map: { ...map, "lm_head.weight": "b.safetensors" },
      }),
      "a.safetensors": all!,
      "b.safetensors": await encodeSafetensors({ x: ones([1]) }),
    };
    await expect(load(files)).rejects.toThrow(
      /b\.safetensors lacks lm_head\.weight, which model\.safetensors\.index\.json maps to it/,
    );
    const lost = {
      ...files,
      "a.safetensors": await encodeSafetensors(rest),
      "b.safetensors": all!,
    };
    expect(moved).toBeDefined();
    await expect(load(lost)).rejects.toThrow(/a\.safetensors lacks model\.norm\.weight/);
  });

  it.each(Object.keys(FAMILIES).filter((name) => name !== "gpt2"))(
    "leaves out the frequencies that old files of %s hold",
    async (name) => {
      const own = FAMILIES[name]!;
      const frequencies = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": ones([2]),
        "model.rotary_emb.inv_freq": ones([2]),
      };
      const files = await tinyFiles(own, { ...tinyTensors(own), ...frequencies });
      expect((await load(files)).modelType).toBe(own.model_type);
    },
  );

  it("names the two names of one tensor in a file", async () => {
    const tensors = tinyTensors(TINY.gpt2);
    const twice = { ...tensors, "wte.weight": tensors["transformer.wte.weight"]! };
    await expect(load(await tinyFiles(TINY.gpt2, twice))).rejects.toThrow(
      /model\.safetensors holds transformer\.wte\.weight twice: as (transformer\.)?wte\.weight and as (transformer\.)?wte\.weight/,
    );
  });

  it("gives the decoder's config", async () => {
    const { config: own, model } = await load(await tinyFiles(config));
    expect(own).toBe(model.config);
    expect(own.vocabularySize).toBe(40);
  });

  it("reads shards, and reports what was read", async () => {
    const entries = Object.entries(tinyTensors(config));
    const [one, two] = [entries.slice(0, 7), entries.slice(7)].map(Object.fromEntries);
    const map = Object.fromEntries(
      entries.map(([name], i) => [name, i < 7 ? "a.safetensors" : "b.safetensors"]),
    );
    const progress: number[] = [];
    const files = {
      "config.json": json(config),
      "model.safetensors.index.json": json({ metadata: { total_size: 1 }, weight_map: map }),
      "a.safetensors": await encodeSafetensors(one!),
      "b.safetensors": await encodeSafetensors(two!),
    };
    const { parameters } = await loadModel(files, {
      onProgress: ({ bytes, of }) => progress.push(bytes / of),
    });
    const whole = await load(await tinyFiles(config));
    expect(await bits(parameters.head!.weight)).toEqual(await bits(whole.parameters.head!.weight));
    expect(progress).toHaveLength(entries.length);
    expect(progress.at(-1)).toBe(1);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
  });

  it("reads large matrices in pieces, transposed where the file has them so, and reports each", async () => {
    const wide: ConfigJson = {
      ...config,
      vocab_size: 70_000,
      intermediate_size: 70_000,
      num_hidden_layers: 1,
    };
    const expected = tinyTensors(wide);
    const files = await tinyFiles(wide, expected);
    const [gate, embedding] = ["model.layers.0.mlp.gate_proj.weight", "model.embed_tokens.weight"];
    for (const dtype of ["float32", "float64"] as const) {
      const steps: number[] = [];
      let before = 0;
      const { parameters } = await loadModel(files, {
        dtype,
        onProgress: ({ bytes }) => {
          steps.push(bytes - before);
          before = bytes;
        },
      });
      const { blocks, tokenEmbedding } = parameters;
      const mlp = blocks[0]!.mlp as { gate: { weight: Tensor } };
      expect(mlp.gate.weight.shape).toEqual([16, 70_000]);
      const distance = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item();
      expect(await distance(mlp.gate.weight, expected[gate]!.transpose())).toBe(0);
      expect(await distance(tokenEmbedding.weight, expected[embedding]!)).toBe(0);
      expect(Math.max(...steps)).toBeLessThanOrEqual(4 * 2 ** 20);
      expect(before).toBe(4 * Object.values(expected).reduce((sum, { size }) => sum + size, 0));
    }
  });

  it("reads again what the device had no memory to be written to, after a garbage collection", async () => {
    await setDevice("interpreter");
    // The embedding is read in two pieces.
    const files = await tinyFiles({ ...config, vocab_size: 70_000 });
    const reported = new Set<number>();
    const load = async () => {
      const onProgress = (progress: { bytes: number; of: number }) =>
        reported.add(progress.bytes / progress.of);
      return (await loadModel(files, { onProgress })).parameters.tokenEmbedding.weight;
    };
    const first = await load();
    const values = await first.data();
    const once = [...reported];
    const device = first.buffer!.home as Device;
    const original = device.write;
    for (const failing of [1, 2, 4, 10]) {
      let writes = 0;
      const write = vi.spyOn(device, "write").mockImplementation((buffer, from, values, what) => {
        if (++writes === failing) throw new OutOfMemoryError("no memory left");
        return original.call(device, buffer, from, values, what);
      });
      const again = await (await load()).data();
      // Compared as bytes: a million numbers take the assertion of arrays seconds.
      expect(Buffer.compare(Buffer.from(again.buffer), Buffer.from(values.buffer))).toBe(0);
      expect(writes).toBeGreaterThan(failing);
      write.mockRestore();
    }
    expect([...reported]).toEqual(once);
    await setDevice("wasm");
  });

  it("refuses a model that the device cannot hold before any weight is read", async () => {
    // 5 GB of embedding, of which nothing is there but the header.
    const large = { ...config, vocab_size: 80_000_000, tie_word_embeddings: true };
    const small = tinyTensors(config);
    delete small["lm_head.weight"];
    const sizes = Object.entries(small).map(([name, { shape }]) => {
      const own = name === "model.embed_tokens.weight" ? [80_000_000, 16] : shape;
      return [name, "F32", own, 4 * own.reduce((a, b) => a * b, 1)] as const;
    });
    const header = encodeHeader({}, sizes);
    const size = header.length + sizes.reduce((sum, [, , , bytes]) => sum + bytes, 0);
    const read: number[] = [];
    const weights = {
      size,
      slice: (from: number, to: number) => {
        read.push(to);
        return { arrayBuffer: async () => header.slice(from, to).buffer };
      },
    };
    const files = { "config.json": json(large), "model.safetensors": weights };
    await expect(loadModel(files)).rejects.toThrow(
      /model\.embed_tokens\.weight takes 5120000000 bytes in float32, more than the \d+ that the wasm device allows/,
    );
    expect(Math.max(...read)).toBeLessThanOrEqual(header.length);
  });

  it("gives back what was loaded before a file failed", async () => {
    const files = await tinyFiles(config);
    const { bytes: before } = await deviceStatistics();
    const whole = new Blob([files["model.safetensors"] as Uint8Array<ArrayBuffer>]);
    const cut = {
      size: whole.size,
      slice: (from: number, to: number) => {
        if (to === whole.size) throw new Error("the disk is gone");
        return whole.slice(from, to);
      },
    };
    await expect(loadModel({ ...files, "model.safetensors": cut })).rejects.toThrow("disk is gone");
    expect((await deviceStatistics()).bytes).toBeLessThanOrEqual(before);
  });

  it("ties the head where the config does, unless the file's head is another matrix", async () => {
    const tiedConfig = { ...config, tie_word_embeddings: true };
    const embedding = "model.embed_tokens.weight";
    const without = await changed((t) => delete t["lm_head.weight"], tiedConfig);
    expect((await load(without)).model.config.tiedHead).toBe(true);
    const equal = await changed(
      (t) => Object.assign(t, { "lm_head.weight": t[embedding] }),
      tiedConfig,
    );
    expect((await load(equal)).parameters.head).toBeUndefined();
    const other = await load(await changed(() => {}, tiedConfig));
    expect(other.model.config.tiedHead).toBe(false);
    expect(other.parameters.head).toBeDefined();
    const headOnly = await load(await changed((t) => delete t[embedding], tiedConfig));
    expect(headOnly.parameters.head).toBeUndefined();
    expect(await bits(headOnly.model.headWeight(headOnly.parameters))).toEqual(
      await bits(tinyTensors(config)["lm_head.weight"]!),
    );
  });

  const norm = "model.layers.1.input_layernorm.weight";
  it.each<[string, (tensors: Record<string, Tensor>) => void, RegExp]>([
    [
      "a tensor is missing",
      (t) => delete t[norm],
      /lacks model\.layers\.1\.input_layernorm\.weight;/,
    ],
    [
      "a tensor is left over",
      (t) => Object.assign(t, { "model.layers.0.mlp.gate_proj.bias": ones([24]) }),
      /holds model\.layers\.0\.mlp\.gate_proj\.bias, which config\.json does not ask for/,
    ],
    [
      "a shape is another",
      (t) => Object.assign(t, { [norm]: ones([17]) }),
      /model\.layers\.1\.input_layernorm\.weight has shape \[17\]; config\.json asks for \[16\]/,
    ],
    [
      "weights are integers",
      (t) => Object.assign(t, { [norm]: tensor(new Int32Array(16)) }),
      /input_layernorm\.weight is I32; weights are floating point/,
    ],
  ])("refuses a checkpoint in which %s", async (_, change, why) => {
    await expect(load(await changed(change))).rejects.toThrow(why);
  });

  it.each<[string, Record<string, Uint8Array>, RegExp]>([
    ["nothing", {}, /there is no config\.json in the given files/],
    ["no weights", { "config.json": json(TINY.qwen3) }, /there is neither model\.safetensors nor/],
    [
      "a pickle",
      { "config.json": json(TINY.qwen3), "pytorch_model.bin": new Uint8Array(3) },
      /pytorch_model\.bin may hold code.*save_pretrained/,
    ],
    [
      "no JSON",
      { "config.json": new TextEncoder().encode("{") },
      /config\.json of the given files cannot be read as JSON/,
    ],
    [
      "an index that leads outside",
      {
        "config.json": json(TINY.qwen3),
        "model.safetensors.index.json": json({ weight_map: { a: "../secret" } }),
      },
      /names "\.\.\/secret"/,
    ],
    [
      "an index to a file that is not there",
      {
        "config.json": json(TINY.qwen3),
        "model.safetensors.index.json": json({ weight_map: { a: "x.safetensors" } }),
      },
      /there is no x\.safetensors in the given files/,
    ],
  ])("refuses files that are %s", async (_, files, why) => {
    await expect(load(files)).rejects.toThrow(why);
  });

  it("takes a directory's URL", async () => {
    const url = pathToFileURL(`${join(directory, "qwen3")}/`);
    expect((await loadModel(url)).source).toBe(`${join(directory, "qwen3")}/`);
  });

  it.each<[unknown, RegExp]>([
    [undefined, /^a model's source must be a path, .*got undefined/],
    [null, /^a model's source must be .*got null/],
    [3, /^a model's source must be .*got 3/],
    ["", /^a model's source must be .*got ""/],
    [new Map(), /^a model's source must be .*got a Map/],
  ])("refuses %s as a source", async (source, why) => {
    await expect(loadModel(source as never)).rejects.toThrow(why);
  });

  it("names the source of the wrong kind: a file, an adapter", async () => {
    await expect(loadModel(join(directory, "qwen3", "config.json"))).rejects.toThrow(
      /qwen3\/config\.json is a file; give the directory it is in/,
    );
    const adapter = { "adapter_config.json": json({}), "adapter_model.safetensors": json({}) };
    await expect(load(adapter)).rejects.toThrow(
      /there is an adapter in the given files, and no model; load its base model, then loadAdapter\(source, lm\)/,
    );
  });

  it("names a directory that is not there", async () => {
    await expect(loadModel(join(directory, "none"))).rejects.toThrow(
      /there is no directory .*none/,
    );
    await expect(loadModel(directory)).rejects.toThrow(/there is no config\.json in/);
    await expect(loadModel(directory, { dtype: "int32" as never })).rejects.toThrow(
      /dtype must be/,
    );
    const misspelt = { dType: "float64" } as never;
    await expect(loadModel(directory, misspelt)).rejects.toThrow(/did you mean `dtype`/);
  });
});

describe("a config.json", () => {
  const of = (change: Record<string, unknown>) => () => readConfig({ ...TINY.qwen3, ...change });

  it.each<[Record<string, unknown>, RegExp]>([
    [{ model_type: "mamba" }, /model_type "mamba" is not supported; known: gemma, /],
    [{ model_type: undefined }, /model_type undefined/],
    [{ hidden_size: undefined }, /"hidden_size" is missing/],
    [{ hidden_size: 1.5 }, /"hidden_size" must be a positive integer, got 1.5/],
    [{ hidden_act: "relu2" }, /"hidden_act" must be one of gelu, .*, got "relu2"/],
    [
      { rope_scaling: { rope_type: "yarn", factor: 4 } },
      /rope_scaling: "rope_type" must be one of .*"yarn"/,
    ],
    [{ rope_scaling: { type: "linear", factor: 2, mystery: 1 } }, /"mystery": 1 is not supported/],
    [{ quantization_config: { bits: 4 } }, /"quantization_config": \{"bits":4\} is not supported/],
    [{ is_causal: false }, /"is_causal": false is not supported/],
    [{ pruned_heads: { 0: [1] } }, /"pruned_heads"/],
    [{ rms_norm_eps: -1e-6 }, /"rms_norm_eps" must be a number > 0, got -0.000001/],
    [{ rope_theta: 0 }, /"rope_theta" must be a number > 0, got 0/],
    [
      { rope_scaling: { type: "linear", factor: 0 } },
      /rope_scaling: "factor" must be a number > 0/,
    ],
    [
      { layer_types: ["full_attention"] },
      /"layer_types" must be a list with a value for each of the 2/,
    ],
    [{ layer_types: ["full_attention", "linear_attention"] }, /"layer_types" must be/],
    [{ attention_bias: 1 }, /"attention_bias" must be true or false, got 1/],
  ])("with %j is refused by the key's name", (change, why) => {
    expect(of(change)).toThrow(why);
  });

  it("may say transformers' defaults, and where the code of a known family is", () => {
    expect(
      of({
        auto_map: { AutoModelForCausalLM: "modeling_phi3.Phi3ForCausalLM" },
        return_dict: true,
        chunk_size_feed_forward: 0,
        is_causal: true,
        pruned_heads: {},
        tokenizer_class: "LlamaTokenizer",
        num_beams: 1,
        length_penalty: 1.0,
      }),
    ).not.toThrow();
  });

  it("may say what changes no formula, and null or false of what is not known", () => {
    expect(
      of({ torch_dtype: "bfloat16", pretraining_tp: 1, mystery: null, other: false }),
    ).not.toThrow();
  });

  it("reads the keys of transformers 5 as those of 4", () => {
    const { rope_theta, rope_scaling, ...rest } = TINY.qwen3;
    const five = { ...rest, rope_parameters: { rope_theta, ...rope_scaling } };
    expect(readConfig(five).config).toEqual(readConfig(TINY.qwen3).config);
  });

  it("windows are where the family has them", () => {
    const windows = (json: ConfigJson) =>
      readConfig(json).config.layers.map(({ window }) => window);
    expect(windows(TINY.gemma2)).toEqual([5, undefined]);
    expect(windows({ ...TINY.qwen3, sliding_window: 7 })).toEqual([undefined, undefined]);
    const uses = {
      ...TINY.qwen3,
      use_sliding_window: true,
      sliding_window: 7,
      max_window_layers: 1,
    };
    expect(windows(uses)).toEqual([undefined, 7]);
    const mistral = { ...TINY.qwen3, model_type: "mistral" };
    expect(windows(mistral)).toEqual([4096, 4096]);
    expect(windows({ ...mistral, sliding_window: null })).toEqual([undefined, undefined]);
  });
});
