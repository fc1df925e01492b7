/**
 * Sentence-level preference optimization on scenes of imperfect writers: a description has a sentence on colour, shape and
 * place each, and each is wrong now and then. A small GPT imitates the writers; from that checkpoint it is trained on pairs in
 * which the chosen description has more right sentences, by DPO and by ASPO, with and without a similarity that knows the
 * scene, with and without SPO. Several seeds, means with 95 % intervals of the share of right sentences on scenes that were held out:
 * a table, and with `--figure` a figure.
 * `node --import tsx bench/demo/sentences.ts --seeds 0,1,2 --figure docs/images/aspo.svg`
 * @module
 */

import { writeFile } from "node:fs/promises";
import { Command } from "commander";
import {
  adamw,
  aspo,
  fit,
  fullPolicy,
  type GptParameters,
  generate,
  gpt,
  loadTokenizer,
  preferenceObjective,
  randomGenerator,
  readPreferences,
  type SentenceSimilarity,
  type Tokenizer,
  textObjective,
  withReferences,
} from "../../src/index.js";
import { intervalOf, intervalText, seedsIn } from "./interval.js";
import { spoChanges } from "./spoChanges.js";
import { variantsFigure } from "./variantsFigure.js";

/** What the names of variants with SPO end with. */
const WITH_SPO = " + SPO";

/** What a scene has one of each. */
const PROPERTIES = [
  ["red", "blue", "green", "grey"],
  ["ball", "cube", "cone", "ring"],
  ["left", "right", "above", "below"],
] as const;
/** A value of each property. The prompt stands for the image, which this model cannot see. */
type Scene = readonly string[];

const scenes: readonly Scene[] = PROPERTIES[0].flatMap((colour) =>
  PROPERTIES[1].flatMap((shape) => PROPERTIES[2].map((place) => [colour, shape, place])),
);
const promptOf = (scene: Scene): string => `${scene.join(" ")}>`;
const sentencesOf = (said: Scene): readonly string[] => [
  `It is ${said[0]}.`,
  `It is a ${said[1]}.`,
  `It is ${said[2]}.`,
];
const textOf = (said: Scene): string => sentencesOf(said).join(" ");

/** 1 for a sentence that is true of the scene, else 0. */
const truth: SentenceSimilarity = (sentence, scene) =>
  Number(sentencesOf(scene as Scene).includes(sentence));

/** A tokenizer of bytes, and an end. */
function byteTokenizer(): Promise<Tokenizer> {
  const printable = (byte: number) =>
    (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  let next = 0x100;
  const characters = Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(printable(byte) ? byte : next++),
  );
  const bytes = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: false,
  };
  const added = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  const json = {
    version: "1.0",
    added_tokens: [{ id: 256, content: "<end>", special: true, ...added }],
    normalizer: null,
    pre_tokenizer: bytes,
    post_processor: null,
    decoder: bytes,
    model: {
      type: "BPE",
      vocab: Object.fromEntries(characters.map((character, id) => [character, id])),
      merges: [],
    },
  };
  const file = (value: object) => new TextEncoder().encode(JSON.stringify(value));
  return loadTokenizer({
    "tokenizer.json": file(json),
    "tokenizer_config.json": file({ eos_token: "<end>" }),
  });
}

interface Sizes {
  readonly sftSteps: number;
  readonly pairs: number;
  readonly epochs: number;
  readonly learningRate: number;
}

