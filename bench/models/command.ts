/**
 * `npm run bench -- models`: models of published sizes, with PyTorch, transformers and PEFT as the peer.
 */

import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { contains } from "../runner/choose.js";
import { machine } from "../runner/machine.js";
import { CONFIGURATIONS, type ModelName } from "./configurations.js";
import { type RaceReport, race } from "./race.js";
import { raceMarkdown, raceText } from "./report.js";
import { GPU_WORKLOADS, WORKLOADS, type Workload } from "./workloads.js";

interface Options {
  readonly filter: string;
  readonly threads: readonly number[];
  readonly model?: ModelName;
  readonly peers: boolean;
  readonly rounds: number;
  readonly tokens: number;
  readonly length: number;
  readonly list?: boolean;
  readonly json?: string;
  readonly markdown?: string;
}

/** Reads a whole number of at least `least` that `unit` divides. */
const count =
  (least: number, unit = 1) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value % unit === 0) return value;
    const kind = unit === 1 ? "a whole number" : `a multiple of ${unit}`;
    throw new InvalidArgumentError(`It must be ${kind}, at least ${least}.`);
  };

const counts = (text: string): number[] => text.split(",").map(count(1));

/** The subcommand. */
export function modelsCommand(): Command {
  return new Command("models")
    .description(
      "Training steps, decoding, scoring and loading at the size of SmolLM2-135M and Qwen2.5-0.5B, weights random. " +
        "PyTorch takes part where a Python has torch, transformers and peft: the environment variable PYTHON, or python3.",
    )
    .option("-f, --filter <text>", "only workloads whose name contains the text", "")
    .addOption(
      new Option("-t, --threads <counts>", "numbers of threads, by commas")
        .argParser(counts)
        .default([...new Set([1, availableParallelism()])], "1 and all"),
    )
    .addOption(
      new Option(
        "-m, --model <name>",
        "the model of all workloads (default: each one's own)",
      ).choices(Object.keys(CONFIGURATIONS)),
    )
    .option("--no-peers", "without PyTorch")
    .option("-r, --rounds <n>", "runs after the first", count(1), 5)
    .option("--tokens <n>", "tokens to decode", count(1), 128)
    .option("--length <n>", "tokens of a sequence, half of them the prompt", count(4, 2), 256)
    .option("-l, --list", "list workloads and who takes part")
    .option("--json <file>", "write everything measured")
    .option("--markdown <file>", "write a table")
    .action((options: Options) => runModels(WORKLOADS, options));
}

/** What `npm run bench -- gpu --models` does: a cut-down model, in both storages, checked against the WebAssembly device. */
export async function runGpuModels(options: {
  readonly json?: string;
  readonly markdown?: string;
  readonly model?: ModelName;
}): Promise<void> {
  const { model = "tiny" } = options;
  await runModels(GPU_WORKLOADS, {
    filter: "",
    threads: [availableParallelism()],
    peers: false,
    rounds: 3,
    tokens: 32,
    length: 64,
    ...options,
    model,
  });
}

async function runModels(all: readonly Workload[], options: Options): Promise<void> {
  const chosen = all
    .filter(({ name }) => contains(name, options.filter))
    .map((own) => ({
      ...own,
      contestants: own.contestants.filter(({ manner }) => options.peers || manner !== null),
    }));
  if (options.list) {
    for (const { name, model, contestants } of chosen) {
      console.log(`${name}, ${model}: ${contestants.map((own) => own.name).join("; ")}`);
    }
    return;
  }
  const here = machine();
  console.log(
    `${here.cpu}, ${here.cores} cores, Node ${here.node}, load ${here.load.toFixed(1)}\n`,
  );
  if (here.load > 0.5)
    console.log("Others are at work on this machine: trust ratios, not times.\n");
  const reports: RaceReport[] = [];
  for (const workload of chosen) {
    for (const threads of options.threads) {
      const report = await race(workload, {
        model: options.model ?? workload.model,
        threads,
        rounds: options.rounds,
        newTokens: options.tokens,
        length: options.length,
      });
      reports.push(report);
      console.log(raceText(report));
      if (options.json) {
        writeFileSync(options.json, `${JSON.stringify({ machine: here, reports }, null, 1)}\n`);
      }
      if (options.markdown) writeFileSync(options.markdown, raceMarkdown(reports));
    }
  }
  const failed = reports.flatMap(({ failures }) => failures);
  // Wrong are numbers that differ, whoever's they are; PyTorch may be missing.
  const isWrong = ({ name, reason }: (typeof failed)[number]): boolean =>
    name !== "PyTorch" || reason.startsWith("wrong numbers");
  if (failed.some(isWrong)) process.exitCode = 1;
}
