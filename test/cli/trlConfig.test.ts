/**
 * A file of TRL's, given to `prefgrad align --config`, gives TRL's run.
 */

import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readRun } from "../../src/index.js";
import { isFull } from "../conformance/devices.js";
import { bundled, started } from "./run.js";

const MODELS = new URL("../../../shared/golden/models/", import.meta.url).pathname;
const RUN = `${MODELS}trainer/dpo-full-sigmoid/golden.json`;

/** Steps that are compared; then the run is stopped, unless it is to be met to its end. */
const STEPS = isFull() ? 12 : 2;

describe.skipIf(!existsSync(RUN))("a run of TRL", () => {
  it("is met step by step from its configuration", async () => {
    const { config, raw_rows: rows, steps } = JSON.parse(readFileSync(RUN, "utf8"));
    const folder = await mkdtemp(join(tmpdir(), "prefgrad-trl-"));
    try {
      const main = await bundled(folder);
      const [data, file, output] = ["pairs.jsonl", "dpo.yaml", "run"].map((name) =>
        join(folder, name),
      ) as [string, string, string];
      await writeFile(data, rows.map((row: object) => JSON.stringify(row)).join("\n"));
      const given = {
        ...config,
        model_name_or_path: `${MODELS}gsm-llama`,
        dataset_name: data,
        output_dir: output,
        eval_strategy: "no",
      };
      const lines = Object.entries(given).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
      await writeFile(file, lines.join("\n"));
      const args = ["--config", file, "--tokenization", "trl", "--batch-semantics", "trl"];
      const cache = ["--cache", join(folder, "cache")];
      const { code, errors } = await started(main, ["align", ...args, ...cache], {
        onErrors(child, text) {
          if (STEPS < 12 && text.includes(`step ${STEPS}/12`)) child.kill("SIGINT");
        },
      });
      expect(code, errors).toBe(STEPS < 12 ? 130 : 0);
      expect(errors).toMatch(
        /without meaning here: optim, save_strategy, use_cpu, bf16, dataloader_num_workers/,
      );
      const record = await readRun(output, "run");
      expect(record.rows.length).toBeGreaterThanOrEqual(STEPS);
      for (const [i, own] of record.rows.entries()) {
        const [row, step] = [own as Record<string, number>, steps[i]];
        expect(row.step).toBe(step.step);
        expect(row.learning_rate).toBeCloseTo(step.learning_rate, 12);
        expect(Math.abs(row.loss! - step.loss)).toBeLessThan(1e-4);
        for (const name of ["rewards/margins", "logps/chosen", "logps/rejected"]) {
          expect(Math.abs(row[name]! - step[name]), `${name} of step ${i + 1}`).toBeLessThan(0.05);
        }
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
