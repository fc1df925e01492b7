#!/usr/bin/env node
/**
 * The command line, `npx prefgrad`: what was given, and how it ends.
 * @module
 */

import { Command, CommanderError } from "commander";
import { nameWith } from "../training/settings/setting.js";
import type { CommandName } from "../training/settings/table.js";
import { VERSION } from "../training/version.js";
import { COMMANDS } from "./commands.js";
import { readConfig } from "./configFile.js";
import { InputError, InterruptedError } from "./input.js";
import { addOptions, checkedOptions, type Given, ownArguments, withDefaults } from "./options.js";

const EXIT_FAILURE = 1;
const EXIT_INPUT = 2;
const EXIT_INTERRUPTED = 130;

function program(): Command {
  const all = new Command("prefgrad")
    .description("Language models on this machine: trained on preferences, measured, and run.")
    .version(VERSION)
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  for (const { name, summary, description, rest, run } of COMMANDS) {
    const command = all.command(name).summary(summary).description(description);
    if (rest) command.argument(...rest);
    addOptions(command, name);
    command.action(async (...given: unknown[]) => {
      const { config, printConfig, ...options } = await effective(name, command.opts());
      if (printConfig) await print(options);
      else await run(options, rest ? (given[0] as string[]) : []);
    });
  }
  return all;
}

/** A command's options: flags, then the file, then defaults. */
async function effective(name: CommandName, flags: Given): Promise<Given> {
  const given = checkedOptions(name, flags);
  if (given.config === undefined) return withDefaults(name, given);
  const path = given.config as string;
  const file = await readConfig(path, name);
  if (file.ignored.length > 0) {
    console.error(`${path}: without meaning here: ${file.ignored.join(", ")}`);
  }
  return withDefaults(name, { ...file.given, ...given });
}

/** Writes options as a file of them. */
async function print(options: Given): Promise<void> {
  const { stringify } = await import("yaml");
  const named = Object.entries(options).map(([key, value]) => [nameWith("_", key), value]);
  process.stdout.write(stringify(Object.fromEntries(named)));
}

/** Runs a command; its exit code. Ctrl-C ends the process by itself. */
async function run(args: readonly string[]): Promise<number> {
  // A reader that has seen enough, as `head` has, is no error.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    process.exit(error.code === "EPIPE" ? 0 : EXIT_FAILURE);
  });
  try {
    const [name, ...rest] = args;
    const known = COMMANDS.find((own) => own.name === name);
    const own = known ? [known.name, ...ownArguments(rest, known.name)] : args;
    await program().parseAsync(own, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const [message, code] = told(error);
    console.error(message);
    return code;
  }
}

/** What to say of an error: in a line, but of one that nobody foresaw with where it is from. */
function told(error: unknown): readonly [message: unknown, code: number] {
  if (error instanceof CommanderError) {
    const message = error.message.replace(/^error: /, "").replace(/\s*\n\s*/g, " ");
    return [error.code === "commander.help" ? NO_COMMAND : message, EXIT_INPUT];
  }
  if (error instanceof InputError) return [error.message, EXIT_INPUT];
  if (error instanceof InterruptedError) return [error.message, EXIT_INTERRUPTED];
  const unforeseen = [TypeError, RangeError, ReferenceError].some((kind) => error instanceof kind);
  return [error instanceof Error && !unforeseen ? error.message : error, EXIT_FAILURE];
}

const NO_COMMAND = "no command: prefgrad --help lists them";

run(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
