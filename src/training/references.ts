/**
 * What the reference model makes of rows: computed once, kept on the disk, and compared with the policy before the
 * first step.
 * @module
 */

import { checkCount, checkOptions } from "../checks.js";
import type { PreferenceRow, Rows, UnpairedRow } from "../data/rows.js";
import { fingerprint } from "../files/fingerprint.js";
import { type DirectoryTarget, outputDirectory } from "../files/outputDirectory.js";
import { realize } from "../tensor/evaluate.js";
import { givenRows } from "./givenRows.js";
import { askedOf, batchesOf, columnsIn, contents, type KeptColumns, keep } from "./keptNumbers.js";
import { checkPolicy, type Policy } from "./policy.js";
import type { ReferencedPair } from "./preferenceObjective.js";
import { packSequences, type ReadingOptions, scoreSequences } from "./sequences.js";
import type { ReferencedCompletion } from "./unpairedObjective.js";

/** A row of pairs or of judged completions. */
/** A row with what the reference makes of it. */
export type Referenced<R extends PreferenceRow | UnpairedRow> = R &
  (R extends PreferenceRow ? ReferencedPair : ReferencedCompletion);

/** Options of {@link withReferences}. */
export interface ReferenceOptions extends ReadingOptions {
  /** The reference model, at the parameters it starts from: {@link fullPolicy} of the base, also where an adapter is trained. */
  readonly policy: Policy<unknown>;
  /** Rows of a micro-batch; default 8. */
  readonly batchSize?: number;
  /**
   * Directory where they are kept: a path (Node), which is made, or a handle of a browser's directory. Default: they
   * are not.
   */
  readonly cache?: DirectoryTarget;
  /** Called after each micro-batch with the rows done. */
  readonly onProgress?: (done: number, rows: number) => void;
}

/** What {@link withReferences} gives. */
export interface ReferencedRows<R extends PreferenceRow | UnpairedRow> {
  /** The rows, each with its references. */
  readonly rows: Rows<Referenced<R>>;
  /** Whether they were in the cache; null without one. */
  readonly cached: boolean | null;
  /** Of weights and rows, hexadecimal: the name under which they are kept. Null without a cache. */
  readonly fingerprint: string | null;
}

/**
 * The rows with the reference's log-probabilities of their completions, nats per sequence. In a cache they lie under a
 * fingerprint of the model's weights and of the rows' token ids, on which tokenizer, template and truncation have had
 * their effect: another of any of these is another name. A damaged file is computed anew.
 *
 * @throws for options out of range; (the returned promise rejects) what reading, the model and the file system throw.
 * @example
 * const { rows, cached } = await withReferences(pairs.rows, { policy: fullPolicy(lm), cache: "cache" });
 */
export async function withReferences<R extends PreferenceRow | UnpairedRow>(
  rows: Rows<R> | readonly R[],
  options: ReferenceOptions,
): Promise<ReferencedRows<R>> {
  checkOptions("withReferences", options, ...OPTIONS);
  const { batchSize = 8, cache } = options;
  checkCount("withReferences", "batchSize", batchSize, 1);
  checkPolicy("withReferences", options.policy);
  const source = givenRows("withReferences", "rows", rows);
  if (cache === undefined) {
    return {
      ...attached(source, await computed(source, options)),
      cached: null,
      fingerprint: null,
    };
  }
  const print = await fingerprint(contents(options.policy, [source]));
  const directory = await outputDirectory(cache);
  const name = `references-${print.slice(0, 32)}.safetensors`;
  const found = await columnsIn(directory, name);
  if (found) return { ...attached(source, found), cached: true, fingerprint: print };
  const columns = await computed(source, options);
  await keep(directory, name, columns);
  return { ...attached(source, columns), cached: false, fingerprint: print };
}

const OPTIONS = ["policy", "batchSize", "cache", "onProgress", "chunkSize", "multipleOf"] as const;

