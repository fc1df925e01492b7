/**
 * The commands on small models: what they write, what they refuse and how they end.
 */

import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkDevice } from "../../src/cli/model.js";
import {
  generate,
  initLora,
  type LoadedModel,
  loadAdapter,
  loadModel,
  saveAdapter,
  saveModel,
  type Tokenizer,
  treeMap,
  withLora,
} from "../../src/index.js";
import { TINY, tinyFiles, writeFiles } from "../models/tinyCheckpoint.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";
import { bundled, started } from "./run.js";

const TRAINED = new URL("../../../shared/golden/models/gsm-llama/", import.meta.url).pathname;
const TEMPLATE =
  "{% for message in messages %}{{ message.role + ':' + message.content + '<end>' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";

const config = { ...TINY.qwen3, vocab_size: 257, eos_token_id: 256 };
const tokens = byteLevel({ added: [{ content: "<end>" }] });

let folder: string;
let main: string;
let model: string;
let lm: LoadedModel & { tokenizer: Tokenizer };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-cli-"));
  main = await bundled(folder);
  model = join(folder, "model");
  const files = await tinyFiles(config);
  await writeFiles(model, { ...files, ...tokenizerFiles(tokens, {}, TEMPLATE) });
  await writeFiles(join(folder, "untemplated"), { ...files, ...tokenizerFiles(tokens) });
  await writeFiles(join(folder, "textless"), files);
  const { tokenizer, ...rest } = await loadModel(model);
  lm = { ...rest, tokenizer: tokenizer! };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const prefgrad = (
  ...given: Parameters<typeof started> extends [string, ...infer Rest] ? Rest : never
) => started(main, ...given);

/** The text that the library writes after ids. */
async function written(ids: number[], options: object): Promise<string> {
  const stopTokens = lm.generationConfig.eosTokenIds;
  const [own] = await generate(lm.model, lm.parameters, [ids], {
    maxNewTokens: 8,
    stopTokens,
    ...options,
  });
  return lm.tokenizer.decode(own!, { skipSpecialTokens: true });
}

/** The line that `--json` gives for the only prompt. */
async function line(args: readonly string[]) {
  const { output, errors, code } = await prefgrad([
    "generate",
    ...(args.includes("--model") ? [] : ["--model", model]),
    "--json",
    ...args,
  ]);
  expect([errors, code]).toEqual(["", 0]);
  return JSON.parse(output) as { prompt: string; ids: number[]; text: string; logProbs: number[] };
}

const GREEDY = ["--max-new-tokens", "8"];

