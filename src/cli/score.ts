/**
 * `prefgrad score`: log-probabilities of pairs under a model.
 * @module
 */

import { readPreferences } from "../data/readPreferences.js";
import type { PreferenceRow } from "../data/rows.js";
import type { DataSummary } from "../data/summary.js";
import { withLora } from "../models/lora.js";
import { realize } from "../tensor/evaluate.js";
import { fullPolicy } from "../training/policy.js";
import { withReferences } from "../training/references.js";
import { asInput, InputError } from "./input.js";
import { checkDevice, loaded } from "./model.js";
import type { OptionsOf } from "./options.js";
import { readOptions } from "./rows.js";
import { integer, table } from "./text.js";

/** What is written of a pair. */
interface Line {
  readonly row: number;
  readonly chosen_logp: number;
  readonly rejected_logp: number;
  readonly chosen_tokens: number;
  readonly rejected_tokens: number;
}

/** Writes a line of JSON for each row to standard output, and a summary to standard error. */
export async function score(options: OptionsOf<"score">): Promise<void> {
  checkDevice(options);
  const { data, evalBatchSize } = options;
  const { lm, adapter } = await loaded(options);
  const { tokenizer } = lm;
  if (!tokenizer) throw new InputError(`${options.model} has no tokenizer.json`);
  const { rows, summary } = await asInput(() =>
    readPreferences(data, tokenizer, readOptions(options)),
  );
  const parameters = adapter ? await realize(withLora(lm, adapter)) : lm.parameters;
  const policy = fullPolicy({ model: lm.model, parameters });
  const skipped = skippedBefore(summary);
  const sums = { pairs: 0, right: 0, chosen: 0, rejected: 0, chosenTokens: 0, rejectedTokens: 0 };
  for (let start = 0; start < rows.length; start += evalBatchSize) {
    const size = Math.min(evalBatchSize, rows.length - start);
    const batch = await rows.read(Array.from({ length: size }, (_, i) => start + i));
    const scored = await withReferences(batch, { policy, batchSize: evalBatchSize });
    const found = await scored.rows.read(batch.map((_, i) => i));
    for (const row of found) {
      const line = lineOf(row, row.referenceChosen!, row.referenceRejected!);
      sums.pairs++;
      sums.right += line.chosen_logp > line.rejected_logp ? 1 : 0;
      sums.chosen += line.chosen_logp;
      sums.rejected += line.rejected_logp;
      sums.chosenTokens += line.chosen_tokens;
      sums.rejectedTokens += line.rejected_tokens;
      process.stdout.write(`${skipped(row.row)}${JSON.stringify(line)}\n`);
    }
  }
  process.stdout.write(skipped(Number.POSITIVE_INFINITY));
  const mean = (sum: number, tokens: number) =>
    `${(sum / sums.pairs).toFixed(3)} nats, ${(sum / tokens).toFixed(4)} a token`;
  process.stderr.write(
    `${table([
      ["rows", `${integer(summary.read)} read, ${integer(sums.pairs)} scored`],
      ["chosen", mean(sums.chosen, sums.chosenTokens)],
      ["rejected", mean(sums.rejected, sums.rejectedTokens)],
      ["margin", `${((sums.chosen - sums.rejected) / sums.pairs).toFixed(3)} nats`],
      ["accuracy", (sums.right / sums.pairs).toFixed(4)],
    ])}\n`,
  );
}

/** The first token of a text is predicted by nothing. */
function lineOf(row: PreferenceRow, chosen: number, rejected: number): Line {
  const unpredicted = row.promptIds.length === 0 ? 1 : 0;
  return {
    row: row.row,
    chosen_logp: chosen,
    rejected_logp: rejected,
    chosen_tokens: row.chosenIds.length - unpredicted,
    rejected_tokens: row.rejectedIds.length - unpredicted,
  };
}

/** Lines of the rows that were skipped before a row, each once. */
function skippedBefore({ skipped }: DataSummary): (row: number) => string {
  const all = skipped[Symbol.iterator]();
  let next = all.next();
  return (row) => {
    let lines = "";
    for (; !next.done && next.value.row < row; next = all.next()) {
      const { row: own, reason } = next.value;
      lines += `${JSON.stringify({ row: own, skipped: reason })}\n`;
    }
    return lines;
  };
}
