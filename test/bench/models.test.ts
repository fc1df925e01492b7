/**
 * The pieces of the models' benchmarks that take no time: sizes, checkpoints, comparisons, tables.
 */

import { describe, expect, it } from "vitest";
import { checkpoint } from "../../bench/models/checkpoint.js";
import { modelsCommand } from "../../bench/models/command.js";
import { checkNumbers, type RaceReport } from "../../bench/models/race.js";
import { raceMarkdown, raceText } from "../../bench/models/report.js";
import { batchBelow } from "../../bench/models/work.js";
import { GPU_WORKLOADS, parameterCount, WORKLOADS } from "../../bench/models/workloads.js";
import { tensor, treeLeaves } from "../../src/index.js";
import { loadModel } from "../../src/models/index.js";

describe("the models", () => {
  it("have as many parameters as those published", () => {
    expect(parameterCount("smol")).toBe(134_515_008);
    expect(parameterCount("qwen")).toBe(494_032_768);
  });

  it("are checkpoints that load, with weights that differ from one another", async () => {
    const { model, parameters } = await loadModel(checkpoint("tiny"));
    const sizes = treeLeaves(parameters).reduce((sum, { size }) => sum + size, 0);
    expect(sizes).toBe(parameterCount("tiny"));
    const values = (await parameters.tokenEmbedding.weight.data()) as Float32Array;
    const mean = values.reduce((a, b) => a + b) / values.length;
    const std = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
    expect(mean).toBeCloseTo(0, 3);
    expect(std).toBeCloseTo(0.02, 3);
    const ids = tensor([batchBelow(512).prompts[0]!], { dtype: "int32" });
    const logits = await model.apply(parameters, ids).at(0).at(-1).data();
    expect(new Set(logits).size).toBeGreaterThan(500);
  });
});

describe("the command", () => {
  it.each([
    [["--model", "gpt5"], /smol, qwen, tiny/],
    [["--rounds", "0"], /whole number, at least 1/],
    [["--threads", "1,none"], /whole number, at least 1/],
    [["--length", "7"], /multiple of 2, at least 4/],
    [["--tokens", "1.5"], /whole number/],
  ])("refuses %s before anything is run", async (options, message) => {
    const command = modelsCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => {} });
    await expect(command.parseAsync(options, { from: "user" })).rejects.toThrow(message);
  });
});

describe("the workloads", () => {
  it("compare with PyTorch wherever it can take part, and are cut down for GPUs", () => {
    const against = WORKLOADS.filter(({ contestants }) =>
      contestants.some(({ name }) => name === "PyTorch"),
    );
    expect(against.map(({ name }) => name)).toEqual([
      "LoRA step",
      "full step, blocks recomputed",
      "greedy decoding",
      "reference scoring",
      "loading",
    ]);
    expect(GPU_WORKLOADS.map(({ name }) => name)).toEqual(
      against.map(({ name }) => name).slice(0, 4),
    );
  });

  it("have bfloat16 weights on WebGPU, too, where they are not trained", () => {
    const narrow = GPU_WORKLOADS.filter(({ contestants }) =>
      contestants.some(({ name }) => name === "WebGPU, bfloat16"),
    );
    expect(narrow.map(({ name }) => name)).toEqual([
      "LoRA step",
      "greedy decoding",
      "reference scoring",
    ]);
  });

  it("have the same batch of two pairs each time", () => {
    const batch = batchBelow(512);
    expect(batch).toEqual(batchBelow(512));
    for (const rows of Object.values(batch)) {
      expect(rows.map((row: readonly number[]) => row.length)).toEqual([128, 128]);
      expect(Math.max(...rows.flat())).toBeLessThan(512);
    }
    expect(batch.chosen).not.toEqual(batch.rejected);
  });
});

describe("numbers of two contestants", () => {
  it("agree to a tolerance, tokens exactly and as long as rounding lets them", () => {
    checkNumbers("step", [2, 3], [2.001, 2.999]);
    expect(() => checkNumbers("step", [2, 3], [2.001, 2.99])).toThrow("wrong numbers: 3 at 1");
    expect(() => checkNumbers("step", [Number.NaN], [1])).toThrow("wrong numbers");
    expect(() => checkNumbers("score", [1], [1, 2])).toThrow("1 of them, not 2");
    const tokens = Array.from({ length: 32 }, (_, i) => i);
    const with7 = (place: number) => tokens.map((token, i) => (i === place ? 7 : token));
    checkNumbers("decode", with7(20), tokens);
    expect(() => checkNumbers("decode", with7(3), tokens)).toThrow("7 at 3, not 3");
  });
});

describe("a table", () => {
  const report: RaceReport = {
    workload: "greedy decoding",
    model: "smol",
    threads: 1,
    amount: 128,
    unit: "tokens",
    placings: [
      {
        name: "prefgrad",
        version: "0",
        firstMs: 6000,
        milliseconds: [4000, 5000, 3000],
        residentBytes: 1e9,
        deviceBytes: 6e8,
      },
      {
        name: "PyTorch",
        version: "2",
        firstMs: 9000,
        milliseconds: [8000],
        residentBytes: 2e9,
        deviceBytes: null,
      },
    ],
    failures: [{ name: "prefgrad, bfloat16", reason: "no" }],
  };

  it("has medians, ratios to PyTorch, rates, memory and failures", () => {
    expect(raceText(report)).toContain("greedy decoding, smol, 1 thread");
    const rows = raceMarkdown([report]).trim().split("\n");
    expect(rows.slice(2)).toEqual([
      "| greedy decoding, smol, 1 thread | prefgrad | 4.00 s (3.00–5.00) | 0.50× | 32.0 tokens/s | 1.50× | 1.00 GB | 0.600 GB |",
      "| greedy decoding, smol, 1 thread | PyTorch | 8.00 s | 1.00× | 16.0 tokens/s | 1.13× | 2.00 GB |  |",
      "| greedy decoding, smol, 1 thread | prefgrad, bfloat16 | no |  |  |  |  |  |",
    ]);
  });
});