describe("generate", () => {
  it("writes what the library writes after each prompt, and nothing else", async () => {
    const args = ["generate", "--model", model, ...GREEDY, "ab", "Hello"];
    const { output, errors, code } = await prefgrad(args);
    const texts = [];
    for (const prompt of ["ab", "Hello"])
      texts.push(await written(lm.tokenizer.encode(prompt), {}));
    expect({ output, errors, code }).toEqual({
      output: `${texts.join("\n")}\n`,
      errors: "",
      code: 0,
    });
  });

  it("reads the prompt from standard input, but for the end of its last line", async () => {
    const args = ["generate", "--model", model, "--json", ...GREEDY];
    const { output } = await prefgrad(args, { input: "é\nab\r\n" });
    const own = JSON.parse(output);
    expect(own.prompt).toBe("é\nab");
    expect(own).toEqual(await line([...GREEDY, "é\nab"]));
    expect(own.ids).toHaveLength(8);
    expect(own.logProbs.every((logProb: number) => logProb < 0)).toBe(true);
    expect(own.text).toBe(lm.tokenizer.decode(own.ids, { skipSpecialTokens: true }));
  });

  it("draws with the options that were given and a seed", async () => {
    const options = {
      temperature: 0.9,
      topK: 9,
      topP: 0.95,
      minP: 0.01,
      repetitionPenalty: 1.3,
      seed: 4,
    };
    const args = ["--temperature", "0.9", "--top-k", "9", "--top-p", ".95", "--min-p", "0.01"];
    const own = await line([
      ...GREEDY,
      ...args,
      "--repetition-penalty",
      "1.3",
      "--seed",
      "4",
      "ab",
    ]);
    expect(own.text).toBe(await written(lm.tokenizer.encode("ab"), options));
    expect(own.text).not.toBe((await line([...GREEDY, "ab"])).text);
    // As the makers have it: temperature 1 among the 50 likeliest.
    const sampled = await line([...GREEDY, "--sample", "ab"]);
    const makers = { temperature: 1, topK: 50, seed: 42 };
    expect(sampled.text).toBe(await written(lm.tokenizer.encode("ab"), makers));
  });

  it("answers a message by the chat template", async () => {
    const messages = [
      { role: "system", content: "S" },
      { role: "user", content: "ab" },
    ];
    const ids = lm.tokenizer.applyChatTemplate(messages, {
      addGenerationPrompt: true,
      tokenize: true,
    });
    const own = await line([...GREEDY, "--chat", "--system", "S", "ab"]);
    expect(own.text).toBe(await written(ids, {}));
  });

  it("ends after a text, a special token's too", async () => {
    const all = await line([...GREEDY, "ab"]);
    const stop = all.text.slice(2, 4);
    const own = await line([...GREEDY, "--stop", "never", "--stop", stop, "ab"]);
    expect(own.text).toBe(all.text.slice(0, all.text.indexOf(stop) + 2));
    // A vocabulary in which the likeliest token is a special one.
    const [first] = all.ids;
    const special = lm.tokenizer.decode([first!]);
    const added = [{ content: "<end>" }, { content: special, id: first }];
    const json = byteLevel({ added });
    const marked = join(folder, "marked");
    await writeFiles(marked, { ...(await tinyFiles(config)), ...tokenizerFiles(json) });
    const args = ["generate", "--model", marked, "--json", ...GREEDY, "--stop", special, "ab"];
    expect(JSON.parse((await prefgrad(args)).output)).toMatchObject({ ids: [first], text: "" });
  });

  it("fills the context where nothing says how many tokens", async () => {
    const own = await line(["x".repeat(50)]);
    expect(own.ids).toHaveLength(config.max_position_embeddings - 50);
  });

  it("puts an adapter on the model", async () => {
    const directory = join(folder, "adapter");
    const adapter = initLora(lm, { rank: 2, alpha: 64, targets: "all-linear", seed: 3 });
    const parameters = treeMap((t) => t.add(0.1), adapter.parameters);
    await saveAdapter(directory, lm, { ...adapter, parameters });
    const adapted = withLora(lm, await loadAdapter(directory, lm));
    const prompt = lm.tokenizer.encode("ab");
    const [ids] = await generate(lm.model, adapted, [prompt], { maxNewTokens: 8, stopTokens: 256 });
    const own = await line([...GREEDY, "--adapter", directory, "ab"]);
    expect(own.ids).toEqual(ids);
    expect(own.ids).not.toEqual((await line([...GREEDY, "ab"])).ids);
  });

  it("computes in float64", async () => {
    const [single, double] = [
      await line([...GREEDY, "ab"]),
      await line([...GREEDY, "--dtype", "float64", "--threads", "1", "ab"]),
    ];
    expect(double.ids).toEqual(single.ids);
    expect(double.logProbs).not.toEqual(single.logProbs);
    for (const [i, logProb] of double.logProbs.entries()) {
      expect(logProb).toBeCloseTo(single.logProbs[i]!, 4);
    }
  });

  it("keeps matrices as bfloat16, and computes what their widened numbers give", async () => {
    const rounded = join(folder, "rounded");
    await saveModel(rounded, lm, { dtype: "bfloat16" });
    const args = ["--model", rounded, ...GREEDY, "ab"];
    expect(await line([...args, "--dtype", "bfloat16"])).toEqual(await line(args));
  });

  it("is ended by Ctrl-C and by a reader that goes away", async () => {
    const args = ["generate", "--model", model, "--seed", "1", "--sample"];
    const prompts = Array.from({ length: 40 }, () => "ab");
    const interrupt = {
      onOutput: (child: { kill(signal: "SIGINT"): boolean }) => child.kill("SIGINT"),
    };
    expect((await prefgrad([...args, ...prompts], interrupt)).signal).toBe("SIGINT");
    const { code, errors } = await prefgrad([...args, ...prompts], {
      onOutput: (child) => child.stdout!.destroy(),
    });
    expect({ code, errors }).toEqual({ code: 0, errors: "" });
  });
});

describe.skipIf(!existsSync(TRAINED))("generate with a trained Llama", () => {
  it("writes transformers' greedy text", async () => {
    const golden = JSON.parse(readFileSync(`${TRAINED}golden.json`, "utf8"));
    const [{ prompt, new_ids: ids }] = golden.greedy;
    const { tokenizer } = await loadModel(TRAINED);
    const args = ["generate", "--model", TRAINED, "--max-new-tokens", "64", prompt];
    const { output } = await prefgrad(args);
    expect(output).toBe(`${tokenizer!.decode(ids, { skipSpecialTokens: true })}\n`);
  });
});

