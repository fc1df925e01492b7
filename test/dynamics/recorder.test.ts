/**
 * The recorder over a run that displaces: its rows, lines and page.
 */

import { beforeAll, describe, expect, it } from "vitest";
import { grad } from "../../src/autograd/transforms.js";
import { pairDynamics } from "../../src/dynamics/pairDynamics.js";
import { DynamicsRecorder, type DynamicsRow } from "../../src/dynamics/recorder.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import type { PairLogProbs } from "../../src/losses/types.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import { logProbs, type Parameters, start } from "../bilevel/displacement.js";

const responses = ["chosen", "rejected", "out of distribution", "other <&>"];
const reference = logProbs(start);
const loss = (pairs: PairLogProbs) => dpoLoss(pairs, { beta: 0.5 });
const learningRate = 0.1;
const recorder = new DynamicsRecorder({ responses, title: 'DPO on "shared" features' });

beforeAll(async () => {
  let parameters = start;
  for (let step = 0; step <= 200; step++) {
    const dynamics = pairDynamics(logProbs, parameters, { loss, reference });
    const metrics = { "norm of h": parameters.h.square().sum().sqrt(), step: step / 2 };
    if (step % 5 === 0) await recorder.record(step, dynamics, { learningRate, metrics });
    const { h } = grad((at: Parameters) => pairDynamics(logProbs, at, { loss, reference }).loss)(
      parameters,
    );
    parameters = await realize({ h: parameters.h.sub(h.mul(learningRate)) });
  }
});

const rowAt = (step: number): DynamicsRow => recorder.rows.find((row) => row.step === step)!;

describe("the rows", () => {
  it("hold each response's log-probability by name", () => {
    expect(recorder.rows).toHaveLength(41);
    for (const [step, pi] of [
      [50, [0.43615, 0.32557, 0.11206]],
      [100, [0.41543, 0.23247, 0.23188]],
      [200, [0.26026, 0.08724, 0.57718]],
    ] as const) {
      const { logProbs } = rowAt(step);
      pi.forEach((p, i) => {
        expect(Math.exp(logProbs[responses[i]!]!)).toBeCloseTo(p, 4);
      });
    }
  });

  it("predict the change of the steps that follow", () => {
    for (const [i, row] of recorder.rows.entries()) {
      const next = recorder.rows[i + 1];
      if (!next) continue;
      for (const name of responses) {
        const observed = (next.logProbs[name]! - row.logProbs[name]!) / 5;
        expect(row.predicted![name]).toBeCloseTo(observed, 2);
        expect(row.predicted![name]).toBeCloseTo(learningRate * row.velocities![name]!, 15);
      }
    }
  });

  it("say which steps displace, and how much has left both responses", () => {
    const first = recorder.rows.findIndex((row) => row.displaced);
    const peak = recorder.rows.reduce(
      (best, row) => (row.logProbs.chosen! > best.logProbs.chosen! ? row : best),
      rowAt(0),
    );
    expect(Math.abs(recorder.rows[first]!.step - peak.step)).toBeLessThanOrEqual(5);
    expect(recorder.rows.slice(first).every((row) => row.displaced)).toBe(true);
    for (const { overlap, displaced, displacement } of recorder.rows) {
      expect(overlap! > 1).toBe(displaced);
      expect(displacement! > 0).toBe(displaced);
    }
    expect(rowAt(0).leftBoth).toBe(0);
    expect(rowAt(200).leftBoth).toBeCloseTo(1 - (0.26026 + 0.08724) / (0.4132 + 0.4215), 3);
  });

  it("hold further metrics", () => {
    expect(rowAt(0).metrics!["norm of h"]).toBeCloseTo(Math.hypot(1.2, 0.2), 12);
    expect(rowAt(100).metrics!.step).toBe(50);
  });
});

describe("jsonl", () => {
  it("is one object a line, the rows themselves", () => {
    const text = recorder.jsonl();
    expect(text.endsWith("}\n")).toBe(true);
    const rows = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows).toEqual(recorder.rows);
    expect(new DynamicsRecorder().jsonl()).toBe("");
  });
});

describe("html", () => {
  it("is a page that loads and runs nothing", () => {
    const page = recorder.html();
    expect(page.startsWith("<!doctype html>")).toBe(true);
    expect(page).not.toMatch(/<script|https?:|src=|href=|@import|url\(/);
    expect(page).toContain("<title>DPO on &quot;shared&quot; features</title>");
    expect(page).toContain("other &lt;&amp;&gt;");
    expect(page).not.toContain("other <&>");
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
  });

  it("has a chart for each thing that was recorded", () => {
    const titles = (of: DynamicsRecorder) =>
      Array.from(of.html().matchAll(/<h2>(.*?)<\/h2>/g), ([, title]) => title);
    expect(titles(recorder)).toEqual([
      "Probability",
      "Log-probability",
      "Change per step",
      "Overlap of the gradients",
      "Left both responses",
      "Loss",
      "norm of h",
      "step",
    ]);
    expect(titles(new DynamicsRecorder())).toEqual([]);
  });

  it("shades the steps that displace", () => {
    const displaced = recorder.rows.filter((row) => row.displaced).length;
    const page = recorder.html();
    expect(page).toContain(`${displaced} of 41 lower the probability of chosen`);
    expect(page.match(/class="displaced"/g)).toHaveLength(8);
  });

  it("closes every element it opens", () => {
    const open: string[] = [];
    for (const [, end, name, self] of recorder
      .html()
      .matchAll(/<(\/?)([a-z][a-z0-9]*)(?:[^>]*?)(\/?)>/g)) {
      if (name === "meta" || self) continue;
      if (end) expect(open.pop()).toBe(name);
      else open.push(name!);
    }
    expect(open).toEqual([]);
  });

  it("stays small and keeps the extremes over a long run", async () => {
    const long = new DynamicsRecorder();
    for (let step = 0; step < 5000; step++) {
      const spike = step === 3333 ? -50 : -1;
      await long.record(step, { logProbs: tensor([spike, -2 - step / 1e4]) });
    }
    const page = long.html();
    expect(page.length).toBeLessThan(200_000);
    const chart = page.slice(page.indexOf("Log-probability"));
    const [, path] = chart.match(/<path d="(M58[^"]*)" stroke="#0072b2"/)!;
    const heights = Array.from(path!.matchAll(/ ([\d.]+)/g), ([, y]) => Number(y));
    expect(Math.max(...heights)).toBeGreaterThan(190);
  });
});

