/**
 * The options of the commands: the table of settings, and what only the command line has.
 * @module
 */

import { type Command, Option } from "commander";
import {
  COUNT,
  choiceOf,
  FLAG,
  NOT_NEGATIVE,
  nameWith,
  numberOf,
  POSITIVE,
  type Setting,
  type Settings,
  SHARE,
  severalOf,
  TEXT,
  textOf,
  WHOLE,
} from "../training/settings/setting.js";
import { type CommandName, SETTINGS } from "../training/settings/table.js";
import { InputError } from "./input.js";

const GENERATE = ["generate"] as const;
const PROMPT = ["prompt"] as const;
const SAMPLE = ["sample"] as const;
const WRITE = ["generate", "sample"] as const;
/** Commands that may ask models behind endpoints. */
const ASK = ["prompt", "sample"] as const;
const CONFIGURED = [
  "align",
  "sft",
  "score",
  "check",
  "generate",
  "info",
  "merge",
  "prompt",
  "sample",
] as const;

export const OPTIONS = {
  ...SETTINGS,
  chat: {
    kind: FLAG,
    help: "answer the prompt as a user's message, by the chat template",
    group: "Generation",
    of: WRITE,
    default: false,
  },
  maxNewTokens: {
    kind: COUNT,
    help: "tokens to write, at most",
    group: "Generation",
    of: [...GENERATE, ...PROMPT, ...SAMPLE],
    otherwise:
      "generate: the model's, or 256, cut to what the context leaves; prompt: 1024; sample: 256",
  },
  sample: {
    kind: FLAG,
    help: "draw tokens as the model's makers do, not the likeliest ones",
    group: "Generation",
    of: GENERATE,
    default: false,
  },
  temperature: {
    kind: NOT_NEGATIVE,
    help: "draw from softmax(logits/temperature); 0: the likeliest",
    group: "Generation",
    of: WRITE,
    otherwise: "generate: the model's; sample: 1",
  },
  topK: {
    kind: COUNT,
    help: "draw among the k likeliest tokens",
    group: "Generation",
    of: WRITE,
    otherwise: "generate: the model's; sample: all",
  },
  topP: {
    kind: numberOf("a number above 0 and at most 1", (p) => p > 0 && p <= 1),
    help: "draw among the fewest likeliest tokens whose probabilities add up to p",
    group: "Generation",
    of: WRITE,
    otherwise: "generate: the model's; sample: all",
  },
  minP: {
    kind: SHARE,
    help: "draw among tokens at least p times as probable as the likeliest",
    group: "Generation",
    of: WRITE,
    otherwise: "generate: the model's; sample: all",
  },
  repetitionPenalty: {
    kind: POSITIVE,
    help: "makes tokens of the text so far less likely",
    group: "Generation",
    of: WRITE,
    otherwise: "generate: the model's, or 1; sample: 1",
  },
  stop: {
    kind: severalOf(TEXT),
    help: "ends after this text, which may be a special token; may be repeated",
    group: "Generation",
    of: GENERATE,
  },
  queries: {
    kind: textOf("<file>"),
    help: "queries as the model will get them: a text a line, or .jsonl with texts or { query }",
    group: "Prompt search",
    of: PROMPT,
    required: PROMPT,
  },
  endpoint: {
    kind: textOf("<address>"),
    help: "OpenAI-compatible interface that has --model, https://…/v1; its key is PREFGRAD_API_KEY of the environment",
    group: "Prompt search",
    of: PROMPT,
    otherwise: "none: --model is loaded here",
  },
  judge: {
    kind: textOf("<model>"),
    help: "model that judges, and writes prompts, as --model; sample: its name at the address of --reward",
    group: "Prompt search",
    of: ASK,
    otherwise: "prompt: --model",
  },
  judgeEndpoint: {
    kind: textOf("<address>"),
    help: "interface that has --judge; its key is PREFGRAD_JUDGE_API_KEY",
    group: "Prompt search",
    of: PROMPT,
    otherwise: "--endpoint",
  },
  prompt: {
    kind: TEXT,
    help: "system prompt to begin with",
    group: "Prompt search",
    of: PROMPT,
    default: "You are a helpful assistant.",
  },
  rewrites: {
    kind: COUNT,
    help: "prompts written for each one that is kept",
    group: "Prompt search",
    of: PROMPT,
    default: 3,
  },
  beam: {
    kind: COUNT,
    help: "prompts that are kept",
    group: "Prompt search",
    of: PROMPT,
    default: 2,
  },
  depth: {
    kind: WHOLE,
    help: "rounds",
    group: "Prompt search",
    of: PROMPT,
    default: 20,
  },
  queriesPerStep: {
    kind: COUNT,
    help: "queries of a round, in turn",
    group: "Prompt search",
    of: PROMPT,
    default: 4,
  },
  examples: {
    kind: WHOLE,
    help: "queries of which examples are made before the search; 0: no examples",
    group: "Prompt search",
    of: PROMPT,
    default: 16,
  },
  maxRequests: {
    kind: COUNT,
    help: "requests, those before --resume included; then it ends with what it has",
    group: "Requests",
    of: ASK,
    otherwise: "no limit",
  },
  maxTokens: {
    kind: COUNT,
    help: "tokens of requests and answers; then it ends with what it has",
    group: "Requests",
    of: ASK,
    otherwise: "no limit",
  },
  concurrency: {
    kind: COUNT,
    help: "requests at a time",
    group: "Requests",
    of: ASK,
    default: 4,
  },
  timeout: {
    kind: POSITIVE,
    help: "seconds after which a request counts as failed",
    group: "Requests",
    of: ASK,
    default: 120,
  },
  retries: {
    kind: WHOLE,
    help: "further tries of a request that failed and may succeed later",
    group: "Requests",
    of: ASK,
    default: 5,
  },
  reward: {
    kind: textOf("<file.js|implicit|address>"),
    help: "what scores candidates: the default export of a module, (prompt, completions) => numbers; the policy's log-ratio to a reference; or an OpenAI-compatible interface that has --judge",
    group: "Sampling",
    of: SAMPLE,
    required: SAMPLE,
  },
  samples: {
    kind: COUNT,
    help: "candidates of each prompt",
    group: "Sampling",
    of: SAMPLE,
    default: 8,
  },
  pairs: {
    kind: choiceOf("best-worst", "first-round", "tournament", "none"),
    help: "pairs that are made of a prompt's candidates; none: a line has all candidates with their scores",
    group: "Sampling",
    of: SAMPLE,
    default: "best-worst",
  },
  accepted: {
    kind: COUNT,
    help: "candidates that statistical rejection sampling leaves for the pairs",
    group: "Sampling",
    of: SAMPLE,
    otherwise: "all",
  },
  acceptedBeta: {
    kind: NOT_NEGATIVE,
    help: "β of --accepted, in units of the score; 0: the best ones",
    group: "Sampling",
    of: SAMPLE,
    otherwise: "0.5",
  },
  samplingBatchSize: {
    kind: COUNT,
    help: "candidates that are sampled together; it changes no result",
    group: "Sampling",
    of: SAMPLE,
    default: 32,
  },
  live: {
    kind: FLAG,
    help: "a page of curves on this machine while the run goes on",
    group: "Output",
    of: ["align", "sft"],
    default: false,
  },
  report: {
    kind: textOf("<file>"),
    help: "page to write",
    group: "Output",
    of: ["compare"],
    default: "comparison.html",
  },
  show: {
    kind: WHOLE,
    help: "rows whose tokens are shown",
    group: "Output",
    of: ["check"],
    default: 3,
  },
  config: {
    kind: textOf("<file>"),
    help: "options in YAML, this command line's or TRL's; flags win",
    group: "Output",
    of: CONFIGURED,
  },
  printConfig: {
    kind: FLAG,
    help: "print all options as they would hold, and end",
    group: "Output",
    of: CONFIGURED,
    default: false,
  },
  json: {
    kind: FLAG,
    help: "lines of JSON",
    group: "Output",
    of: ["generate", "info"],
    default: false,
  },
  tokens: {
    kind: COUNT,
    help: "tokens of prompt and answer whose memory is given, at most the context",
    group: "Output",
    of: ["info"],
    default: 1024,
  },
} as const satisfies Record<string, Setting<CommandName>>;

