/**
 * The command line: options, what they default to, and whether they agree with a run to continue.
 * @module
 */

import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { Checkpoint } from "./checkpoint.js";
import { InputError } from "./inputError.js";
import { digestOf } from "./run.js";
import type { Choices } from "./settings.js";

/** A parsed command line. */
export interface CommandLine {
  /** What was given; the rest is left to the defaults. */
  readonly chosen: Partial<Choices>;
  /** Where the run's files are. */
  readonly directory: string;
  readonly resume: boolean;
  /** Whether whatever run the directory holds may be replaced. */
  readonly overwrite: boolean;
}

/**
 * Reads the arguments. `--help` is answered here, and ends the process.
 * @throws InputError for arguments that cannot be understood.
 */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const command = new Command("npm run demo --")
    .description(
      "Trains a small language model on preference pairs: supervised fine-tuning, then from one " +
        "checkpoint and with one data order further fine-tuning on the chosen responses, a " +
        "preference loss alone, and the same loss with SPO.",
    )
    .addOption(
      new Option(
        "--task <name>",
        "additions as imperfect writers answer them, or clean: right answers (default: writers)",
      ).choices(["writers", "clean"]),
    )
    .option("--data <file>", "JSONL with prompt, chosen, rejected, in place of additions")
    .option("--base <name>", "preference loss (default: dpo)")
    .option("--beta <number>", "β of the preference loss (default: the loss's own)", positive)
    .option("--gamma <number|dual>", "weight of SPO's penalty (default: 1)", weight)
    .addOption(
      new Option(
        "--floor <name>",
        "SPO's v*: the SFT model's own loss on each pair, or the optimum, what fine-tuning it on the " +
          "chosen responses reaches (default: reference; with --gamma dual: optimum)",
      ).choices(["reference", "optimum"]),
    )
    .option("--hinge", "penalize outside the safe region only")
    .option(
      "--epsilon <number>",
      "width of the safe region, nats per token (default: 0)",
      nonNegative,
    )
    .option("--seed <integer>", "of data, model and data order (default: 0)", natural)
    .option("--out <directory>", "where to write", "demo-output")
    .option("--quick", "everything smaller: a check that the demo works")
    .option("--steps <integer>", "steps of each preference run", count)
    .option("--sft-steps <integer>", "steps of supervised fine-tuning", count)
    .option("--learning-rate <number>", "of the preference runs (default: 5e-4)", positive)
    .option("--batch-size <integer>", "pairs per preference step", count)
    .option("--context <integer>", "tokens of prompt and response together, at most", count)
    .option("--drop-long", "skip pairs that are longer than the context")
    .option("--overwrite", "replace whatever run the output directory holds")
    .option("--resume", "continue the run in the output directory; takes its options from there")
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  try {
    command.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) process.exit();
    throw new InputError(error.message);
  }
  const {
    out,
    resume = false,
    overwrite = false,
    ...chosen
  } = command.opts<Partial<Choices> & { out: string; resume?: boolean; overwrite?: boolean }>();
  if (resume && overwrite) {
    throw new InputError("--resume continues a run, --overwrite replaces it: pass one of them");
  }
  if (chosen.task !== undefined && chosen.data !== undefined) {
    throw new InputError("--task is what to generate, --data what to read: pass one of them");
  }
  return { chosen, directory: out, resume, overwrite };
}

/**
 * Whether the options of a command line, if given, are those of the run to continue, and the data
 * is the same.
 * @throws InputError naming what differs.
 */
export function checkResume(chosen: Partial<Choices>, checkpoint: Checkpoint): void {
  const { settings, dataDigest } = checkpoint;
  for (const [key, value] of Object.entries(chosen) as [keyof Choices, unknown][]) {
    const before = settings[key];
    if (value === before) continue;
    throw new InputError(
      `--resume: ${optionName(key)} is ${value}, but the run was started ` +
        (before === null || before === false ? "without it" : `with ${before}`),
    );
  }
  if (settings.data !== null && dataDigest !== digestOf(settings.data)) {
    throw new InputError(`--resume: --data ${settings.data} has changed since the run was started`);
  }
}

function optionName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function finite(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value))
    throw new InvalidArgumentError("Not a number.");
  return value;
}

function positive(text: string): number {
  const value = finite(text);
  if (value <= 0) throw new InvalidArgumentError("Must be greater than 0.");
  return value;
}

function nonNegative(text: string): number {
  const value = finite(text);
  if (value < 0) throw new InvalidArgumentError("Must be at least 0.");
  return value;
}

function weight(text: string): number | "dual" {
  return text === "dual" ? text : nonNegative(text);
}

function integer(text: string): number {
  const value = finite(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError("Not an integer.");
  return value;
}

function natural(text: string): number {
  return nonNegative(String(integer(text)));
}

function count(text: string): number {
  const value = integer(text);
  if (value < 1) throw new InvalidArgumentError("Must be at least 1.");
  return value;
}
