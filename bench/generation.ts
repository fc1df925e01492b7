/**
 * Time per token of generation after 64 and after 512 positions, with a cache of keys and values and without one:
 * `npm run build && node --import tsx bench/generation.ts`. Processor time of one thread, which other processes change little.
 */

import {
  type DecoderParameters,
  decoder,
  generateStream,
  type LanguageModel,
  setDevice,
  treeLeaves,
} from "../dist/index.js";

const layer = { rotary: { theta: 10_000, width: 64 } };
const model = decoder({
  vocabularySize: 2048,
  contextLength: 1024,
  width: 320,
  layers: new Array(8).fill(layer),
  heads: 5,
  keyValueHeads: 5,
  headWidth: 64,
  norm: "rms",
  normEpsilon: 1e-5,
  normPlacement: "pre",
  learntPositions: false,
  attention: { fused: false, inputBias: false, outputBias: false, queryKeyNorm: "none" },
  feedForward: { width: 864, kind: "gated", activation: "silu", bias: false },
  tiedHead: true,
});
await setDevice("wasm", { threads: 1 });
const parameters = model.init(0);
const { cached: _, ...uncached } = model;

function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Milliseconds of each token but the first, whose time is the prompt's. */
async function times(own: LanguageModel<DecoderParameters>, positions: number, count: number) {
  const prompt = Array.from({ length: positions - count }, (_, i) => (7 * i) % 2048);
  const found: number[] = [];
  let last = processorTime();
  for await (const __ of generateStream(own, parameters, [prompt], { maxNewTokens: count })) {
    const now = processorTime();
    found.push(now - last);
    last = now;
  }
  return found.slice(1);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

const ROWS = [
  { name: "cached", own: model, count: 48 },
  { name: "recomputed", own: uncached, count: 3 },
];
const PLACES = [64, 512];
const found = new Map<string, number[]>();
for (let round = 0; round < 4; round++) {
  for (const { name, own, count } of ROWS) {
    for (const positions of PLACES) {
      const measured = await times(own, positions, count);
      // The first round compiles.
      if (round > 0)
        found.set(`${name} ${positions}`, [
          ...(found.get(`${name} ${positions}`) ?? []),
          ...measured,
        ]);
    }
  }
}
const size = treeLeaves(parameters).reduce((sum, t) => sum + t.size, 0);
console.log(`${(size / 1e6).toFixed(1)} M parameters, one text; milliseconds per token, medians`);
for (const { name } of ROWS) {
  const [near, far] = PLACES.map((positions) => median(found.get(`${name} ${positions}`)!));
  console.log(
    `${name.padEnd(10)} at 64: ${near!.toFixed(2)}  at 512: ${far!.toFixed(2)}  ratio ${(far! / near!).toFixed(2)}`,
  );
}
