/**
 * The pieces of the GPU benchmarks that need no GPU: cases from small to large, what kernels tell
 * about themselves, what is skipped, what is printed.
 */

import { describe, expect, it } from "vitest";
import type { Adapter } from "../../bench/gpu/adapter.js";
import { GPU_CASES, seriesOf } from "../../bench/gpu/cases.js";
import { describeKernel } from "../../bench/gpu/kernels.js";
import { bestFlopRate, gpuCaseText, groupKernels } from "../../bench/gpu/report.js";
import type { GpuCaseReport } from "../../bench/gpu/session.js";
import { chosenCases } from "../../bench/runner/choose.js";
import { QUICK } from "../../bench/runner/measure.js";
import { runCase } from "../../bench/runner/run.js";
import { tiledProduct } from "../../src/devices/gpu/webgpu/matmul.js";
import { TILES } from "../../src/devices/gpu/webgpu/tiles.js";
import type { MatmulKernel } from "../../src/kernels/kernel.js";

const adapter: Adapter = { name: "a GPU", isSoftware: false, copyRate: 100, copyBytes: 2 ** 28 };

describe("the cases", () => {
  it("are of every family, and training steps are of every library that trains", () => {
    const families = [...new Set(GPU_CASES.map(({ family }) => family))];
    expect(families).toEqual(["matmul", "rows, forward", "rows, gradient", "mlp", "gpt"]);
    expect(GPU_CASES.filter(({ kind }) => kind === "gpt").map(({ name }) => name)).toEqual([
      "two blocks, 256 tokens, step",
      "gpt-dpo, forward",
      "gpt-dpo, step",
    ]);
    for (const { name, contenders } of GPU_CASES.filter(({ name }) => name.endsWith("step"))) {
      for (const contender of ["prefgrad", "prefgrad, dispose()", "jax-js"]) {
        expect(contenders?.(contender) ?? true, `${contender} in ${name}`).toBe(true);
      }
    }
  });

  it("of a series come from small to large", () => {
    const last = new Map<string, number>();
    for (const one of GPU_CASES) {
      if (one.kind === "matmul" && !one.name.startsWith("A·B, n")) continue;
      const series = seriesOf(one);
      if (series === null) continue;
      expect(one.work!.amount, one.name).toBeGreaterThan(last.get(series) ?? 0);
      last.set(series, one.work!.amount);
    }
  });

  it("are chosen by family, name and effort", () => {
    const names = (filter: string, quick: boolean) =>
      chosenCases(GPU_CASES, { filter, quick }).map(({ name }) => name);
    expect(names("A·B, n", false)).toEqual(
      [256, 512, 1024, 2048, 4096].map((n) => `A·B, n = ${n}`),
    );
    expect(names("A·B, n", true)).not.toContain("A·B, n = 4096");
    expect(names("MLP", true)).toEqual([
      "small, forward",
      "small, step",
      "medium, forward",
      "medium, step",
    ]);
  });

  it("take no time from a contender that is skipped", async () => {
    const [benchmark] = GPU_CASES;
    const started = [{ name: "prefgrad", reason: "not here" }];
    const rules = { effort: QUICK, baseline: "prefgrad", skip: () => "skipped: too slow" };
    const problem = () => {
      throw new Error("not to be made");
    };
    const { rows, failures } = await runCase({ ...benchmark!, problem }, started, rules);
    expect(rows).toEqual([]);
    expect(failures).toEqual([{ contender: "prefgrad", reason: "skipped: too slow" }]);
  });
});

describe("a kernel", () => {
  const kernel: MatmulKernel = {
    kind: "matmul",
    dtype: "float32",
    batch: [5],
    m: [70],
    n: [33],
    k: [130],
    left: { buffer: 1, offset: 0, batch: [70 * 130], outer: [130], inner: [1] },
    right: { buffer: 2, offset: 0, batch: [130 * 33], outer: [1], inner: [33] },
    epilogue: null,
  };

  it.each(TILES.map((tile) => [JSON.stringify(tile), tile] as const))(
    "is known as a product of its size, with tile %s",
    (_, tile) => {
      const limits = { maxComputeWorkgroupsPerDimension: 65_535 };
      const tiled = tiledProduct(kernel, [33, 70, 5], limits, tile);
      const code = tiled.entryPoint("@compute", "");
      expect(describeKernel({ code, workgroups: tiled.workgroups })).toEqual({
        kind: "product 5 × [70,130]·[130,33]",
        flops: 2 * 5 * 70 * 33 * 130,
      });
    },
  );

  it("is compared with the slower of what bandwidth and products allow", () => {
    const one = { kind: "product", label: "", workgroups: [1], bytes: 2e6, flops: 0, ms: 3 };
    const groups = groupKernels([one, one, { ...one, flops: 8e9, ms: 9 }], adapter, 1000);
    expect(groups.map(({ count, ms, idealMs }) => ({ count, ms, idealMs }))).toEqual([
      { count: 3, ms: 15, idealMs: expect.closeTo(0.02 + 0.02 + 8) },
    ]);
  });
});

describe("the report", () => {
  const report: GpuCaseReport = {
    family: "matmul",
    name: "A·B",
    unit: "GFLOP/s",
    curve: null,
    rows: [
      {
        contender: "prefgrad",
        median: 2,
        min: 1,
        max: 3,
        ratio: 1,
        rate: 500,
        ofCopy: null,
        samples: [1, 2, 3],
      },
    ],
    failures: [{ contender: "jax-js", reason: "skipped: a run would take about 9.0 s" }],
    costs: [
      {
        contender: "prefgrad",
        counts: { kernels: 4, bindGroups: 0, buffers: 1, submissions: 1, bytes: 5e7 },
        issue: [
          { wholeMs: 0.08, encodeMs: 0.02, submitMs: 0.01 },
          { wholeMs: 0.06, encodeMs: 0.03, submitMs: 0.02 },
          { wholeMs: 0.09, encodeMs: 0.04, submitMs: 0.03 },
        ],
      },
    ],
    kernels: [],
  };

  it("tells rates, the share of bandwidth, what was skipped, and the processor's time", () => {
    const text = gpuCaseText(report, adapter);
    expect(text).toMatch(/prefgrad +2\.00 ms +1\.00× +500 GFLOP\/s +25\.0 GB\/s +25% of copy/);
    expect(text).toContain("skipped: a run would take about 9.0 s");
    expect(text).toContain("4 kernels, 1 submission, 0 bind groups and 1 buffer made");
    expect(text).toContain("7.50 (least 5.00) µs to issue a kernel");
    expect(text).toContain("20.0 (least 10.0) µs to submit them");
    expect(text).toContain("20.0 (least 15.0) µs per kernel in all");
  });

  it("takes the best product for what the adapter can do", () => {
    expect(bestFlopRate([report])).toBe(500);
    const kernel = { kind: "product", label: "", workgroups: [1], bytes: 1, flops: 6e9, ms: 10 };
    expect(bestFlopRate([{ ...report, kernels: [kernel] }])).toBe(600);
  });
});
