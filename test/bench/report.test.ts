/**
 * What a run found, as text, as Markdown, and as exit status.
 */

import { describe, expect, it } from "vitest";
import type { Probe } from "../../bench/runner/processes.js";
import {
  caseText,
  curvesText,
  isBroken,
  markdown,
  processText,
  type Report,
} from "../../bench/runner/report.js";
import type { CaseReport, Row } from "../../bench/runner/run.js";

const first = "prefgrad, 1 thread";

function row(contender: string, samples: readonly number[], more: Partial<Row> = {}): Row {
  const [min, median, max] = samples as [number, number, number];
  return { contender, samples, min, median, max, ratio: 1, rate: null, ofCopy: null, ...more };
}

const softmax: CaseReport = {
  family: "rows, forward",
  name: "softmax",
  unit: "GB/s",
  curve: null,
  rows: [
    row(first, [1, 2, 3], { rate: 5, ofCopy: 0.25 }),
    row("jax-js", [0.5, 0.75, 12.5], { ratio: 0.375, rate: 13.3, ofCopy: 0.667 }),
    row("memory copy", [0.1, 0.2, 0.3], { ratio: 0.1, rate: 20 }),
  ],
  failures: [{ contender: "tfjs", reason: "wrong numbers: x is NaN" }],
};

function point(curve: string, rates: readonly number[]): CaseReport {
  const rows = rates.map((rate, i) => row(`prefgrad, ${i + 1} threads`, [1, 1, 1], { rate }));
  return { ...softmax, family: "scaling", unit: "GFLOP/s", curve, rows, failures: [] };
}

function probe(importMs: number | null, stepMs: number): Probe {
  return { importMs, stepMs, firstStepMs: 3 * stepMs, peakBytes: 3e8, deviceBytes: null };
}

const report: Report = {
  machine: { cpu: "a CPU", cores: 2, memoryBytes: 1, node: "v20.0.0", load: 0.5 },
  started: [{ name: "jax-js", reason: "not installed" }],
  cases: [softmax],
  processes: [
    { contender: first, probes: [probe(0.5, 10), probe(20, 30), probe(40, 20)], failure: null },
    {
      contender: "PyTorch",
      probes: [probe(null, 5), probe(null, 60), probe(null, 10)],
      failure: null,
    },
    { contender: "tfjs", probes: [], failure: "Error: no wasm" },
  ],
};

describe("text", () => {
  it("tells a case's times, ratios, rates, shares of the copy's, and failures", () => {
    const text = caseText(softmax);
    expect(text).toMatch(
      /1 thread +2\.00 ms +1\.00× +5\.00 GB\/s +1\.00 ms – 3\.00 ms +25% of copy/,
    );
    expect(text).toMatch(/copy +200 µs +0\.10× +20\.0 GB\/s +100 µs – 300 µs$/m);
    expect(text).toMatch(/tfjs +wrong numbers: x is NaN/);
  });

  it("tells the processes' medians with spread, relative to prefgrad in the same round", () => {
    const text = processText(report.processes);
    expect(text).toMatch(
      /: import\n +prefgrad, 1 thread +20\.0 ms \(0\.500–40\.0\) · 1\.00×\n +PyTorch +–/,
    );
    expect(text).toMatch(/\n +tfjs +Error: no wasm$/);
    expect(text).toMatch(/: step\n.*\n +PyTorch +10\.0 ms \(5\.00–60\.0\) · 0\.50×\n/);
    expect(text).toMatch(/: peak memory\n +prefgrad, 1 thread +300 MB \(300–300\) · 1\.00×/);
  });

  it("tells where curves bend, from three points on", () => {
    const [two, three] = [
      [2, 3],
      [2, 4, 3],
    ].map((rates) => rates.map((r) => point("width", [r])));
    expect(curvesText(two!)).toMatch(/width +prefgrad, 1 threads +2\.00 {2}3\.00 *$/m);
    expect(curvesText(three!)).toMatch(/2\.00 {2}4\.00 {2}3\.00 +last\/middle 0\.75$/m);
    expect(curvesText([softmax])).toBe("");
  });

  it("takes contenders for the points of the curve of threads", () => {
    expect(curvesText([point("threads", [2, 4, 6])])).toMatch(
      /threads +prefgrad +2\.00 {2}4\.00 {2}6\.00 +last\/middle 1\.50$/m,
    );
  });
});

describe("Markdown", () => {
  const lines = markdown({ ...report, cases: [softmax, point("width", [2])] }).split("\n");

  it("has spreads, shares, and why a contender fails", () => {
    expect(lines).toContain(
      "### rows, forward (time (least–most) · GB/s · of copy · time relative to prefgrad, 1 thread)",
    );
    expect(lines).toContain("| rows, forward | prefgrad, 1 thread | jax-js | memory copy |");
    expect(lines).toContain(
      "| softmax | 2.00 ms (1.00–3.00) · 5.00 · 25% · 1.00× | 750 µs (500–12500) · 13.3 · 67% · 0.38× | 200 µs (100–300) · 20.0 · 0.10× |",
    );
    expect(lines).toContain("- softmax, tfjs: wrong numbers: x is NaN");
  });

  it("has curves and processes", () => {
    expect(lines).toContain("| width | prefgrad, 1 threads | 2.00 |  |");
    expect(lines).toContain(
      "| PyTorch | – | 30.0 ms (15.0–180) · 0.50× | 10.0 ms (5.00–60.0) · 0.50× | 300 MB (300–300) · 1.00× | – |",
    );
    expect(lines).toContain("| tfjs | Error: no wasm |  |  |  |  |");
  });
});

describe("a run", () => {
  it("is broken by prefgrad only, wherever it fails", () => {
    expect(isBroken(report)).toBe(false);
    const failures = [{ contender: first, reason: "wrong numbers" }];
    expect(isBroken({ ...report, cases: [{ ...softmax, failures }] })).toBe(true);
    expect(isBroken({ ...report, started: [{ name: first, reason: "no SIMD" }] })).toBe(true);
    const processes = [{ contender: first, probes: [], failure: "Mismatch [Error]: loss" }];
    expect(isBroken({ ...report, processes })).toBe(true);
  });
});
