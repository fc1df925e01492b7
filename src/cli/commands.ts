/**
 * The commands: what help says of each, and what runs.
 * @module
 */

import type { CommandName } from "../training/settings/table.js";
import { check } from "./check.js";
import { compare } from "./compare.js";
import { generate } from "./generate.js";
import { info } from "./info.js";
import { merge } from "./merge.js";
import type { Given, OptionsOf } from "./options.js";
import { prompt } from "./prompt.js";
import { sample } from "./sample.js";
import { score } from "./score.js";
import { alignCommand, sftCommand } from "./train.js";

/** A command: what help says of it, and what it does. */
interface Command<Options> {
  readonly summary: string;
  readonly description: string;
  /** Arguments without a name, and what they are. */
  readonly rest?: readonly [form: string, help: string];
  readonly run: (options: Options, rest: readonly string[]) => Promise<void>;
}

/** A command with its name. What it runs with is made of the table. */
const command = <Name extends CommandName>(name: Name, own: Command<OptionsOf<Name>>) =>
  ({ name, ...own }) as { readonly name: CommandName } & Command<Given>;

export const COMMANDS = [
  command("align", {
    summary: "train a model on preferences",
    description:
      "Trains a model, or an adapter beside it, on pairs of completions, and writes a run's directory with a report.",
    run: alignCommand,
  }),
  command("sft", {
    summary: "fine-tune a model on texts",
    description:
      "Trains a model, or an adapter beside it, on texts, and writes a run's directory with a report.",
    run: sftCommand,
  }),
  command("score", {
    summary: "log-probabilities of pairs under a model",
    description:
      "Writes a line of JSON for each pair, with the log-probabilities of its completions, and a summary on standard error.",
    run: score,
  }),
  command("generate", {
    summary: "continue prompts with a model",
    description: "Continues each prompt, or what is on standard input, with a model.",
    rest: ["[prompts...]", "texts to continue"],
    run: (options, prompts) => generate(prompts, options),
  }),
  command("info", {
    summary: "what a model is, and the memory it needs",
    description: "Describes a model by its configuration and the headers of its files.",
    run: info,
  }),
  command("check", {
    summary: "look at a dataset's tokens before training",
    description:
      "Shows the first rows of a dataset as the tokens that training would see, and counts what is cut, dropped or odd.",
    run: check,
  }),
  command("compare", {
    summary: "one report over several runs",
    description: "Writes a page with the figures, curves and answers of several runs.",
    rest: ["<directories...>", "directories of runs"],
    run: (options, directories) => compare(directories, options),
  }),
  command("merge", {
    summary: "put an adapter into a model's weights",
    description: "Writes a model with an adapter's corrections in its weights.",
    run: merge,
  }),
  command("prompt", {
    summary: "search for a system prompt with a judge model",
    description:
      "Searches for the system prompt and examples under which a model, loaded here or at an endpoint, answers queries best, as a judge model sees it. " +
      "Keys are read from PREFGRAD_API_KEY and PREFGRAD_JUDGE_API_KEY.",
    run: prompt,
  }),
  command("sample", {
    summary: "candidates and preference pairs from a model's own answers",
    description:
      "Samples candidates for each prompt of a dataset, scores them, and writes pairs that align reads, or all candidates with their scores. " +
      "The key of a judge is read from PREFGRAD_JUDGE_API_KEY.",
    run: sample,
  }),
];