describe("DynamicsRecorder", () => {
  it("needs log-probabilities alone, names responses itself, and leaves their history alone", async () => {
    const plain = new DynamicsRecorder();
    const parameters = { h: tensor([1.2, 0.2, 0], { dtype: "float64" }) };
    const policy = logProbs(parameters);
    const row = await plain.record(0, { logProbs: policy });
    expect(Object.keys(row)).toEqual(["step", "logProbs", "leftBoth"]);
    expect(Object.keys(row.logProbs)).toEqual(["chosen", "rejected", "other 1", "other 2"]);
    expect(policy.inputs.length).toBeGreaterThan(0);
  });

  it("tells the share that left where probabilities underflow", async () => {
    const long = new DynamicsRecorder();
    await long.record(0, { logProbs: tensor([-900, -900]) });
    const row = await long.record(1, { logProbs: tensor([-901, -901]) });
    expect(row.leftBoth).toBeCloseTo(1 - Math.exp(-1), 12);
    expect(long.html()).not.toContain("<h2>Probability</h2>");
  });

  it("names what does not fit", async () => {
    expect(() => new DynamicsRecorder({ responses: ["a", "a"] })).toThrow(
      'DynamicsRecorder: responses must be two or more distinct names, got ["a","a"]',
    );
    const own = new DynamicsRecorder({ responses: ["a", "b"] });
    await expect(own.record(0, { logProbs: tensor([1, 2, 3]) })).rejects.toThrow(
      "DynamicsRecorder: logProbs must have shape [2] (a, b), got [3]",
    );
    await expect(own.record(0, { logProbs: tensor(1) })).rejects.toThrow(
      "DynamicsRecorder: logProbs must be a tensor of shape [N] with N ≥ 2, got []",
    );
    const observation = { logProbs: tensor([-1, -2]) };
    await expect(own.record(0, observation, { metrics: { m: tensor([1, 2]) } })).rejects.toThrow(
      "DynamicsRecorder: m must have one element, got shape [2]",
    );
    await expect(own.record(Number.NaN, observation)).rejects.toThrow(
      "DynamicsRecorder: step must be a finite number, got NaN",
    );
    await own.record(3, observation);
    await expect(own.record(3, observation)).rejects.toThrow(
      "DynamicsRecorder: step must be a number greater than 3, got 3",
    );
  });

  it("is after a call that failed what it was before", async () => {
    const own = new DynamicsRecorder();
    const three = { logProbs: tensor([-1, -2, -3]) };
    await expect(own.record(Number.NaN, three)).rejects.toThrow("finite number");
    await expect(own.record(0, three, { metrics: { m: tensor([1, 2]) } })).rejects.toThrow(
      "m must",
    );
    for (const m of ["1", null, undefined]) {
      await expect(own.record(0, three, { metrics: { m: m as never } })).rejects.toThrow(
        "DynamicsRecorder: metric m must be a number or a tensor, got ",
      );
    }
    await expect(own.record(0, { ...three, velocities: tensor([1, 2]) })).rejects.toThrow(
      "velocities must have shape [3]",
    );
    expect(own.rows).toEqual([]);
    expect(own.html()).toBe(new DynamicsRecorder().html());
    // The responses are those of the first call that succeeds.
    const two = { logProbs: tensor([-1, -2]) };
    const row = await own.record(0, two);
    expect(Object.keys(row.logProbs)).toEqual(["chosen", "rejected"]);
    await expect(own.record(1, three)).rejects.toThrow("logProbs must have shape [2]");
    expect(own.rows).toEqual([row]);
  });

  it("settles the responses once, where calls are not awaited in turn", async () => {
    const own = new DynamicsRecorder();
    const calls = [
      own.record(0, { logProbs: tensor([-1, -2]) }),
      own.record(1, { logProbs: tensor([-1, -2, -3]) }),
    ];
    const [first, second] = await Promise.allSettled(calls);
    expect(first!.status).toBe("fulfilled");
    expect(String((second as PromiseRejectedResult).reason)).toContain(
      "logProbs must have shape [2] (chosen, rejected), got [3]",
    );
    expect(own.rows).toHaveLength(1);
  });
});
