/**
 * Holds every room of `src/` to its budget in lines of code, without comments and blank lines. Fails
 * where one is exceeded; raising it is a line of the same change, with the reason.
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { linesOfCode } from "./linesOfCode.js";

const SOURCES = fileURLToPath(new URL("../src/", import.meta.url));

/** A room, or a file of that name: its budget, and what it is spent on. */
const BUDGETS: Readonly<Record<string, readonly [lines: number, reason: string]>> = {
  kernels: [525, "the language of kernels: indices, expressions and walks over them"],
  checks: [130, "checks of arguments and options, in words that name the fix"],
  tensor: [
    1170,
    "the graph, creation, randomness, storage in fewer bytes, evaluations done again, trees, and some 100 methods that forward",
  ],
  ops: [1660, "some 30 primitives with their derivatives, and what is composed of them"],
  autograd: [350, "gradients, Jacobians whole and in products, checkpoints, finite differences"],
  compiler: [
    1960,
    "partition, lowering, buffers, who takes them over and what is computed in those of results, the plan cache, plans run again on other tensors, debugging, reads in the order of evaluations",
  ],
  devices: [110, "what a device is, buffers that are resident, the order of sorts"],
  "devices/interpreter": [380, "the reference: every kernel once, in the plainest way"],
  "devices/wasm": [
    4520,
    "an assembler, transcendental functions in both precisions, products, elements in two bytes, steps computed band by band, products with vectors in parts that threads share, lines and rows asked of the memory ahead, threads",
  ],
  "devices/gpu": [
    3310,
    "two back ends and their memory, a tiled product, elements in two bytes, rewriting to a GPU's limits",
  ],
  optim: [850, "three optimizers, chains of links, parameter groups, averages, schedules"],
  nn: [700, "layers as functions, losses of supervised learning, dropout, packing"],
  logprobs: [360, "log-probabilities of labels, whole, packed and in chunks"],
  losses: [2120, "some 40 losses, and what they share"],
  "losses/names": [400, "losses by the names and options that TRL has for them"],
  bilevel: [940, "the methods of bilevelStep, two linear solvers"],
  dynamics: [800, "predictions of what a step changes, the recorder, its figure"],
  interop: [200, "losses for models of other libraries"],
  files: [
    1145,
    "trees in safetensors, rounding to files' types, addresses, fingerprints, files and directories written whole or not at all, matrices turned round",
  ],
  models: [
    4290,
    "one decoder, its families, the hub, directories read ahead and written, adapters, tokenizers as Python's, generation with a cache",
  ],
  data: [
    2380,
    "records of JSON, Parquet and the hub, formats of rows, prompts alone, their tokens as TRL has them and safely, problems with their lines, prompts that are shared or repeated, damaged files, rows on the disk with a checksum, sentences of completions",
  ],
  training: [
    4770,
    "the loop with its options and log, orders and schedules of TRL, run directories, how they are gone on with and their locks, journals of lines with a lock, what does not go together, objectives of pairs, judged completions and texts, references and what losses read of them in every step, SPO's v*",
  ],
  methods: [
    1320,
    "choosing pairs, rewards, their checks and the implicit one, candidates, the rounds of RSO and APO and how they go on, ASPO from texts to a model, and what all of the room exports",
  ],
  "methods/diffusion": [
    530,
    "a noise schedule, sampling, errors of denoisers, training and aligning by them, and their checks",
  ],
  "methods/chat": [
    780,
    "models behind endpoints, of the AI SDK and loaded; limits, retries, a budget and a transcript for all of them",
  ],
  "methods/prompts": [
    660,
    "a judge, a writer, fences around what they are shown, and the search for a prompt",
  ],
  "training/settings": [
    1010,
    "the table of some 80 settings, the kinds of their values, TRL's names",
  ],
  cli: [
    2300,
    "ten commands, their options from flags and files, what they print, a live page; the ninth is the search for a prompt with its own options, the tenth samples pairs: rewards of three kinds, an output that is gone on with",
  ],
  core: [80, "what prefgrad/core exports"],
  index: [15, "what prefgrad exports"],
};

/** The most lines of a file in `losses/`. */
const LOSS = 110;

const files = readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
  .map((name) => name.replaceAll("\\", "/"))
  .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
  .map((name) => ({ name, lines: linesOfCode(readFileSync(SOURCES + name, "utf8")) }));

/** Whose budget a file is part of: the most specific room that has one. */
function roomOf(name: string): string {
  const folders = name.replace(/\.ts$/, "").split("/");
  for (let depth = Math.max(1, folders.length - 1); depth > 1; depth--) {
    const room = folders.slice(0, depth).join("/");
    if (room in BUDGETS) return room;
  }
  return folders[0]!;
}

const spent = new Map<string, number>(Object.keys(BUDGETS).map((room) => [room, 0]));
for (const { name, lines } of files) {
  const room = roomOf(name);
  spent.set(room, (spent.get(room) ?? 0) + lines);
}

const faults: string[] = [];
for (const [room, lines] of spent) {
  const [budget, reason] = BUDGETS[room] ?? [0, "no budget: give it one in .ci/lines.ts"];
  console.log(`${String(lines).padStart(6)} of ${String(budget).padStart(5)}  ${room}: ${reason}`);
  if (lines > budget)
    faults.push(`src/${room} has ${lines} lines of code, its budget is ${budget}`);
}
for (const { name, lines } of files) {
  if (roomOf(name) !== "losses" || lines <= LOSS) continue;
  faults.push(`src/${name} has ${lines} lines of code, a loss at most ${LOSS}`);
}
for (const fault of faults) console.error(fault);
if (faults.length > 0) {
  console.error("cut what is not needed, or raise the budget in .ci/lines.ts and say why");
  process.exit(1);
}
