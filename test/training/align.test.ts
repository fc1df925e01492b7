/**
 * Runs from rows to a directory: what they leave, what they go on with, and what they refuse.
 */

import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { WasmDevice } from "../../src/devices/wasm/device.js";
import {
  type AlignOptions,
  align,
  dpoLoss,
  initLora,
  type LoadedModel,
  loadAdapter,
  loadModel,
  mul,
  type PreferenceRow,
  type RunFacts,
  readRun,
  realize,
  rowsOf,
  Stopped,
  setDevice,
  sft,
  treeLeaves,
  treeMap,
} from "../../src/index.js";
import { sizeOf } from "../../src/tensor/shape.js";
import { heldOut } from "../../src/training/heldOut.js";
import { VERSION } from "../../src/training/version.js";
import { tinyFiles, writeFiles } from "../models/tinyCheckpoint.js";
import { FAMILIES } from "../models/tinyFamilies.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";

let folder: string;
let lm: LoadedModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-align-"));
  const config = { ...FAMILIES.qwen3!, vocab_size: 257, eos_token_id: 256 };
  await writeFiles(join(folder, "model"), {
    ...(await tinyFiles(config)),
    ...tokenizerFiles(byteLevel({ added: [{ content: "<end>" }] })),
  });
  lm = await loadModel(join(folder, "model"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Pairs of a few tokens. */
const pairs: readonly PreferenceRow[] = Array.from({ length: 12 }, (_, row) => ({
  row,
  promptIds: [65 + row, 66],
  chosenIds: [97 + (row % 5), 98, 256],
  rejectedIds: [100, 101 + (row % 3), 102, 256],
}));

/** Completions with labels. */
const completions = pairs.map(({ row, promptIds, chosenIds, rejectedIds }) => ({
  row,
  promptIds,
  completionIds: row % 2 ? chosenIds : rejectedIds,
  mismatchedIds: rejectedIds,
  desirable: row % 2 === 1,
}));
const unpaired = { completions, loss: "kto", pairs: undefined } as const;

/** A short run. */
const options = (output: string, own: Partial<AlignOptions> = {}): AlignOptions => ({
  lm,
  pairs,
  output: join(folder, output),
  learningRate: 1e-2,
  batchSize: 4,
  maxSteps: 6,
  logEvery: 2,
  evalShare: 0.2,
  evalEvery: 3,
  saveEvery: 2,
  ...own,
});

const bytes = (output: string, name: string) => readFile(join(folder, output, name));
const values = (tree: unknown) => Promise.all(treeLeaves(tree).map((leaf) => leaf.data()));

describe("a run of an adapter", () => {
  it("leaves an adapter, answers, a card, a report, and settings that name what it was made of", async () => {
    const { adapter, done, parameters } = await align(options("lora", { lora: { rank: 2 } }));
    expect(done).toBe(true);
    expect(
      (await readdir(join(folder, "lora"))).filter((name) => !/^checkpoint/.test(name)),
    ).toEqual([
      "README.md",
      "adapter_config.json",
      "adapter_model.safetensors",
      "answers.json",
      "metrics.jsonl",
      "report.html",
      "settings.json",
      "trainer_state.json",
    ]);
    const read = await loadAdapter(join(folder, "lora"), lm);
    expect(await values(read.parameters)).toEqual(await values(adapter!.parameters));
    expect(treeLeaves(parameters).length).toBeGreaterThan(treeLeaves(lm.parameters).length);
    const record = await readRun(join(folder, "lora"), "lora");
    expect(record.done).toBe(true);
    expect(record.settings).toMatchObject({
      command: "align",
      version: VERSION,
      loss: "sigmoid",
      loraRank: 2,
      learningRate: 1e-2,
      order: "random",
    });
    expect(record.rows[0]).toMatchObject({ step: 0, "eval_rewards/margins": 0 });
    expect(record.answers.length).toBe(3);
    expect(record.answers[0]!.before).not.toBe(record.answers[0]!.after);
    const card = String(await bytes("lora", "README.md"));
    expect(card).toContain(`base_model: ${JSON.stringify(join(folder, "model"))}`);
    expect(card).toContain("| eval_loss | 0.6931 |");
    expect(String(await bytes("lora", "report.html"))).toContain("held-out pairs are told apart");
  });

  it("that was stopped goes on and ends with the bits of one that was not", async () => {
    const own = {
      lora: { rank: 2, dropout: 0.2 },
      spo: { floorSteps: 4 },
      cache: join(folder, "kept"),
    };
    await align(options("whole", own));
    let steps = 0;
    const signal = { aborted: false };
    const observer = {
      step() {
        steps++;
        signal.aborted = steps === 3;
      },
    };
    const stopped = await align(options("stopped", { ...own, signal, observer }));
    expect(stopped.done).toBe(false);
    expect(existsSync(join(folder, "stopped", "report.html"))).toBe(false);
    await expect(align(options("stopped", own))).rejects.toThrow(
      /set resume \(--resume\) to go on with it, overwrite/,
    );
    const notices: string[] = [];
    const notice = (text: string) => void notices.push(text);
    await align(options("stopped", { ...own, resume: true, observer: { notice } }));
    expect(notices).toEqual([
      "the reference's log-probabilities were in the cache",
      expect.stringMatching(/^v\* is .* nats per token, from the cache$/),
    ]);
    for (const name of [
      "adapter_model.safetensors",
      "metrics.jsonl",
      "answers.json",
      "settings.json",
    ]) {
      expect(await bytes("stopped", name), name).toEqual(await bytes("whole", name));
    }
  });

  it("goes on from an adapter, which is its reference", async () => {
    const adapter = await loadAdapter(join(folder, "lora"), lm);
    await align(options("further", { adapter, maxSteps: 1 }));
    const { rows } = await readRun(join(folder, "further"), "further");
    expect(rows[0]).toMatchObject({ step: 0, eval_loss: expect.closeTo(Math.LN2, 6) });
  });
});

describe("a run that compares with the reference in every step", () => {
  it.each([
    ["tdpo2", {}],
    ["sgdpo", { lora: { rank: 2 }, spo: { floorSteps: 2 } }],
    ["aspo", { similarity: (sentence: string) => sentence.length }],
    ["tdpo1", { lora: { rank: 2 }, spo: { floorSteps: 2 } }],
  ] as const)(
    "%s %j: from ln 2 on, and with the bits of one that was stopped",
    async (loss, own) => {
      const name = `every-${loss}`;
      const common = { ...own, loss, maxSteps: 4 };
      await align(options(name, common));
      const { rows } = await readRun(join(folder, name), name);
      expect(rows[0]).toMatchObject({ step: 0, "eval_rewards/margins": 0 });
      if (!("spo" in own)) expect(rows[0]!.eval_loss).toBeCloseTo(Math.LN2, 6);
      expect(rows.at(-1)!.eval_loss).toBeLessThan(rows[0]!.eval_loss as number);
      const signal = { aborted: false };
      const stop = {
        step({ step }: { step: number }) {
          signal.aborted = step === 2;
        },
      };
      const half = await align(options(`${name}-half`, { ...common, signal, observer: stop }));
      expect(half.done).toBe(false);
      await align(options(`${name}-half`, { ...common, resume: true }));
      const weights = "lora" in own ? "adapter_model.safetensors" : "model.safetensors";
      for (const file of [weights, "metrics.jsonl"]) {
        expect(await bytes(`${name}-half`, file), file).toEqual(await bytes(name, file));
      }
    },
  );

  it("takes another reference model, and refuses one of another vocabulary", async () => {
    const parameters = await realize(treeMap((t) => mul(t, 1.1), lm.parameters));
    const reference = { ...lm, parameters, source: "another" };
    await align(options("every-other", { loss: "tdpo2", reference, maxSteps: 1 }));
    const { rows } = await readRun(join(folder, "every-other"), "every-other");
    expect(rows[0]!.eval_loss).not.toBeCloseTo(Math.LN2, 3);
    const other = await loadModel(await tinyFiles({ ...FAMILIES.qwen3!, vocab_size: 300 }));
    await expect(align(options("refused", { loss: "tdpo2", reference: other }))).rejects.toThrow(
      "the policy's has 257 tokens and the reference's 300",
    );
    expect(existsSync(join(folder, "refused"))).toBe(false);
  });
});

describe("a run of a whole model", () => {
  it("leaves a model, and stops before its first step without a trace of training", async () => {
    const { adapter, parameters } = await align(
      options("full", { loss: ["ipo", "sft"], lossWeights: [1, 0.5] }),
    );
    expect(adapter).toBeNull();
    const saved = await loadModel(join(folder, "full"));
    expect(await values(saved.parameters)).toEqual(await values(parameters));
    expect(saved.tokenizer!.encode("ab")).toEqual(lm.tokenizer!.encode("ab"));
    await expect(align(options("never", { signal: { aborted: true } }))).rejects.toThrow(Stopped);
    expect(existsSync(join(folder, "never", "metrics.jsonl"))).toBe(false);
  });

  it("takes over the memory of a model that is given up, unless the loss or an adapter needs it", async () => {
    const run = async (own: Partial<AlignOptions>) => {
      const output = `given-up ${JSON.stringify(own)}`;
      const given = await loadModel(join(folder, "model"));
      const { parameters } = await align(options(output, { lm: given, ...own }));
      return { given, parameters };
    };
    const kept = await run({});
    const taken = await run({ givesUpModel: true });
    expect(await values(taken.parameters)).toEqual(await values(kept.parameters));
    await expect(values(taken.given.parameters)).rejects.toThrow("was given up");
    const same = await loadModel(join(folder, "model"));
    const compared = { lm: same, reference: same, loss: "tdpo1", givesUpModel: true } as const;
    await align(options("given-up, compared", compared));
    expect(await values(same.parameters)).toEqual(await values(lm.parameters));
    for (const own of [{ loss: "tdpo1" }, { lora: true }] as const) {
      const { given } = await run({ givesUpModel: true, ...own });
      expect(await values(given.parameters)).toEqual(await values(lm.parameters));
    }
    const wrong = { givesUpModel: "no" as unknown as boolean };
    await expect(run(wrong)).rejects.toThrow("align: givesUpModel must be true or false");
  });

  it("takes the place of an adapter's run, and an adapter of it", async () => {
    await align(options("place", { lora: true, maxSteps: 1 }));
    await align(options("place", { overwrite: true, maxSteps: 1 }));
    expect(existsSync(join(folder, "place", "adapter_config.json"))).toBe(false);
    await loadModel(join(folder, "place"));
    await align(options("place", { lora: true, overwrite: true, maxSteps: 1 }));
    expect(existsSync(join(folder, "place", "model.safetensors"))).toBe(false);
  });

  it("ends with the same numbers where blocks are computed again for their gradients", async () => {
    await align(options("again", { lora: true, gradientCheckpointing: true }));
    await align(options("once", { lora: true }));
    const [again, once] = await Promise.all(
      ["again", "once"].map((name) => readRun(join(folder, name), name)),
    );
    for (const [i, row] of once!.rows.entries()) {
      expect(again!.rows[i]!.step).toBe(row.step);
      const name = row.loss === undefined ? "eval_loss" : "loss";
      expect(again!.rows[i]![name]).toBeCloseTo(row[name] as number, 5);
    }
  });

  it("computes blocks again for their gradients where a step would not fit otherwise", async () => {
    const long = pairs.map((pair) => ({ ...pair, chosenIds: new Array(20_000).fill(97) }));
    const found: unknown[] = [];
    const facts = ({ checkpointing }: RunFacts): void => {
      found.push(checkpointing);
      throw new Error("enough");
    };
    for (const own of [{}, { pairs: long }, { pairs: long, gradientCheckpointing: false }]) {
      await expect(align(options("facts", { ...own, observer: { facts } }))).rejects.toThrow(
        "enough",
      );
    }
    expect(found).toEqual([false, true, false]);
  });

  it("trains on completions with labels, and on texts", async () => {
    const { pairs: _, ...rest } = options("kto");
    await align({ ...rest, completions, loss: "kto", desirableWeight: 2 });
    const kto = await readRun(join(folder, "kto"), "kto");
    expect(kto.settings).toMatchObject({ loss: "kto", order: "sequential" });
    expect(kto.rows.at(-1)).toHaveProperty("eval_kl");
    const texts = pairs.map(({ row, promptIds, chosenIds }) => ({
      row,
      ids: [...Array.from(promptIds), ...Array.from(chosenIds)],
      trained: [0, 0, 1, 1, 1],
    }));
    const { loss, pairs: __, ...common } = options("sft");
    await sft({ ...common, texts, evaluation: texts });
    const { rows, answers } = await readRun(join(folder, "sft"), "sft");
    const losses = rows.flatMap((row) =>
      row.eval_loss === undefined ? [] : [row.eval_loss as number],
    );
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
    expect(answers.length).toBe(8);
  });
});

it("held-out rows are a share that the seed chooses, in their order, and no others", async () => {
  const all = Array.from({ length: 100 }, (_, row) => ({ row }));
  const { train, heldOut: held } = heldOut(rowsOf(all), 0.1, 3);
  const read = async (rows: typeof train) => {
    const found = await rows.read(Array.from({ length: rows.length }, (_, i) => i));
    return found.map(({ row }) => row);
  };
  const [kept, out] = [await read(train), await read(held!)];
  expect(out).toHaveLength(10);
  expect([...kept, ...out].sort((a, b) => a - b)).toEqual(all.map(({ row }) => row));
  expect(out).toEqual([...out].sort((a, b) => a - b));
  expect(await read(heldOut(rowsOf(all), 0.1, 4).heldOut!)).not.toEqual(out);
  expect(heldOut(rowsOf(all), 0, 3).heldOut).toBeNull();
  expect(heldOut(rowsOf(all.slice(0, 1)), 0.5, 3).heldOut).toBeNull();
});

describe("is refused before anything is computed", () => {
  it.each([
    [{ pairs: undefined }, "align: pairs are needed"],
    [{ loss: "kto" }, "align: the loss kto needs completions"],
    [{ completions: [], loss: "ipo" }, "other losses need pairs"],
    [{ lerningRate: 1 }, "did you mean `learningRate`?"],
    [{ learningRate: 0 }, "align: learningRate must be a number above 0, got 0"],
    [{ lora: { ranks: 1 } }, "align: lora: has no option `ranks`; did you mean `rank`?"],
    [{ lora: { rank: 0 } }, "align: loraRank must be an integer, at least 1, got 0"],
    [{ spo: "dual", beta: -1 }, "align: beta must be a number above 0, got -1"],
    [{ spo: { method: "dual", gamma: 1 } }, "with dual γ moves by itself"],
    [{ spo: { method: "hinge", gamma: "dual" } }, "a dual γ is not for the method hinge"],
    [{ spo: { method: "lookahead" } }, "alpha must be a number > 0"],
    [{ loss: "sigmoyd" }, 'did you mean "sigmoid"?'],
    [{ similarity: (): number => 1 }, "align: similarity is for the loss aspo"],
    [{ loss: "aspo", images: [] }, "images are for similarity"],
    [{ loss: "aspo", lossOptions: { alpha: 0.3 } }, "alpha of aspo is the similarity's share"],
    [
      { loss: "aspo", similarity: (): number => 1, images: [], evaluation: pairs },
      "images are those of pairs: hold rows of them out",
    ],
    [{ loss: "sigmoid", lossOptions: { tau: 1 } }, "tau"],
    [{ completions }, "completions are for the losses kto and apo_zero_unpaired, each alone"],
    [
      { completions, loss: ["kto", "sft"] },
      "each alone, got kto with sft; other losses need pairs",
    ],
    [{ completions, loss: "kto" }, "completions and pairs are of different losses"],
    [{ ...unpaired, spo: true }, "align: spo is for losses of pairs, not for kto"],
    [{ ...unpaired, simpoGamma: 1 }, "align: simpo_gamma is for losses of pairs, not for kto"],
    [{ ...unpaired, lossOptions: { tau: 1 } }, "align: tau is for losses of pairs"],
    [{ loss: dpoLoss, beta: 0.3 }, "align: beta is for losses by name"],
    [{ spo: { method: "penalty", floorSteps: 2 } }, 'floorSteps are of the floor "optimum"'],
    [{ resume: true, overwrite: true }, "resume keeps the run that is there"],
    [{ seed: -1 }, "align: seed must be an integer, at least 0, got -1"],
    [{ warmupSteps: 1.5 }, "align: warmupSteps must be a number of steps, or a share below 1"],
    [{ pairs: [] }, "align: there are no rows"],
    [{ evaluation: [] }, "align: there are no rows"],
    [{ evaluation: completions }, "align: row 0 has no chosenIds; rows that readPreferences gives"],
    [{ pairs: completions }, "align: row 0 has no chosenIds; rows that readPreferences gives"],
  ] as const)("%j", async (own, message) => {
    await expect(align({ ...options("refused"), ...own } as AlignOptions)).rejects.toThrow(message);
    expect(existsSync(join(folder, "refused"))).toBe(false);
  });

  it("a directory with a model that no run wrote", async () => {
    const files = async () => {
      const names = (await readdir(join(folder, "model"))).sort();
      return Promise.all(names.map(async (name) => [name, await bytes("model", name)]));
    };
    const before = await files();
    for (const own of [{}, { lora: true }, { overwrite: true }, { resume: true }]) {
      await expect(align(options("model", own))).rejects.toThrow(
        /holds config\.json, which is of no run and would be lost; choose another directory/,
      );
    }
    expect(await files()).toEqual(before);
  });

  it("an adapter with settings of a new one", async () => {
    const adapter = initLora(lm, { rank: 3, alpha: 6, targets: "all-linear", seed: 0 });
    await expect(align(options("refused", { adapter, lora: { rank: 2 } }))).rejects.toThrow(
      /adapter has a rank, α and layers of its own.*leave lora out/,
    );
  });

  it("two orders of the rows", async () => {
    const own = options("refused", { order: "sequential", groupByLength: true });
    await expect(align(own)).rejects.toThrow(/order and groupByLength are two orders of the rows/);
  });
});

it("a run goes on with its own reference model alone", async () => {
  const parameters = await realize(treeMap((t) => mul(t, 1.1), lm.parameters));
  const reference = { ...lm, parameters, source: "another" };
  await align(options("referenced", { reference, maxSteps: 2 }));
  for (const own of [{}, { reference: lm }]) {
    await expect(
      align(options("referenced", { ...own, maxSteps: 2, resume: true })),
    ).rejects.toThrow(/holds a run with other settings \(reference\./);
  }
  await align(options("referenced", { reference, maxSteps: 2, resume: true }));
});

it("weights are hashed once, for settings, references and v*", async () => {
  const parameters = await realize(treeMap((t) => mul(t, 1.5), lm.parameters));
  const largest = Math.max(...treeLeaves(parameters).map((t) => 4 * sizeOf(t.shape)));
  const digest = vi.spyOn(crypto.subtle, "digest");
  const own = { lm: { ...lm, parameters }, spo: { floorSteps: 2 }, cache: join(folder, "hashes") };
  await align(options("hashed", { ...own, maxSteps: 1 }));
  const sizes = digest.mock.calls.map(([, bytes]) => bytes.byteLength - 32);
  digest.mockRestore();
  const count = treeLeaves(parameters).filter((t) => 4 * sizeOf(t.shape) === largest).length;
  expect(sizes.filter((size) => size === largest)).toHaveLength(count);
});

it("a run goes on with another number of threads, and ends with the same bits", async () => {
  const own = { spo: { floorSteps: 2 }, maxSteps: 4 };
  const files = ["model.safetensors", "metrics.jsonl", "checkpoint-4/state.safetensors"];
  const device = treeLeaves(lm.parameters)[0]!.buffer!.home as WasmDevice;
  try {
    await setDevice("wasm", { threads: 1 });
    await align(options("alone", own));
    const signal = { aborted: false };
    const stop = {
      step({ step }: { step: number }) {
        signal.aborted = step === 2;
      },
    };
    await align(options("helped", { ...own, signal, observer: stop }));
    await setDevice("wasm", { threads: 2 });
    device.sharesAll = true;
    await align(options("helped", { ...own, resume: true }));
    expect(device.helped).toBeGreaterThan(100);
  } finally {
    device.sharesAll = false;
    await setDevice("wasm");
  }
  for (const name of files) {
    expect(await bytes("helped", name), name).toEqual(await bytes("alone", name));
  }
});

it("a model without a tokenizer is trained, and asked nothing", async () => {
  await align(options("mute", { lm: { ...lm, tokenizer: null }, lora: true, maxSteps: 1 }));
  const { answers, done } = await readRun(join(folder, "mute"), "mute");
  expect([answers, done]).toEqual([[], true]);
  expect(existsSync(join(folder, "mute", "report.html"))).toBe(true);
});

it("says so where there is nothing to go on with", async () => {
  const notices: string[] = [];
  const observer = { notice: (text: string) => void notices.push(text) };
  await align(options("nothing", { resume: true, maxSteps: 1, observer }));
  expect(notices).toEqual([
    "there is no checkpoint to go on from: the run begins at its first step",
  ]);
});

it("the version is the package's", () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  expect(VERSION).toBe(version);
});
