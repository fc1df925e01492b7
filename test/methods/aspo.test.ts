/**
 * ASPO in one call: what it trains on, how often it asks for similarities, and how it goes on.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { decodeTree, encodeTree } from "../../src/files/index.js";
import {
  type AspoOptions,
  type AspoProgress,
  type AspoState,
  aspo,
  fit,
  fullPolicy,
  type LoadedModel,
  loadModel,
  preferenceObjective,
  readPreferences,
  sequenceLogProbs,
  type Tokenizer,
  tensor,
  treeLeaves,
  treeNamed,
  withReferences,
  withSentences,
} from "../../src/index.js";
import type { DecoderParameters } from "../../src/models/decoder.js";
import { TINY, tinyFiles } from "../models/tinyCheckpoint.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";

type Lm = LoadedModel & { readonly tokenizer: Tokenizer };
let lm: Lm;
beforeAll(async () => {
  const config = { ...TINY.qwen3, vocab_size: 257, eos_token_id: 256 };
  const own = tokenizerFiles(byteLevel({ added: [{ content: "<end>" }] }), { eos_token: "<end>" });
  lm = (await loadModel({ ...(await tinyFiles(config)), ...own })) as Lm;
});

const data = [
  { prompt: "A: ", chosen: "Red. Big.", rejected: "No.", image: "red" },
  { prompt: "B: ", chosen: "Big. Blue! So.", rejected: "Why?", image: "blue" },
  { prompt: "C: ", chosen: "Red. Big.", rejected: "Oh.", image: "red" },
  { prompt: "D: ", chosen: "One", rejected: "Two.", image: "blue" },
  { prompt: "E: ", chosen: "Éa. No.", rejected: "Z", image: "red" },
];
const similarity = (sentence: string, image: unknown): number =>
  Number(sentence.toLowerCase().includes(image as string));
const training = { learningRate: 1e-2, batchSize: 2, epochs: 3, saveEvery: 2 };
const options = (): AspoOptions<DecoderParameters> => ({ lm, data, similarity, training });

/** The bits of a tree. */
async function bitsOf(tree: unknown): Promise<Record<string, number[]>> {
  const all = Object.entries(treeNamed(tree)).map(async ([name, t]) => {
    const { buffer, byteOffset, byteLength } = await t.data();
    return [name, Array.from(new Uint8Array(buffer, byteOffset, byteLength))] as const;
  });
  return Object.fromEntries(await Promise.all(all));
}

