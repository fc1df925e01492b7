/**
 * Checks of options, for every part of the library: unknown ones, wrong types, values out of range.
 * @module
 */

/**
 * Rejects what is no object of options, and options `caller` does not have: it lists those there are,
 * and names the nearest.
 */
export function checkOptions<Options extends object>(
  caller: string,
  options: Options,
  ...known: (keyof Options & string)[]
): void {
  if (!isPlainObject(options)) {
    const found = describeValue(options);
    throw new TypeError(
      `${caller}: options must be an object { ${known.join(", ")} }, got ${found}` +
        (found.startsWith("Tensor") ? "; tensors of pairs are one argument { chosen, … }" : ""),
    );
  }
  for (const key of Object.keys(options)) {
    if (known.includes(key as keyof Options & string)) continue;
    const nearest = nearestName(key, known);
    const list = known.join(", ") || "none";
    throw new TypeError(
      `${caller}: has no option \`${key}\`; ` +
        (nearest ? `did you mean \`${nearest}\`? It has ${list}` : `it has ${list}`),
    );
  }
}

/** Rejects an option that is not a finite number or does not satisfy a condition. */
export function checkNumber(
  caller: string,
  option: string,
  value: number,
  holds: (value: number) => boolean,
  condition: string,
): void {
  if (!(typeof value === "number" && Number.isFinite(value) && holds(value))) {
    throw new RangeError(
      `${caller}: ${option} must be a number ${condition}, got ${describeValue(value)}`,
    );
  }
}

/** Rejects an option that is not an integer of at least `least`. */
export function checkCount(caller: string, option: string, value: number, least = 0): void {
  if (!(Number.isInteger(value) && value >= least)) {
    throw new RangeError(
      `${caller}: ${option} must be an integer ≥ ${least}, got ${describeValue(value)}`,
    );
  }
}

/** Rejects an option that is neither true nor false. */
export function checkFlag(caller: string, option: string, value: boolean): void {
  if (typeof value !== "boolean") {
    throw new TypeError(`${caller}: ${option} must be true or false, got ${describeValue(value)}`);
  }
}

/** Rejects what is no function. */
export function checkFunction(caller: string, f: unknown): void {
  if (typeof f !== "function") {
    throw new TypeError(`${caller}: expected a function, got ${describeValue(f)}`);
  }
}

/** Rejects a state that is no object. */
export function checkState(caller: string, form: string, state: object): void {
  if (typeof state !== "object" || state === null) {
    throw new TypeError(`${caller}: state must be ${form}, got ${describeValue(state)}`);
  }
}

/** Rejects a value that is none of the known ones, and lists them. */
export function checkChoice(
  caller: string,
  option: string,
  value: unknown,
  known: readonly string[],
): void {
  if (!known.includes(value as string)) {
    const list = known.map((name) => `"${name}"`).join(", ");
    throw new RangeError(
      `${caller}: ${option} must be one of ${list}, got ${describeValue(value)}`,
    );
  }
}

/** Whether a value is an object as literals make it: no array, no instance of a class, no Map. */
export function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  // Objects from another frame or context have another Object.prototype.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** A value in few words, for errors. */
export function describeValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if ((typeof value !== "object" && typeof value !== "function") || value === null) {
    return String(value);
  }
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  if (kind === "Object") {
    const describesItself = value.toString && value.toString !== Object.prototype.toString;
    return describesItself ? String(value) : "an object";
  }
  return kind === "Array" ? "an array" : `a ${kind}`;
}

/**
 * The known name a mistaken one resembles: it begins with the same letter, and of the shorter one's letters
 * all but the last third are found in the longer one, in order. So `weight_decay`, `lr`, `keepdim`,
 * `betas` and `epsilom` are understood.
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const letters = (text: string): string => text.toLowerCase().replace(/[^a-z]/g, "");
  const mistaken = letters(name);
  let nearest: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const right = letters(candidate);
    const [longer, shorter] =
      right.length > mistaken.length ? [right, mistaken] : [mistaken, right];
    let found = 0;
    for (const letter of longer) if (letter === shorter[found]) found++;
    const wrong = shorter.length - found;
    // A length that differs is as bad as a wrong letter in so far as nothing else decides.
    const distance = wrong + (longer.length - shorter.length) / 100;
    if (right[0] === mistaken[0] && wrong <= shorter.length / 3 && distance < least) {
      [nearest, least] = [candidate, distance];
    }
  }
  return nearest;
}
