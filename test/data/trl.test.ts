/**
 * Rows as TRL makes them, against its own. They are read from `../shared/golden/models` where that is there.
 */

import { existsSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import {
  type PreferenceRow,
  readPreferences,
  readTexts,
  readUnpaired,
} from "../../src/data/index.js";
import { loadTokenizer, type Tokenizer } from "../../src/models/index.js";

const GOLDEN = new URL("../../../shared/golden/models/", import.meta.url).pathname;
const golden = (name: string) => JSON.parse(readFileSync(`${GOLDEN}trainer/${name}`, "utf8"));
const plain = ({ row, promptIds, chosenIds, rejectedIds }: PreferenceRow) => ({
  row,
  promptIds: Array.from(promptIds),
  chosenIds: Array.from(chosenIds),
  rejectedIds: Array.from(rejectedIds),
});

describe.skipIf(!existsSync(GOLDEN))("rows of TRL", () => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await loadTokenizer(`${GOLDEN}gsm-llama`);
  });

  it("are met for pairs of texts, their truncation and the rows it drops", async () => {
    const { raw_rows: raw, examples, config } = golden("dpo-full-sigmoid/golden.json");
    const { rows, summary } = await readPreferences(raw, tokenizer, {
      tokenization: "trl",
      maxLength: config.max_length,
    });
    const found = await rows.read(examples.map((_: unknown, i: number) => i));
    expect(found.map(plain)).toEqual(
      examples.map((one: Record<string, number[]>) => {
        const cut = (ids: number[]) => ids.slice(one.prompt_ids!.length);
        return {
          row: one.raw_row,
          promptIds: one.prompt_ids,
          chosenIds: cut(one.chosen_input_ids!),
          rejectedIds: cut(one.rejected_input_ids!),
        };
      }),
    );
    expect([rows.length, summary.kept, summary.read]).toEqual([24, 24, 25]);
    expect([...summary.skipped]).toEqual([{ row: 20, reason: "the prompt is too long" }]);
    expect(summary.truncated.ends).toBe(9);
  });

  it("are met for conversations, with and without a column of prompts", async () => {
    const { rows: raw, examples } = golden("dpo-conversational-rows.json");
    const implicit = raw.map((row: Record<string, object[]>) => ({
      chosen: [...row.prompt!, ...row.chosen!],
      rejected: [...row.prompt!, ...row.rejected!],
    }));
    for (const given of [raw, implicit]) {
      const { rows } = await readPreferences(given, tokenizer, { tokenization: "trl" });
      const found = await rows.read(examples.map((_: unknown, i: number) => i));
      expect(found.map(plain)).toEqual(
        examples.map((one: Record<string, number[]>, row: number) => ({
          row,
          promptIds: one.prompt_ids,
          chosenIds: one.chosen_ids,
          rejectedIds: one.rejected_ids,
        })),
      );
    }
  });

  it("are met for completions with labels, and the completions that neighbours exchange", async () => {
    const { raw_rows: raw, examples, config } = golden("kto-full/golden.json");
    const { rows, summary } = await readUnpaired(raw, tokenizer, {
      tokenization: "trl",
      maxLength: config.max_length,
      batchSize: config.per_device_train_batch_size,
    });
    const found = await rows.read(examples.map((_: unknown, i: number) => i));
    const room = (one: Record<string, number[]>) => config.max_length - one.prompt_ids!.length;
    expect(
      found.map(({ promptIds, completionIds, mismatchedIds, ...rest }) => ({
        ...rest,
        promptIds: Array.from(promptIds),
        completionIds: Array.from(completionIds),
        mismatchedIds: Array.from(mismatchedIds),
      })),
    ).toEqual(
      examples.map((one: Record<string, number[]>) => ({
        row: one.raw_row,
        desirable: one.label,
        promptIds: one.prompt_ids,
        completionIds: one.completion_ids!.slice(0, room(one)),
        mismatchedIds: one.KL_completion_ids!.slice(0, room(one)),
      })),
    );
    expect(summary.truncated.rows).toBe(5);
  });

  it("are met for texts to learn, and which of their tokens are learned", async () => {
    const { raw_rows: raw, examples, config } = golden("sft-full/golden.json");
    const { rows } = await readTexts(raw, tokenizer, {
      tokenization: "trl",
      maxLength: config.max_length,
    });
    const found = await rows.read(examples.map((_: unknown, i: number) => i));
    expect(
      found.map(({ row, ids, trained }) => ({
        raw_row: row,
        input_ids: Array.from(ids),
        labels: Array.from(ids, (id, i) => (trained[i] ? id : -100)),
      })),
    ).toEqual(examples);
  });
});