/** Log-probabilities of rows' sequences under a policy at parameters, by their fields. */
async function scored<P>(
  policy: Policy<P>,
  parameters: P,
  rows: readonly (PreferenceRow | UnpairedRow)[],
  reading: ReadingOptions,
): Promise<Record<string, ArrayLike<number>>> {
  const asked = rows.map(askedOf);
  const names = Object.keys(asked[0]!);
  const sequences = await packSequences(
    names.flatMap((name) => asked.map((row) => row[name]!)),
    reading,
  );
  const { logProbs } = await realize(scoreSequences(policy, parameters, sequences, reading));
  const values = await logProbs.data();
  const n = rows.length;
  return Object.fromEntries(names.map((name, i) => [name, values.slice(i * n, (i + 1) * n)]));
}

async function computed<R extends PreferenceRow | UnpairedRow>(
  rows: Rows<R>,
  options: ReferenceOptions,
): Promise<KeptColumns> {
  const { policy, batchSize = 8, onProgress } = options;
  const columns: Record<string, Float64Array> = {};
  let done = 0;
  for await (const batch of batchesOf(rows, batchSize)) {
    const found = await scored(policy, policy.parameters, batch, options);
    for (const [name, values] of Object.entries(found)) {
      const column = columns[name] ?? new Float64Array(rows.length);
      column.set(values, done);
      columns[name] = column;
    }
    done += batch.length;
    onProgress?.(done, rows.length);
  }
  return columns;
}

function attached<R extends PreferenceRow | UnpairedRow>(rows: Rows<R>, columns: KeptColumns) {
  const fields = Object.entries(columns);
  const withOwn = (row: R, index: number) =>
    ({
      ...row,
      ...Object.fromEntries(fields.map(([name, values]) => [name, values[index]!])),
    }) as unknown as Referenced<R>;
  return {
    rows: {
      length: rows.length,
      read: async (indices: readonly number[]) =>
        (await rows.read(indices)).map((row, i) => withOwn(row, indices[i]!)),
    },
  };
}

/** Options of {@link checkReferences}. */
export interface CheckReferencesOptions<P> extends ReadingOptions {
  /** What is trained. */
  readonly policy: Policy<P>;
  /** Where it starts; default the policy's own. */
  readonly parameters?: P;
  /** How many of the rows are compared, the first ones; default 8. */
  readonly count?: number;
}

/**
 * Compares the policy with the references before the first step: where training starts at the reference, log-probabilities
 * differ by rounding only, `1e-3 + 1e-5·|log π_ref|`. Not for runs that go on, or have another reference on purpose.
 *
 * @throws (the returned promise rejects) naming the first row that differs, both numbers, and what may be the cause.
 */
export async function checkReferences<P, R extends ReferencedPair | ReferencedCompletion>(
  rows: Rows<R> | readonly R[],
  options: CheckReferencesOptions<P>,
): Promise<void> {
  checkOptions(
    "checkReferences",
    options,
    "policy",
    "parameters",
    "count",
    "chunkSize",
    "multipleOf",
  );
  checkPolicy("checkReferences", options.policy);
  const { policy, parameters = policy.parameters, count = 8 } = options;
  checkCount("checkReferences", "count", count, 1);
  const source = givenRows("checkReferences", "rows", rows);
  const size = Math.min(count, source.length);
  if (size === 0) return;
  const first = await source.read(Array.from({ length: size }, (_, i) => i));
  const found = await scored(policy, parameters, first, options);
  for (const [name, values] of Object.entries(found)) {
    for (const [i, row] of first.entries()) {
      const reference = (row as unknown as Record<string, number | undefined>)[name];
      if (reference === undefined) {
        throw new TypeError(
          `checkReferences: row ${row.row} has no ${name}; withReferences gives it`,
        );
      }
      const own = values[i]!;
      if (Math.abs(own - reference) <= 1e-3 + 1e-5 * Math.abs(reference)) continue;
      throw new Error(
        `checkReferences: before the first step the policy gives row ${row.row} a log-probability of ${own}, but its ` +
          `${name} is ${reference}. Either the references are of other weights or other tokens (compute them anew with ` +
          "withReferences), or the policy does not start at the reference (an adapter whose B is not 0, another reference " +
          "model: then leave this check out)",
      );
    }
  }
}