/** A command's options with their defaults. */
export type OptionsOf<Name extends CommandName> = Settings<typeof OPTIONS, Name>;
/** Options by their names, of whichever command. */
export type Given = Readonly<Record<string, unknown>>;

/** The options of a command by their names. */
export function optionsOf(name: CommandName): readonly (readonly [string, Setting])[] {
  const all: readonly (readonly [string, Setting])[] = Object.entries(OPTIONS);
  return all.filter(([, { of }]) => of.includes(name));
}

const flagOf = (name: string): string => `--${nameWith("-", name)}`;

/** Says in help what holds without an option. */
export function defaultOf({ default: value, otherwise }: Setting): string | undefined {
  if (otherwise !== undefined) return otherwise;
  if (value === undefined || value === false) return undefined;
  return Array.isArray(value) ? value.join(",") : String(value);
}

/** Declares a command's options, in the groups of the table. */
export function addOptions(command: Command, name: CommandName): void {
  command.addHelpOption(new Option("-h, --help", "print this").helpGroup("Output:"));
  for (const [key, setting] of optionsOf(name)) {
    const { kind, help, group, required } = setting;
    const standard = defaultOf(setting);
    const isRequired = required?.includes(name);
    const note = isRequired ? " (required)" : standard ? ` (default: ${standard})` : "";
    const option = new Option(`${flagOf(key)} ${kind.form}`.trim(), help + note);
    if (kind.many) option.argParser((text, before?: string[]) => [...(before ?? []), text]);
    command.addOption(option.helpGroup(`${group}:`));
    if (isSwitch(setting))
      command.addOption(new Option(flagOf(`no-${nameWith("-", key)}`)).hideHelp());
  }
}