describe("aspo", () => {
  it("trains as fit does on the same rows with ASPO's loss", async () => {
    const heard: AspoProgress[] = [];
    const found = await aspo({
      ...options(),
      alpha: 0.3,
      beta: 0.2,
      normalize: "rewards",
      onProgress: (progress) => {
        heard.push(progress);
      },
    });
    const policy = fullPolicy(lm);
    const read = await readPreferences(data, lm.tokenizer, { maxLength: 64 });
    const images = data.map(({ image }) => image);
    const rows = withSentences(read.rows, lm.tokenizer, { similarity, images });
    const referenced = await withReferences(rows, { policy, batchSize: 2, multipleOf: 32 });
    const lossOptions = { alpha: 0.3, beta: 0.2, normalize: "rewards" };
    const own = { policy, reference: policy, loss: "aspo", lossOptions, multipleOf: 32 } as const;
    const wanted = await fit({
      ...training,
      parameters: lm.parameters,
      objective: preferenceObjective(own),
      data: referenced.rows,
    });
    expect(await bitsOf(found.parameters)).toEqual(await bitsOf(wanted.parameters));
    expect(await bitsOf(found.parameters)).not.toEqual(await bitsOf(lm.parameters));
    expect(found).toMatchObject({ done: true, sentences: 10, summary: { kept: 5 }, steps: 9 });
    expect(found.loss).toBeGreaterThan(0);
    expect(heard.slice(0, 6)).toEqual([
      ...[1, 2, 3, 4, 5].map((done) => ({ phase: "similarity", done, of: 5 })),
      { phase: "train", done: 1, of: 9, loss: expect.closeTo(Math.LN2, 5) },
    ]);
    expect(heard.at(-1)).toMatchObject({ phase: "train", done: 9, of: 9 });
  });

  it("is DPO where completions have one sentence, and is not where they have more", async () => {
    const single = data.map((row) => ({ ...row, chosen: row.chosen.replace(/[.!] .*/, ".") }));
    const policy = fullPolicy(lm);
    for (const [rows, isDpo] of [
      [single, true],
      [data, false],
    ] as const) {
      const found = await aspo({ ...options(), data: rows });
      const read = await readPreferences(rows, lm.tokenizer, { maxLength: 64 });
      const referenced = await withReferences(read.rows, { policy, multipleOf: 32 });
      const dpo = await fit({
        ...training,
        parameters: lm.parameters,
        objective: preferenceObjective({ policy, multipleOf: 32 }),
        data: referenced.rows,
      });
      let distance = 0;
      const others = treeLeaves(dpo.parameters);
      for (const [i, t] of treeLeaves(found.parameters).entries()) {
        distance = Math.max(distance, await t.sub(others[i]!).abs().max().item());
      }
      if (isDpo) expect(distance).toBeLessThan(1e-4);
      else expect(distance).toBeGreaterThan(1e-3);
    }
  });

  it("raises a sentence that fits its image above one that does not", async () => {
    // Two sentences of equal length, of which the image knows the first or the second.
    const ratios: number[][] = [];
    for (const image of ["red", "big"]) {
      const pairs = [{ prompt: "A: ", chosen: "Red. Big.", rejected: "No.", image }];
      const { parameters } = await aspo({
        ...options(),
        data: pairs,
        alpha: 1,
        training: { ...training, batchSize: 1, epochs: 4, learningRate: 3e-3 },
      });
      const ids = lm.tokenizer.encode("A: Red. Big.");
      const ofTokens = async (at: DecoderParameters, from: number, to: number) => {
        const all = tensor([ids], { dtype: "int32" });
        const logits = lm.model.hidden(at, all).matmul(lm.model.headWeight(at).transpose());
        const mask = tensor([ids.map((_, t) => t >= from && t < to)], { dtype: "bool" });
        return (await sequenceLogProbs(logits, all, mask).data())[0]!;
      };
      const raised = async (from: number, to: number) =>
        (await ofTokens(parameters, from, to)) - (await ofTokens(lm.parameters, from, to));
      ratios.push([await raised(3, 7), await raised(7, 12)]);
    }
    const [[redFirst, bigSecond], [redOther, bigOther]] = ratios as [number[], number[]];
    expect(redFirst! - bigSecond!).toBeGreaterThan(redOther! - bigOther! + 1e-3);
  });

  it("asks for each sentence and image once", async () => {
    const asked: string[] = [];
    const counted = async (sentence: string, image: unknown) => {
      asked.push(`${sentence} ${image}`);
      return similarity(sentence, image);
    };
    await aspo({ ...options(), similarity: counted });
    expect(asked).toEqual([
      ...["Red. red", "Big. red", "Big. blue", "Blue! blue", "So. blue"],
      ...["One blue", "Éa. red", "No. red"],
    ]);
    // Rows that can be read once only are read once.
    async function* stream() {
      yield* data;
    }
    asked.length = 0;
    const { done } = await aspo({ ...options(), data: stream(), similarity: counted });
    expect([done, asked.length]).toEqual([true, 8]);
  });

  it("weighs by perplexity alone without a similarity, and takes one that looks at no image", async () => {
    const { similarity: _, ...plain } = options();
    const alone = await aspo(plain);
    const blind = await aspo({
      ...options(),
      data: data.map(({ image: __, ...row }) => row),
      similarity: (sentence, image) => (image === undefined ? sentence.length : Number.NaN),
      imageColumn: null,
    });
    const both = [alone, blind, await aspo(options())];
    const bits = await Promise.all(both.map(({ parameters }) => bitsOf(parameters)));
    expect(bits[0]).not.toEqual(bits[1]);
    expect(bits[0]).not.toEqual(bits[2]);
    // Images under another name, an adapter, SPO around it.
    const named = data.map(({ image, ...row }) => ({ ...row, picture: image }));
    const adapted = await aspo({
      ...options(),
      ...{ data: named, imageColumn: "picture", spo: { gamma: 0.1 } },
      lora: { rank: 2, alpha: 4, targets: "all-linear" },
    });
    expect(adapted.done).toBe(true);
    expect(await bitsOf(adapted.parameters)).not.toEqual(await bitsOf(lm.parameters));
  });

  it("ends with the same bits after it was stopped anywhere, and asks for nothing again", async () => {
    const whole = await aspo(options());
    for (const stop of [2, 5, 8, 11]) {
      const signal = { aborted: false };
      const asked: string[] = [];
      const counted = (sentence: string, image: unknown) => {
        asked.push(sentence);
        return similarity(sentence, image);
      };
      const saved: AspoState[] = [];
      let heard = 0;
      const half = await aspo({
        ...options(),
        similarity: counted,
        signal,
        saveEvery: 2,
        onSave: (state) => {
          saved.push(state);
        },
        onProgress: () => {
          signal.aborted = ++heard === stop;
        },
      });
      expect([half.done, await bitsOf(half.parameters)]).toEqual([
        false,
        await bitsOf(lm.parameters),
      ]);
      expect(saved.length).toBeGreaterThan(0);
      const from = await decodeTree<AspoState>(await encodeTree(half.state));
      const before = asked.length;
      const rest = await aspo({ ...options(), similarity: counted, from });
      expect(rest.done).toBe(true);
      expect(await bitsOf(rest.parameters)).toEqual(await bitsOf(whole.parameters));
      // What rows have in the state is not asked for again.
      expect(asked.slice(0, before)).toContain("Blue!");
      expect(asked.slice(before)).toEqual(stop === 2 ? ["Red.", "Big.", "One", "Éa.", "No."] : []);
      // And from the state that was saved last, as after a kill.
      const again = await aspo({ ...options(), from: saved.at(-1)! });
      expect(await bitsOf(again.parameters)).toEqual(await bitsOf(whole.parameters));
    }
  });

  it("refuses what it cannot train on, before it asks for anything", async () => {
    let asked = 0;
    const counted = () => ++asked;
    const refused = async (own: object, message: RegExp | string) => {
      const given = { ...options(), similarity: counted, ...own } as never;
      await expect(aspo(given)).rejects.toThrow(message);
    };
    await refused({ losss: 1 }, "aspo: has no option `losss`");
    await refused(
      { lm: { ...lm, tokenizer: null } },
      "aspo: texts are divided into sentences, so lm",
    );
    await refused({ lm: undefined }, /aspo: lm must be a model/);
    await refused({ training: undefined }, "aspo: training must be options of fit");
    await refused({ training: { epochs: 1 } }, /learningRate/);
    await refused({ alpha: 2 }, "aspo: alpha must be a number in [0, 1], got 2");
    await refused({ beta: 0 }, /beta must be/);
    await refused({ normalize: "no" }, /normalize must be one of/);
    await refused({ similarity: undefined, alpha: 0.5 }, "aspo: alpha is of similarity");
    await refused(
      { similarity: undefined, imageColumn: "a" },
      "aspo: imageColumn is of similarity",
    );
    await refused({ similarity: 3 }, /similarity/);
    await refused({ saveEvery: 0 }, /saveEvery/);
    await refused(
      { imageColumn: "img" },
      /aspo: row 0 has no img \(rows have prompt, chosen, rejected, image\); imageColumn/,
    );
    await refused({ data: [{ prompt: "a", chosen: "b" }] }, /rejected is missing/);
    await refused({ reading: { columns: { prompt: "q" } } }, /no row has q/);
    expect(asked).toBe(0);
    await refused(
      { similarity: () => Number.NaN },
      'similarity must give a finite number, got NaN for row 0, "Red. "',
    );
    const { state } = await aspo({ ...options(), signal: { aborted: true } });
    for (const [own, message] of [
      [
        { alpha: 0.1 },
        /aspo: from is of a run with other settings \(lossOptions\.alpha was not set/,
      ],
      [{ locale: "de" }, /locale was "en", now "de"/],
      [{ data: data.slice(1) }, /rows was/],
      [{ training: { ...training, learningRate: 1 } }, /fit\./],
    ] as const) {
      await refused({ from: state, ...own }, message);
    }
  });
});
