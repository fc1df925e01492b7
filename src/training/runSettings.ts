/**
 * `settings.json` of a run's directory: what determines the run's numbers, and whether two runs are the same.
 * @module
 */

import { describeValue, isPlainObject } from "../checks.js";

/** What JSON can hold, by name. */
export type Json = Readonly<Record<string, unknown>>;

/** What determines a run's numbers. */
export interface RunSettings {
  /** The caller's: fingerprints of model and data, the loss. */
  readonly settings: Json;
  /** The loop's. */
  readonly fit: Json;
  /** The kind of files that hold the parameters. */
  readonly weights: string;
}

/** Changes with what a run's files mean. */
const FORMAT = "prefgrad run 1";

/**
 * Settings as JSON gives them back; numbers that JSON has not are their names, `"Infinity"`.
 * @throws for what two different settings could have in common: functions, instances of classes.
 */
export function asJson(settings: object): Json {
  if (isPlainObject(settings)) return jsonOf(settings, "settings") as Json;
  throw new TypeError(
    `openRunDirectory: settings must be an object of what determines the numbers, got ${describeValue(settings)}`,
  );
}

function jsonOf(value: unknown, path: string): unknown {
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (Array.isArray(value)) return value.map((item, i) => jsonOf(item, `${path}[${i}]`));
  if (isPlainObject(value)) {
    const present = Object.entries(value).filter(([, item]) => item !== undefined);
    return Object.fromEntries(present.map(([key, item]) => [key, jsonOf(item, `${path}.${key}`)]));
  }
  throw new TypeError(
    `openRunDirectory: ${path} is ${describeValue(value)}; settings are plain objects, arrays, texts, numbers, ` +
      "true, false and null: write what tells it apart as a text",
  );
}

/** The text of `settings.json`. */
export function settingsText(settings: RunSettings): string {
  return `${JSON.stringify({ format: FORMAT, ...settings }, null, 2)}\n`;
}

/** What a `settings.json` says; null if it is of no run that this version can read. */
export function settingsIn(text: string): RunSettings | null {
  try {
    const { format, ...settings } = JSON.parse(text) as RunSettings & { format: unknown };
    return format === FORMAT ? settings : null;
  } catch {
    return null;
  }
}

/** The settings in which two runs differ, in words; empty if they are the same. */
export function differencesOf(before: Json, now: Json): string {
  const [was, is] = [flat(before), flat(now)];
  const names = [...new Set([...was.keys(), ...is.keys()])];
  const found = names
    .filter((name) => was.get(name) !== is.get(name))
    .map((name) => `${name} was ${was.get(name) ?? "not set"}, now ${is.get(name) ?? "not set"}`);
  const more = found.length > 4 ? `; and ${found.length - 4} more` : "";
  return found.slice(0, 4).join("; ") + more;
}

/** The leaves' JSON by the way to them. */
function flat(value: unknown, path = ""): ReadonlyMap<string, string> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return new Map([[path, JSON.stringify(value)]]);
  }
  const below = Object.entries(value).map(([key, item]) =>
    flat(item, path ? `${path}.${key}` : key),
  );
  return new Map(below.flatMap((entries) => [...entries]));
}