/** Shares of right sentences, by the way of training. */
async function measure(seed: number, sizes: Sizes): Promise<ReadonlyMap<string, number>> {
  const next = randomGenerator(`scenes ${seed}`);
  const tokenizer = await byteTokenizer();
  const any = <T>(of: readonly T[]): T => of[Math.floor(next() * of.length)]!;
  const shuffled = scenes.map((scene) => [next(), scene] as const).sort(([a], [b]) => a - b);
  const [held, seen] = [shuffled.slice(0, 16), shuffled.slice(16)].map((own) =>
    own.map(([, scene]) => scene),
  );
  /** What a writer says of a scene: each sentence right with probability 0.6, or of any value. */
  const said = (scene: Scene): Scene =>
    scene.map((value, i) => (next() < 0.6 ? value : any<string>(PROPERTIES[i]!)));
  const right = (scene: Scene, of: Scene): number => of.filter((v, i) => v === scene[i]).length;

  const model = gpt({ vocabularySize: 257, contextLength: 72, width: 64, layers: 2, heads: 4 });
  const init = model.init(seed, { std: 0.05 });
  const texts = Array.from({ length: 2000 }, (_, row) => {
    const scene = any(seen!);
    const prompt = tokenizer.encode(promptOf(scene));
    const ids = [...prompt, ...tokenizer.encode(textOf(said(scene))), 256];
    return { row, ids, trained: ids.map((_, t) => Number(t >= prompt.length)) };
  });
  const { parameters } = await fit({
    parameters: init,
    objective: textObjective({ policy: fullPolicy({ model, parameters: init }), multipleOf: 32 }),
    data: texts,
    optimizer: adamw({ learningRate: 3e-3 }),
    batchSize: 32,
    maxSteps: sizes.sftSteps,
    seed,
  });
  const data: { prompt: string; chosen: string; rejected: string; image: Scene }[] = [];
  while (data.length < sizes.pairs) {
    const scene = any(seen!);
    const [one, other] = [said(scene), said(scene)];
    const difference = right(scene, one) - right(scene, other);
    if (difference === 0) continue;
    const [chosen, rejected] = (difference > 0 ? [one, other] : [other, one]).map(textOf);
    data.push({ prompt: promptOf(scene), chosen: chosen!, rejected: rejected!, image: scene });
  }

  /** Share of right sentences among those that the model writes of held-out scenes. */
  async function rightShare(at: GptParameters): Promise<number> {
    const asked = held!.flatMap((scene) => Array.from({ length: 32 }, () => scene));
    const written = await generate(
      model,
      at,
      asked.map((scene) => tokenizer.encode(promptOf(scene))),
      { maxNewTokens: 48, temperature: 1, stopTokens: 256, seed: `measured ${seed}` },
    );
    const shares = written.map((ids, i) => {
      const text = tokenizer.decode(ids, { skipSpecialTokens: true });
      const own = new Set(text.split(/(?<=\.) /));
      return sentencesOf(asked[i]!).filter((sentence) => own.has(sentence)).length / 3;
    });
    return shares.reduce((sum, share) => sum + share, 0) / shares.length;
  }

  const { epochs, learningRate } = sizes;
  const training = { learningRate, epochs, batchSize: 32, lrSchedulerType: "constant" as const };
  const lm = { model, parameters, tokenizer };
  const found = new Map([["before", await rightShare(parameters)]]);
  const note = async (name: string, at: GptParameters, from: number): Promise<void> => {
    found.set(name, await rightShare(at));
    const seconds = ((performance.now() - from) / 1000).toFixed(0);
    console.error(`seed ${seed}, ${name}: ${found.get(name)!.toFixed(3)}, ${seconds} s`);
  };
  const spo = { gamma: 1 };
  const policy = fullPolicy(lm);
  const pairs = await readPreferences(data, tokenizer);
  const { rows } = await withReferences(pairs.rows, { policy, batchSize: 32, multipleOf: 32 });
  for (const [name, own] of [
    ["DPO", {}],
    [`DPO${WITH_SPO}`, { spo }],
  ] as const) {
    const begun = performance.now();
    const objective = preferenceObjective({ policy, multipleOf: 32, ...own });
    const trained = await fit({ ...training, parameters, objective, data: rows });
    await note(name, trained.parameters, begun);
  }
  for (const [name, own] of [
    ["ASPO, perplexity alone", {}],
    ["ASPO, similarity, α 0.5", { similarity: truth }],
    ["ASPO, similarity, α 1", { similarity: truth, alpha: 1 }],
    [`ASPO, similarity, α 1${WITH_SPO}`, { similarity: truth, alpha: 1, spo }],
  ] as const) {
    const begun = performance.now();
    const trained = await aspo({ lm, data, training, ...own });
    await note(name, trained.parameters, begun);
  }
  return found;
}

const { seeds, figure, ...sizes } = new Command("sentences")
  .description("Measures DPO and ASPO on descriptions of scenes, and writes a table.")
  .option("--seeds <list>", "integers, separated by commas", seedsIn, [0, 1, 2])
  .option("--sft-steps <n>", "steps of imitation", Number, 400)
  .option("--pairs <n>", "pairs", Number, 480)
  .option("--epochs <n>", "passes over the pairs", Number, 2)
  .option("--learning-rate <x>", "of the pairs", Number, 5e-5)
  .option("--figure <file>", "where the figure goes; default: nowhere")
  .parse()
  .opts<{ seeds: number[]; figure?: string } & Sizes>();

const runs: ReadonlyMap<string, number>[] = [];
for (const seed of seeds) runs.push(await measure(seed, sizes));
const found = new Map(
  [...runs[0]!.keys()].map((name) => [name, runs.map((run) => run.get(name)!)] as const),
);
console.log("| | right sentences, mean ± 95 % |\n|---|---|");
for (const [name, values] of found) console.log(`| ${name} | ${intervalText(values)} |`);
for (const line of spoChanges(found, WITH_SPO)) console.log(line);
if (figure !== undefined) {
  const [start, ...variants] = [...found].map(([name, values]) => {
    return { name, seeds: values, marked: name.endsWith(WITH_SPO) };
  });
  const labels = {
    title: "Sentence by sentence",
    note: `right sentences when sampled, ${seeds.length} seeds`,
    level: { name: start!.name, value: intervalOf(start!.seeds)[0] },
  };
  await writeFile(figure, variantsFigure(labels, variants));
}
