/**
 * The command line: options, what they default to, and whether they agree with a run to continue.
 * @module
 */

import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { InputError } from "../../src/cli/input.js";
import {
  COUNT,
  choiceOf,
  either,
  type Kind,
  NOT_NEGATIVE,
  nameWith,
  POSITIVE,
  WHOLE,
} from "../../src/training/settings/setting.js";
import type { Checkpoint } from "./checkpoint.js";
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
      optionOf(
        "task",
        choiceOf("writers", "clean", "diffusion"),
        "additions as imperfect writers answer them, clean: right answers, or diffusion, which has options of its own " +
          "(default: writers)",
      ),
    )
    .option("--data <file>", "JSONL with prompt, chosen, rejected, in place of additions")
    .option("--base <name>", "preference loss (default: dpo)")
    .addOption(optionOf("beta", POSITIVE, "β of the preference loss (default: the loss's own)"))
    .addOption(
      optionOf(
        "gamma",
        either(NOT_NEGATIVE, choiceOf("dual")),
        "weight of SPO's penalty, or by dual ascent (default: 1)",
      ),
    )
    .addOption(
      optionOf(
        "floor",
        choiceOf("reference", "optimum"),
        "SPO's v*: the SFT model's own loss on each pair, or what fine-tuning it on the chosen responses " +
          "reaches (default: reference; with --gamma dual: optimum)",
      ),
    )
    .option("--hinge", "penalize outside the safe region only")
    .addOption(
      optionOf("epsilon", NOT_NEGATIVE, "width of the safe region, nats per token (default: 0)"),
    )
    .addOption(optionOf("seed", WHOLE, "of data, model and data order (default: 0)"))
    .option("--out <directory>", "where to write", "demo-output")
    .option("--quick", "everything smaller: a check that the demo works")
    .addOption(optionOf("steps", COUNT, "steps of each preference run"))
    .addOption(optionOf("sft-steps", COUNT, "steps of supervised fine-tuning"))
    .addOption(optionOf("learning-rate", POSITIVE, "of the preference runs (default: 5e-4)"))
    .addOption(optionOf("batch-size", COUNT, "pairs per preference step"))
    .addOption(optionOf("context", COUNT, "tokens of prompt and response together, at most"))
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
      `--resume: --${nameWith("-", key)} is ${value}, but the run was started ` +
        (before === null || before === false ? "without it" : `with ${before}`),
    );
  }
  if (settings.data !== null && dataDigest !== digestOf(settings.data)) {
    throw new InputError(`--resume: --data ${settings.data} has changed since the run was started`);
  }
}

/** An option's values, as the library's command line has them. */
function optionOf<Value>(
  name: string,
  { form, must, is, parse }: Kind<Value>,
  help: string,
): Option {
  return new Option(`--${name} ${form}`, help).argParser((text) => {
    const value = parse(text);
    if (is(value)) return value;
    throw new InvalidArgumentError(`It must be ${must}.`);
  });
}
