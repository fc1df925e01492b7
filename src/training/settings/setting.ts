/**
 * What a setting is: a row of a table from which flags, keys of files, types, help and docs are made.
 * @module
 */

import { isPlainObject } from "../../checks.js";

/** The values a setting takes. */
export interface Kind<Value> {
  /** What stands for a value in help; empty where the name alone is enough. */
  readonly form: string;
  /** What a value must be, after "must be". */
  readonly must: string;
  readonly is: (value: unknown) => value is Value;
  /** What a text, of a flag or a file, stands for; itself where it stands for nothing. */
  readonly parse: (given: unknown) => unknown;
  /** What the name alone means, where a value may follow. */
  readonly alone?: Value;
  /** Whether the name may be repeated, a value each time. */
  readonly many?: boolean;
}

/** A row of the table. Its name is its key: `loraRank` is `--lora-rank`, and `lora_rank` in a file. */
export interface Setting<Command extends string = string> {
  readonly kind: Kind<unknown>;
  /** In a few words, without the default. */
  readonly help: string;
  /** The heading it stands under. */
  readonly group: string;
  /** The commands that have it. */
  readonly of: readonly Command[];
  /** What holds where nothing is given. */
  readonly default?: unknown;
  /** What help says of a default that depends on other things. */
  readonly otherwise?: string;
  /** The commands that cannot do without. */
  readonly required?: readonly Command[];
  /** Other names it has in TRL. */
  readonly trl?: readonly string[];
}

/** What a kind's values are. */
export type ValueOf<S> = S extends { kind: Kind<infer Value> } ? Value : never;

/** The settings of a table that have a command in a list. */
type NamesOf<Table, Command, List extends "of" | "required"> = {
  [Name in keyof Table]: Table[Name] extends { [L in List]: readonly (infer Own)[] }
    ? Command extends Own
      ? Name
      : never
    : never;
}[keyof Table];

type WithDefault<Table> = {
  [Name in keyof Table]: Table[Name] extends { default: unknown } ? Name : never;
}[keyof Table];

/** The settings of a command, as they were given: any may be missing. */
export type GivenSettings<Table, Command> = {
  readonly [Name in NamesOf<Table, Command, "of">]?: ValueOf<Table[Name]>;
};

/** The settings of a command with defaults: none is missing that has one, or is required. */
export type Settings<Table, Command> = GivenSettings<Table, Command> & {
  readonly [Name in
    | NamesOf<Table, Command, "required">
    | Extract<NamesOf<Table, Command, "of">, WithDefault<Table>>]: ValueOf<Table[Name]>;
};

/** A text that is not empty. */
export const TEXT: Kind<string> = {
  form: "<text>",
  must: "a text that is not empty",
  is: (value): value is string => typeof value === "string" && value !== "",
  parse: (given) => (typeof given === "number" ? String(given) : given),
};

/** A text of which help says something more definite. */
export const textOf = (form: string): Kind<string> => ({ ...TEXT, form });

/** On or off. */
export const FLAG: Kind<boolean> = {
  form: "",
  must: "true or false",
  is: (value): value is boolean => typeof value === "boolean",
  parse(given) {
    const word = typeof given === "string" ? given.toLowerCase() : given;
    if (["true", "yes", "on"].includes(word as string)) return true;
    return ["false", "no", "off"].includes(word as string) ? false : given;
  },
};

/** A number that satisfies a condition. Texts such as `1e-5`, which YAML's older versions read as one, are numbers. */
export const numberOf = (
  must: string,
  holds: (value: number) => boolean,
  form = "<number>",
): Kind<number> => ({
  form,
  must,
  is: (value): value is number =>
    typeof value === "number" && Number.isFinite(value) && holds(value),
  parse(given) {
    if (typeof given !== "string" || !/^[-+]?[.\d]/.test(given)) return given;
    const value = Number(given.replaceAll("_", ""));
    return Number.isFinite(value) ? value : given;
  },
});

