/**
 * `--config`: options in a YAML file, under this command line's names or TRL's.
 * @module
 */

import { readFile } from "node:fs/promises";
import { nearestName } from "../checks.js";
import { nameWith } from "../training/settings/setting.js";
import type { CommandName } from "../training/settings/table.js";
import { IGNORED, MEANINGS, NEUTRAL } from "../training/settings/trlKeys.js";
import { InputError } from "./input.js";
import { checkedOptions, type Given, OPTIONS, optionsOf } from "./options.js";

/** What a file says. */
interface Config {
  readonly given: Given;
  /** Keys of TRL's that have no meaning here. */
  readonly ignored: readonly string[];
}

/**
 * Reads a file of options.
 * @throws InputError with a line for each key that is not known, not the command's, or of a wrong value.
 */
export async function readConfig(path: string, name: CommandName): Promise<Config> {
  const faults: string[] = [];
  const given: Record<string, unknown> = {};
  const ignored: string[] = [];
  const names = namesOf(name);
  for (const { key, value, line } of await entriesOf(path)) {
    const plain = key.replaceAll("-", "_");
    const meaning = MEANINGS[plain]?.[String(value)];
    const own = names.get(plain);
    const where = `${path}:${line}: ${key}`;
    if (meaning !== undefined) Object.assign(given, meaning);
    else if (own !== undefined) {
      // Null is what is not given; where something else would hold then, it has to be said.
      if (value === null && !("default" in OPTIONS[own as keyof typeof OPTIONS])) continue;
      const before = given[own];
      const checked = caught(faults, () => checkedOptions(name, { [own]: value }, () => where));
      if (before !== undefined) faults.push(`${where} is a second name of ${own}`);
      Object.assign(given, checked);
    } else if (IGNORED.includes(plain)) ignored.push(key);
    else if (Object.hasOwn(NEUTRAL, plain)) {
      const { values, instead } = NEUTRAL[plain]!;
      if (value === null || values.includes(value)) ignored.push(key);
      else faults.push(`${where}: ${JSON.stringify(value)} is not supported; ${instead}`);
    } else faults.push(unknown(where, plain, name, [...names.keys()]));
  }
  if (faults.length > 0) throw new InputError(faults.join("\n"));
  return { given, ignored };
}

/** A command's options by their names in files: its own and TRL's. */
function namesOf(name: CommandName): ReadonlyMap<string, string> {
  return new Map(
    optionsOf(name).flatMap(([key, { trl = [] }]) =>
      [nameWith("_", key), ...trl].map((other) => [other, key] as const),
    ),
  );
}

function unknown(where: string, key: string, name: CommandName, known: readonly string[]): string {
  const others = (
    Object.entries(OPTIONS) as [string, { of: readonly string[]; trl?: readonly string[] }][]
  )
    .filter(([own, { trl = [] }]) => [nameWith("_", own), ...trl].includes(key))
    .flatMap(([, { of }]) => of);
  if (others.length > 0) return `${where} is of ${others.join(" and ")}, not of ${name}`;
  const nearest = nearestName(key, known);
  return `${where} is no option${nearest ? `; did you mean ${nearest}?` : ` of ${name}`}`;
}

function caught<T>(faults: string[], work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    faults.push(error.message);
    return undefined;
  }
}

/** The keys of a file's only mapping. */
async function entriesOf(
  path: string,
): Promise<readonly { readonly key: string; readonly value: unknown; readonly line: number }[]> {
  const text = await readFile(path, "utf8").catch((error: Error) => {
    throw new InputError(`--config: ${error.message}`);
  });
  const { isMap, isScalar, LineCounter, parseDocument } = await import("yaml");
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error) {
    throw new InputError(`${path}:${lines.linePos(error.pos[0]).line}: ${error.message}`);
  }
  if (document.contents === null) return [];
  if (!isMap(document.contents))
    throw new InputError(`${path}: must be a list of names and values`);
  return document.contents.items.map(({ key, value }) => ({
    key: String(isScalar(key) ? key.value : key),
    value: (value as { toJS(of: unknown): unknown } | null)?.toJS(document) ?? null,
    line: isScalar(key) && key.range ? lines.linePos(key.range[0]).line : 1,
  }));
}
