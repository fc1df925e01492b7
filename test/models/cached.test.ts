/**
 * Generation with a cache of keys and values against the same models without one.
 */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Decoder,
  type DecoderParameters,
  decoder,
  deviceStatistics,
  type GeneratedToken,
  type GenerateOptions,
  generate,
  generateStream,
  type LanguageModel,
  realize,
  setDevice,
  tensor,
  treeLeaves,
} from "../../src/index.js";
import { FAMILY_DECODERS } from "./tinyFamilies.js";

/** The model without its cache: all of every text is computed for each token. */
function recomputing({ config, hidden, headWeight }: Decoder): LanguageModel<DecoderParameters> {
  return { config, hidden, headWeight };
}

const promptOf = (length: number, seed: number): number[] =>
  Array.from({ length }, (_, i) => (seed * i * i + 3 * i + seed) % 40);

async function written(
  model: LanguageModel<DecoderParameters>,
  parameters: DecoderParameters,
  prompts: number[][],
  options: GenerateOptions,
): Promise<GeneratedToken[]> {
  const found: GeneratedToken[] = [];
  for await (const token of generateStream(model, parameters, prompts, options)) found.push(token);
  return found;
}

function expectSame(
  own: readonly GeneratedToken[],
  wanted: readonly GeneratedToken[],
  accept: number,
): void {
  expect(own.map(({ row, token }) => [row, token])).toEqual(
    wanted.map(({ row, token }) => [row, token]),
  );
  for (const [i, { logProb }] of wanted.entries()) {
    expect(Math.abs(own[i]!.logProb - logProb)).toBeLessThan(accept);
  }
}

describe.each([
  { device: "wasm", dtype: "float64", accept: 1e-10 },
  { device: "wasm", dtype: "float32", accept: 2e-5 },
] as const)("with a cache, on $device in $dtype", ({ dtype, accept }) => {
  beforeAll(() => setDevice("wasm"));

  it.each(Object.keys(FAMILY_DECODERS))(
    "%s writes what it writes without, with windows and texts of 64 positions crossed",
    async (name) => {
      const model = FAMILY_DECODERS[name]!;
      const parameters = model.init(name, { std: 0.3, dtype });
      const prompts = [promptOf(60, 7), promptOf(3, 11), promptOf(1, 5)];
      const options = { maxNewTokens: 8, temperature: 1, seed: 3 };
      expectSame(
        await written(model, parameters, prompts, options),
        await written(recomputing(model), parameters, prompts, options),
        accept,
      );
    },
  );
});

describe("with a cache, on the interpreter", () => {
  beforeAll(() => setDevice("interpreter"));
  afterAll(() => setDevice("wasm"));

  it.each(["gemma2", "gpt2"])("%s writes what it writes without", async (name) => {
    const model = FAMILY_DECODERS[name]!;
    const parameters = model.init(name, { std: 0.3, dtype: "float64" });
    const prompts = [promptOf(7, 7), promptOf(2, 11)];
    const options = { maxNewTokens: 3 };
    expectSame(
      await written(model, parameters, prompts, options),
      await written(recomputing(model), parameters, prompts, options),
      1e-10,
    );
  });
});

describe("with a cache", () => {
  const model = FAMILY_DECODERS.gemma2!;
  const parameters = model.init(0, { std: 0.3 });
  beforeAll(() => setDevice("wasm"));

  it("a prompt has the same continuation alone and in a batch, whose rows may end early", async () => {
    const prompts = [promptOf(20, 3), promptOf(2, 7), promptOf(33, 5)];
    const options = { maxNewTokens: 12 };
    const alone: number[][] = [];
    for (const prompt of prompts) {
      alone.push((await generate(model, parameters, [prompt], options))[0]!);
    }
    expect(await generate(model, parameters, prompts, options)).toEqual(alone);
    const stop = alone[1]![2]!;
    const cut = (row: number[]) => (row.includes(stop) ? row.slice(0, row.indexOf(stop) + 1) : row);
    expect(await generate(model, parameters, prompts, { ...options, stopTokens: stop })).toEqual(
      alone.map(cut),
    );
  });

  it("computes a prompt of several pieces as a whole", async () => {
    const layer = { rotary: { theta: 1000, width: 4 }, window: 300 };
    const long = decoder({ ...model.config, contextLength: 1100, layers: [layer, { ...layer }] });
    const prompts = [promptOf(1030, 3), promptOf(500, 7), promptOf(520, 11)];
    const options = { maxNewTokens: 3 };
    expectSame(
      await written(long, parameters, prompts, options),
      await written(recomputing(long), parameters, prompts, options),
      2e-5,
    );
  });

  it("compiles for size classes, not for tokens", async () => {
    const own = decoder({ ...model.config, width: 12 });
    const weights = own.init(0);
    const compiled = async (length: number, maxNewTokens: number) => {
      const { plansCompiled } = await deviceStatistics();
      await generate(own, weights, [promptOf(length, 7)], { maxNewTokens });
      return (await deviceStatistics()).plansCompiled - plansCompiled;
    };
    // The prompt's piece of 16 and the step in 64 slots; then nothing; then growth, and the step in 128 slots.
    expect(await compiled(5, 20)).toBe(2);
    expect(await compiled(16, 40)).toBe(0);
    expect(await compiled(9, 80)).toBe(2);
    expect(await compiled(3, 90)).toBe(0);
  });

  it("holds no memory afterwards, also when the loop is left early", async () => {
    const bytes = async () => (await deviceStatistics()).bytes;
    await generate(model, parameters, [[1, 2]], { maxNewTokens: 2 });
    const before = await bytes();
    await generate(model, parameters, [[1, 2]], { maxNewTokens: 40 });
    expect(await bytes()).toBe(before);
    let during = 0;
    for await (const _ of generateStream(model, parameters, [[1, 2]], { maxNewTokens: 40 })) {
      during = await bytes();
      break;
    }
    expect(during).toBeGreaterThan(before);
    expect(await bytes()).toBe(before);
  });

  it("steps from any slot at which a caller keeps tokens", async () => {
    const i32 = (data: number | number[][]) => tensor(data, { dtype: "int32" });
    const text = promptOf(9, 7);
    const at = (from: number, to: number) =>
      [
        i32([text.slice(from, to)]),
        i32([Array.from({ length: to - from }, (_, i) => from + i)]),
      ] as const;
    const { step, init } = model.cached;
    const first = step(parameters, init(parameters, 1, 20), ...at(0, 4), i32(2));
    // The last two slots of the first step are given to other tokens.
    const second = step(parameters, first.cache, ...at(2, 9), i32(4));
    await realize(second);
    const whole = model.hidden(parameters, i32([text])).slice(null, [2]);
    const [own, wanted] = [await second.hidden.data(), await whole.data()];
    for (const [i, value] of wanted.entries()) expect(own[i]).toBeCloseTo(value, 4);
    expect(treeLeaves(second.cache).every((t) => t.shape[0] === 20)).toBe(true);
  });
});