export const NUMBER = numberOf("a number", () => true);
export const POSITIVE = numberOf("a number above 0", (value) => value > 0);
export const NOT_NEGATIVE = numberOf("a number, at least 0", (value) => value >= 0);
export const SHARE = numberOf("a number from 0 to 1", (value) => value >= 0 && value <= 1);

export const WHOLE = numberOf(
  "an integer, at least 0",
  (value) => Number.isSafeInteger(value) && value >= 0,
  "<count>",
);
export const SEED = { ...WHOLE, form: "<integer>" };
export const COUNT = numberOf(
  "an integer, at least 1",
  (value) => Number.isSafeInteger(value) && value >= 1,
  "<count>",
);

/** One of several names. */
export const choiceOf = <const Name extends string>(...names: readonly Name[]): Kind<Name> => ({
  form: `<${names.join("|")}>`,
  must: `one of ${names.join(", ")}`,
  is: (value): value is Name => names.includes(value as Name),
  // YAML's older versions read `no` and `off` as false.
  parse: (given) => (given === false && names.includes("no" as Name) ? "no" : given),
});

/** Several values, one at a time. */
export const severalOf = <Value>(kind: Kind<Value>): Kind<readonly Value[]> => ({
  form: kind.form,
  must: `a list, each ${kind.must}`,
  is: (value): value is readonly Value[] =>
    Array.isArray(value) && value.length > 0 && value.every(kind.is),
  parse: (given) => (Array.isArray(given) ? given : [given]).map(kind.parse),
  many: true,
});

/** Several values, which a text separates by commas. */
export const listOf = <Value>(kind: Kind<Value>): Kind<readonly Value[]> => {
  const several = severalOf(kind);
  const split = (part: unknown) => (typeof part === "string" ? part.split(/\s*,\s*/) : [part]);
  return {
    ...several,
    form: `${kind.form.slice(0, -1)}...>`,
    parse: (given) => several.parse((Array.isArray(given) ? given : [given]).flatMap(split)),
  };
};

/** Values by names, which texts give as `name=value`. */
export const mapOf = <Value>(kind: Kind<Value>): Kind<Readonly<Record<string, Value>>> => ({
  form: "<name=value...>",
  must: `values by name, each ${kind.must}`,
  is: (value): value is Readonly<Record<string, Value>> =>
    isPlainObject(value) && Object.values(value).every(kind.is),
  parse(given) {
    const parts = typeof given === "string" ? [given] : given;
    if (!Array.isArray(parts)) return given;
    const pairs = parts.flatMap((part) => String(part).split(",")).map((part) => part.split("="));
    if (!pairs.every((pair) => pair.length === 2)) return given;
    return Object.fromEntries(pairs.map(([name, value]) => [name!.trim(), kind.parse(value!)]));
  },
  many: true,
});

/** A value of one kind or of the other. */
export const either = <A, B>(one: Kind<A>, other: Kind<B>): Kind<A | B> => ({
  form: one.form === other.form ? one.form : `${one.form}|${other.form}`,
  must: `${one.must}, or ${other.must}`,
  is: (value): value is A | B => one.is(value) || other.is(value),
  parse(given) {
    const value = one.parse(given);
    return one.is(value) ? value : other.parse(given);
  },
  many: (one.many || other.many) ?? false,
});

/** A name that may stand without its value. */
export const alone = <Value>(kind: Kind<Value>, value: Value): Kind<Value | false> => ({
  ...either(FLAG, kind),
  form: kind.form.replace("<", "[").replace(">", "]"),
  must: kind.must,
  is: (given): given is Value | false => given === false || kind.is(given),
  parse(given) {
    const flag = FLAG.parse(given);
    return flag === true ? value : flag === false ? false : kind.parse(given);
  },
  alone: value,
});

/** A setting's name with its words separated: `loraRank` is `lora-rank`. */
export function nameWith(separator: "-" | "_", name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `${separator}${letter.toLowerCase()}`);
}