/** Whether an option can be given as `--no-…`. */
const isSwitch = ({ kind }: Setting): boolean => kind.is(false) && kind.is(kind.parse("true"));

/**
 * Arguments as the command knows them: TRL's names and underscores become its flags, and a switch that is followed by
 * `true` or `false`, as TRL's are, one without.
 */
export function ownArguments(args: readonly string[], name: CommandName): string[] {
  const known = new Map<string, string>();
  const switches = new Set<string>();
  for (const [key, setting] of optionsOf(name)) {
    for (const other of setting.trl ?? [])
      known.set(`--${other.replaceAll("_", "-")}`, flagOf(key));
    if (setting.kind === FLAG) switches.add(flagOf(key));
  }
  const own: string[] = [];
  let end = args.indexOf("--");
  if (end < 0) end = args.length;
  for (let i = 0; i < end; i++) {
    const [, flag, value] = /^(--[\w-]+)(?:=(.*))?$/s.exec(args[i]!) ?? [];
    if (flag === undefined) {
      own.push(args[i]!);
      continue;
    }
    const dashed = flag.replaceAll("_", "-");
    const right = known.get(dashed) ?? dashed;
    const said = switches.has(right) ? (value ?? args[i + 1] ?? "") : "";
    if (/^(true|false)$/i.test(said)) {
      own.push(said.toLowerCase() === "true" ? right : right.replace("--", "--no-"));
      if (value === undefined) i++;
    } else own.push(value === undefined ? right : `${right}=${value}`);
  }
  return [...own, ...args.slice(end)];
}

/** Values that were given, checked. @param called What the user calls an option. */
export function checkedOptions(
  name: CommandName,
  given: Given,
  called: (key: string) => string = flagOf,
): Given {
  const checked: [string, unknown][] = [];
  for (const [key, { kind }] of optionsOf(name)) {
    const raw = given[key];
    if (raw === undefined) continue;
    const value = raw === true && kind.alone !== undefined ? kind.alone : kind.parse(raw);
    if (!kind.is(value)) {
      const shown = typeof raw === "object" ? JSON.stringify(raw) : String(raw);
      throw new InputError(`${called(key)} must be ${kind.must}, got ${shown || '""'}`);
    }
    checked.push([key, value]);
  }
  return Object.fromEntries(checked);
}

/** Options of which one is part of another: `--lora-rank` of `--lora`. */
const WHOLES = ["lora", "spo"];

/** A command's options, with defaults for those that were not given. */
export function withDefaults(name: CommandName, given: Given): Given {
  for (const whole of WHOLES) {
    const part = Object.keys(given).find((key) => key !== whole && key.startsWith(whole));
    if (part === undefined || given[whole] !== undefined) continue;
    throw new InputError(`${flagOf(part)} is part of ${flagOf(whole)}: give ${flagOf(whole)}, too`);
  }
  const complete = optionsOf(name).map(([key, setting]) => {
    const value = given[key] ?? setting.default;
    if (value !== undefined || !setting.required?.includes(name)) return [key, value];
    throw new InputError(`${name} needs ${flagOf(key)} ${setting.kind.form}: ${setting.help}`);
  });
  return Object.fromEntries(complete.filter(([, value]) => value !== undefined));
}