describe("info", () => {
  it("counts without reading weights", async () => {
    const { output, errors, code } = await prefgrad([
      "info",
      "--model",
      model,
      "--tokens",
      "10",
      "--json",
    ]);
    expect([errors, code]).toEqual(["", 0]);
    // Embedding and head of 257·16; layers of q, k, v, o, gate, up, down, two norms and those of heads; a norm.
    const layer = 16 * (32 + 8 + 8) + 32 * 16 + 3 * 16 * 24 + 2 * 16 + 2 * 8;
    const parameters = 2 * 257 * 16 + 2 * layer + 16;
    expect(JSON.parse(output)).toMatchObject({
      family: "qwen3",
      parameters,
      layers: 2,
      width: 16,
      heads: 4,
      keyValueHeads: 1,
      headWidth: 8,
      vocabulary: 257,
      context: 64,
      stored: { F32: parameters },
      memory: { parameters: 4 * parameters, cache: 4 * 2 * 2 * 8 * 10, tokens: 10 },
      tokenizer: { vocabulary: 257 },
      chatTemplates: ["default"],
      endTokens: [256],
    });
  });

  it("is a table for people", async () => {
    const { output } = await prefgrad(["info", "--model", join(folder, "textless")]);
    expect(output).toMatch(/^family {9}qwen3$/m);
    expect(output).toMatch(/^tokenizer {6}none$/m);
    expect(output).toMatch(/^to generate {4}.* more for 64 tokens$/m);
  });

  it("refuses files that the configuration does not fit", async () => {
    const directory = join(folder, "shallow");
    const files = await tinyFiles({ ...config, num_hidden_layers: 1 });
    const whole = await tinyFiles(config);
    await writeFiles(directory, { ...files, "config.json": whole["config.json"]! });
    const { code, errors } = await prefgrad(["info", "--model", directory]);
    expect([code, errors]).toEqual([
      2,
      expect.stringMatching(/^the checkpoint lacks model\.layers\.1.*\n$/),
    ]);
  });
});

describe("what cannot be used is one line and exit code 2", () => {
  it.each([
    [[], "no command: prefgrad --help lists them"],
    [["genrate"], "unknown command 'genrate' (Did you mean generate?)"],
    [["info"], "info needs --model <model>: directory that transformers saved"],
    [["generate", "--model", "MODEL", "--temprature", "1", "a"], "(Did you mean --temperature?)"],
    [
      ["generate", "--model", "MODEL", "--temperature", "hot", "a"],
      "--temperature must be a number, at least 0, got hot",
    ],
    [
      ["generate", "--model", "MODEL", "--top-p", "1.5", "a"],
      "--top-p must be a number above 0 and at most 1, got 1.5",
    ],
    [
      ["generate", "--model", "MODEL", "--top-k", "0", "a"],
      "--top-k must be an integer, at least 1, got 0",
    ],
    [
      ["generate", "--model", "MODEL", "--device", "tpu", "a"],
      "--device must be one of wasm, gpu, got tpu",
    ],
    [["generate", "--model", "MODEL", "--device", "gpu", "--threads", "2", "a"], "not of the GPU"],
    [
      ["generate", "--model", "MODEL", "--device", "gpu", "--dtype", "float64", "a"],
      "not for --device gpu",
    ],
    [["generate", "--model", "MODEL", "--system", "S", "a"], "give --chat, too"],
    [["generate", "--model", "MODEL", "--stop", "", "a"], "--stop must be a list, each a text"],
    [["generate", "--model", "MODEL"], "the prompt is empty"],
    [["generate", "--model", "MODEL", "x".repeat(64)], "a prompt of 64 tokens leaves room for 0"],
    [
      ["generate", "--model", "MODEL", "--max-new-tokens", "5", "x".repeat(60)],
      "leaves room for 4 in the context of 64; asked for: 5 (--max-new-tokens)",
    ],
    [["generate", "--model", "MODEL/none", "a"], "there is no directory"],
    [
      ["generate", "--model", "MODEL", "--adapter", "MODEL", "a"],
      "there is no adapter_config.json",
    ],
    [["generate", "--model", "MODEL/../textless", "a"], "has no tokenizer.json"],
    [["generate", "--model", "MODEL/../untemplated", "--chat", "a"], "has no chat template"],
  ])("%j", async (args, message) => {
    const given = args.map((argument) => argument.replace("MODEL", model));
    const { code, output, errors } = await prefgrad(given);
    expect({ code, output }).toEqual({ code: 2, output: "" });
    expect(errors).toContain(message);
    expect(errors).toMatch(/^.+\n$/);
  });
});

it("refuses float64 on a GPU, and no other dtype", () => {
  const check = (dtype: "float32" | "bfloat16" | "float64") => () =>
    checkDevice({ model: "m", device: "gpu", dtype });
  expect(check("float64")).toThrow(/float64 is not for --device gpu/);
  expect(check("float32")).not.toThrow();
  expect(check("bfloat16")).not.toThrow();
});

it("says its version", async () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  expect(await prefgrad(["--version"])).toMatchObject({ code: 0, output: `${version}\n` });
});

it("help is on standard output, and no error", async () => {
  const { code, output, errors } = await prefgrad(["generate", "--help"]);
  expect([code, errors]).toEqual([0, ""]);
  expect(output).toContain("--repetition-penalty <number>");
});
