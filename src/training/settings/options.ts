/**
 * The table's settings as options of functions: `loraRank` is `lora: { rank }` there.
 * @module
 */

import { checkOptions, describeValue, isPlainObject } from "../../checks.js";
import type { GivenSettings, Setting, Settings } from "./setting.js";
import { type CommandName, SETTINGS, type SPO_METHODS } from "./table.js";

type Table = typeof SETTINGS;

/** The groups of settings that belong to training itself: reading, devices and files come before it. */
const GROUPS = ["Loss", "Stable preference optimization", "LoRA", "Training", "Run"] as const;

/** Settings of other groups that training has, too. */
const OTHERS = ["seed"] as const;
/** Settings that are of another type in code. */
type Own = "output" | "cache" | "loss";

type TrainingName<Command> = {
  [Name in keyof GivenSettings<Table, Command>]: Name extends (typeof OTHERS)[number]
    ? Name
    : Name extends keyof Table
      ? Table[Name]["group"] extends (typeof GROUPS)[number]
        ? Name
        : never
      : never;
}[keyof GivenSettings<Table, Command>];

/** The parts of a whole: of `lora` the settings `loraRank`, `loraAlpha`, … as `rank`, `alpha`, …. */
type PartsOf<Given, Whole extends string> = {
  readonly [Name in keyof Given as Name extends `${Whole}${infer Part}`
    ? Part extends ""
      ? never
      : Uncapitalize<Part>
    : never]?: Given[Name];
};

type Flat<Command> = Pick<
  GivenSettings<Table, Command>,
  Exclude<TrainingName<Command>, Own> & keyof GivenSettings<Table, Command>
>;

/** LoRA, with its settings or those that are usual. */
type LoraChoice<Command> = { readonly lora?: boolean | PartsOf<Flat<Command>, "lora"> };
/** A way of stable preference optimization, or its settings. */
type SpoChoice = {
  readonly spo?:
    | boolean
    | (typeof SPO_METHODS)[number]
    | ({ readonly method?: (typeof SPO_METHODS)[number] } & PartsOf<Flat<"align">, "spo">);
};

/** The settings of training, as options. Their meanings and defaults are those of the command line. */
export type TrainingOptions<Command extends "align" | "sft"> = {
  readonly [Name in keyof Flat<Command> as Name extends `lora${string}` | `spo${string}`
    ? never
    : Name]?: Flat<Command>[Name];
} & LoraChoice<Command> &
  (Command extends "align" ? SpoChoice : unknown);

/** The settings of training with their defaults, by the table's names. */
export type TrainingSettings<Command extends "align" | "sft"> = Omit<
  Pick<Settings<Table, Command>, TrainingName<Command> & keyof Settings<Table, Command>>,
  Own
>;

/** The names of the settings of training that a command has. */
export function trainingNames(command: CommandName): readonly string[] {
  const all: readonly (readonly [string, Setting])[] = Object.entries(SETTINGS);
  return all
    .filter(([name, { group, of }]) => {
      const isTraining = [...GROUPS, ...OTHERS].some((own) => own === group || own === name);
      return isTraining && of.includes(command);
    })
    .map(([name]) => name);
}

/** Settings whose parts have their names in front of their own. */
const WHOLES = ["lora", "spo"];

/** Names by which options are nested: `loraRank` is the part `rank` of `lora`. */
function partOf(name: string): readonly [whole: string, part: string] | null {
  const whole = WHOLES.find((own) => name.startsWith(own) && name !== own);
  if (whole === undefined) return null;
  const part = name.slice(whole.length);
  return [whole, part[0]!.toLowerCase() + part.slice(1)];
}

/** Settings by the table's names as options: the inverse of {@link settingsOf}, but for defaults. */
export function asOptions(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) if (!partOf(name)) options[name] = value;
  for (const [name, value] of Object.entries(given)) {
    const [whole, part] = partOf(name) ?? [];
    if (whole === undefined || part === undefined) continue;
    const own = options[whole];
    if (!own) continue;
    const before = isPlainObject(own) ? own : own === true ? {} : { method: own };
    options[whole] = { ...before, [part]: value };
  }
  return options;
}

/** The way that settings of SPO belong to. A weight that is a number does not move. */
const methodOf = ({ gamma }: Record<string, unknown>) =>
  typeof gamma === "number" ? "penalty" : "dual";

/**
 * Options as settings by the table's names, checked, with defaults.
 * @param others Names of further options, which are not looked at.
 * @throws for unknown options, naming the nearest, and for values that a setting does not take.
 */
export function settingsOf<Command extends "align" | "sft">(
  caller: Command,
  options: object,
  others: readonly string[],
): TrainingSettings<Command> {
  const names = trainingNames(caller).filter((name) => !others.includes(name));
  const known = names.filter((name) => !partOf(name));
  checkOptions(caller, options as Record<string, unknown>, ...known, ...others);
  const given = new Map<string, unknown>();
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || others.includes(name)) continue;
    if (!(WHOLES.includes(name) && isPlainObject(value))) {
      given.set(name, name === "spo" && value === true ? "dual" : value);
      continue;
    }
    const parts = names.flatMap((own) => (partOf(own)?.[0] === name ? [partOf(own)![1]] : []));
    const { method, ...rest } = value as Record<string, unknown>;
    const hasMethod = name === "spo";
    checkOptions(
      `${caller}: ${name}`,
      value as Record<string, unknown>,
      ...parts,
      ...(hasMethod ? ["method"] : []),
    );
    given.set(name, hasMethod ? (method ?? methodOf(rest)) : true);
    for (const [part, own] of Object.entries(rest)) {
      given.set(name + part[0]!.toUpperCase() + part.slice(1), own);
    }
  }
  const settings: [string, unknown][] = [];
  for (const name of names) {
    const setting: Setting = SETTINGS[name as keyof Table];
    const value = given.get(name) ?? setting.default;
    if (value === undefined) continue;
    if (!setting.kind.is(value)) {
      const shown = Array.isArray(value) ? JSON.stringify(value) : describeValue(value);
      throw new RangeError(`${caller}: ${name} must be ${setting.kind.must}, got ${shown}`);
    }
    settings.push([name, value]);
  }
  return Object.fromEntries(settings) as TrainingSettings<Command>;
}
