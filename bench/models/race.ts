/**
 * Runs a workload: contestants take turns, each in its own process, and their numbers are compared.
 */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findPython, threadsOfPython } from "../peers/python.js";
import { LineProcess } from "../runner/lineProcess.js";
import { bench } from "../runner/paths.js";
import { checkpoint } from "./checkpoint.js";
import { CONFIGURATIONS, type ModelName } from "./configurations.js";
import { reading } from "./reading.js";
import { type Answer, batchBelow, LEARNING_RATES, STARTING_TOKENS, type Work } from "./work.js";
import { type Contestant, parameterCount, type Workload } from "./workloads.js";

/** What a contestant did. */
export interface Placing {
  readonly name: string;
  readonly version: string;
  /** Milliseconds of the first run in its process, compilation included. */
  readonly firstMs: number;
  /** Of the runs after it; of fresh processes, of all. */
  readonly milliseconds: readonly number[];
  readonly residentBytes: number | null;
  readonly deviceBytes: number | null;
}

/** What a workload gave. */
export interface RaceReport {
  readonly workload: string;
  readonly model: ModelName;
  readonly threads: number;
  /** Of one run, in the workload's unit. */
  readonly amount: number;
  readonly unit: Workload["unit"];
  readonly placings: readonly Placing[];
  readonly failures: readonly { readonly name: string; readonly reason: string }[];
}

export interface RaceOptions {
  readonly model: ModelName;
  readonly threads: number;
  /** Runs of each contestant after its first. */
  readonly rounds: number;
  /** Tokens to decode. */
  readonly newTokens: number;
  /** Tokens of a sequence; half of them are the prompt. */
  readonly length: number;
}

interface Entrant {
  readonly name: string;
  open(): Promise<string>;
  run(): Promise<Answer>;
  memory(): Promise<Answer>;
  close(): Promise<void>;
}

/** Runs a workload. */
export async function race(workload: Workload, options: RaceOptions): Promise<RaceReport> {
  const { model, rounds, newTokens, length, threads } = options;
  const directory = checkpoint(model);
  const adapter = join(directory, "adapter");
  // One that an older version made would not be this one's.
  rmSync(adapter, { recursive: true, force: true });
  const work: Work = {
    ...workload.work,
    model: directory,
    adapter,
    batch: batchBelow(CONFIGURATIONS[model].vocab_size, length),
    newTokens,
  };
  const failures: { name: string; reason: string }[] = [];
  const placings = new Map<
    string,
    { -readonly [K in keyof Placing]: Placing[K] } & { milliseconds: number[] }
  >();
  const entrants = workload.contestants.map((own) => entrantOf(own, work, options));
  const attempt = async (entrant: Entrant, doIt: () => Promise<void>): Promise<void> => {
    if (failures.some(({ name }) => name === entrant.name)) return;
    try {
      await doIt();
    } catch (error) {
      failures.push({ name: entrant.name, reason: (error as Error).message });
      placings.delete(entrant.name);
      await entrant.close();
    }
  };
  /** Of each run, the numbers of whoever ran it first. */
  const expected: (readonly number[])[] = [];
  const runOnce = async (entrant: Entrant, round: number): Promise<number> => {
    const { milliseconds, numbers } = await entrant.run();
    if (numbers) {
      expected[round] ??= numbers;
      checkNumbers(workload.work.task, numbers, expected[round]);
    }
    return milliseconds!;
  };
  for (const entrant of entrants) {
    await attempt(entrant, async () => {
      const version = await entrant.open();
      const firstMs = await runOnce(entrant, 0);
      placings.set(entrant.name, {
        name: entrant.name,
        version,
        firstMs,
        milliseconds: workload.fresh ? [firstMs] : [],
        residentBytes: null,
        deviceBytes: null,
      });
    });
  }
  for (let round = 1; round <= rounds; round++) {
    for (const entrant of entrants) {
      await attempt(entrant, async () => {
        if (workload.fresh) {
          await entrant.close();
          await entrant.open();
        }
        const placing = placings.get(entrant.name)!;
        placing.milliseconds.push(await runOnce(entrant, workload.fresh ? 0 : round));
      });
    }
  }
  for (const entrant of entrants) {
    await attempt(entrant, async () => {
      const { residentBytes = null, deviceBytes = null } = await entrant.memory();
      Object.assign(placings.get(entrant.name)!, { residentBytes, deviceBytes });
      await entrant.close();
    });
  }
  const amounts = {
    steps: 1,
    tokens: workload.work.task === "decode" ? newTokens : 4 * length,
    bytes: 4 * parameterCount(model),
  };
  return {
    workload: workload.name,
    model,
    threads,
    amount: amounts[workload.unit],
    unit: workload.unit,
    placings: [...placings.values()],
    failures,
  };
}

function entrantOf(
  { name, manner }: Contestant,
  work: Work,
  { threads, model, newTokens }: RaceOptions,
): Entrant {
  if (manner === "reading") {
    let read: (() => number) | undefined;
    const bytes = 4 * parameterCount(model);
    return {
      name,
      async open() {
        read = await reading(bytes);
        return `${(bytes / 1e6).toFixed(0)} MB`;
      },
      // A sixteenth of the reads tells the time of all.
      run: async () => {
        const times = Array.from({ length: Math.ceil(newTokens / 16) }, () => read!());
        return { milliseconds: (newTokens / times.length) * times.reduce((a, b) => a + b) };
      },
      memory: async () => ({}),
      close: async () => {
        read = undefined;
      },
    };
  }
  const script = (path: string): string => fileURLToPath(new URL(path, bench));
  let child: LineProcess<Answer> | undefined;
  const start = (): LineProcess<Answer> =>
    manner
      ? new LineProcess(process.execPath, [script("dist/modelWorker.js")])
      : new LineProcess(
          findPython("torch, transformers, peft"),
          [script("models/pytorch.py"), `${threads}`],
          threadsOfPython(threads),
        );
  return {
    name,
    async open() {
      child = start();
      const settings = {
        learningRate: LEARNING_RATES[work.trains],
        startingTokens: STARTING_TOKENS,
      };
      const question = { do: "prepare", ...work, ...manner, threads, ...settings };
      return (await child.ask(question)).version!;
    },
    run: () => child!.ask({ do: "run" }),
    memory: () => child!.ask({ do: "memory", ...manner }),
    close: async () => child?.close(),
  };
}

/** Tokens that two libraries' rounding decides alike, and relative differences of what are numbers. */
const SAME_TOKENS = 16;
const TOLERANCE = 2e-3;

/** @throws where numbers are not those expected. */
export function checkNumbers(
  task: Work["task"],
  numbers: readonly number[],
  expected: readonly number[],
): void {
  if (numbers.length !== expected.length) {
    throw new Error(`wrong numbers: ${numbers.length} of them, not ${expected.length}`);
  }
  const compared = task === "decode" ? expected.slice(0, SAME_TOKENS) : expected;
  for (const [i, value] of compared.entries()) {
    const tolerance = task === "decode" ? 0 : TOLERANCE * Math.abs(value);
    if (Math.abs(numbers[i]! - value) <= tolerance) continue;
    throw new Error(`wrong numbers: ${numbers[i]} at ${i}, not ${value}`);
  }
}
