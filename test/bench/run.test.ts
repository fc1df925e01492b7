/**
 * How a case is run: contenders take turns, one that fails stops nobody else, tasks are closed, and
 * rates count what was moved.
 */

import { describe, expect, it } from "vitest";
import type { Task } from "../../bench/problem.js";
import { type Case, defineCase, Mismatch } from "../../bench/runner/case.js";
import { chosenCases, chosenContenders } from "../../bench/runner/choose.js";
import { type CaseReport, runCase, type Started, start } from "../../bench/runner/run.js";

const effort = { rounds: 3, sampleMs: 0, warmMs: 0, caseMs: 1000 };

const benchmark: Case = defineCase({
  family: "elementwise",
  name: "exp",
  kind: "elementwise",
  problem: () => ({ function: "exp", x: new Float32Array(2) }),
  checker: () => (results) => {
    if (results.values![0] !== 1) throw new Mismatch("exp(0) is 1");
  },
  work: { unit: "GB/s", amount: 6e6 },
});

const right = async () => ({ values: [1, 1] });

/** A contender with one task, whose runs take as many milliseconds as `time` says. */
function contender(name: string, task: Partial<Task>): Started {
  const whole: Task = { run: () => {}, results: right, ...task };
  return { name, peer: { version: "1", solve: { elementwise: () => whole } } };
}

function run(...started: readonly Started[]): Promise<CaseReport> {
  return runCase(benchmark, started, { effort, baseline: "a" });
}

const taking = (ms: number) => ({ time: async (runs: number) => ms * runs });

describe("contenders of a case", () => {
  it("take turns after all are warm", async () => {
    const order: string[] = [];
    const logging = (name: string) => contender(name, { run: () => void order.push(name) });
    await run(logging("a"), logging("b"), logging("c"));
    expect(order.join("")).toBe("abc".repeat(1 + effort.rounds));
  });

  it("are compared by rounds", async () => {
    const times = [9, 1, 2, 4];
    const uneven = { time: async (runs: number) => times.shift()! * runs };
    const { rows } = await run(contender("a", uneven), contender("b", taking(8)));
    expect(rows.map(({ median, min, max, ratio }) => [median, min, max, ratio])).toEqual([
      [2, 1, 4, 1],
      [8, 8, 8, 4],
    ]);
  });

  it.each([
    ["as it warms up", 0],
    ["between rounds", 2],
  ])("go on without one that throws %s, and it is closed", async (_, after) => {
    let runs = 0;
    let closes = 0;
    const failing = contender("b", {
      run: () => {
        if (runs++ >= after) throw new Error("out of memory\nand more");
      },
      close: () => void closes++,
    });
    const { rows, failures } = await run(contender("a", taking(1)), failing, contender("c", {}));
    expect(rows.map(({ contender }) => contender)).toEqual(["a", "c"]);
    expect(rows.every(({ samples }) => samples.length === effort.rounds)).toBe(true);
    expect(failures).toEqual([{ contender: "b", reason: "out of memory" }]);
    expect(closes).toBe(1);
  });

  it("have no ratios when the baseline fails", async () => {
    const broken = contender("a", { run: () => Promise.reject(new Error("lost")) });
    const { rows, failures } = await run(broken, contender("b", taking(2)));
    expect(rows.map(({ contender, ratio }) => [contender, ratio])).toEqual([["b", null]]);
    expect(failures).toEqual([{ contender: "a", reason: "lost" }]);
  });

  it("with wrong numbers are closed, not timed", async () => {
    const seen: string[] = [];
    const wrong = contender("b", {
      run: () => void seen.push("run"),
      results: async () => ({ values: [2, 2] }),
      close: () => void seen.push("close"),
    });
    const { rows, failures } = await run(contender("a", {}), wrong);
    expect(rows.map(({ contender }) => contender)).toEqual(["a"]);
    expect(failures).toEqual([{ contender: "b", reason: "wrong numbers: exp(0) is 1" }]);
    expect(seen).toEqual(["close"]);
  });

  it("that did not start, or belong to another curve, are left out", async () => {
    const load = async () => Promise.reject(new Error("not installed"));
    const started = await start([{ name: "b", load }]);
    expect(started).toEqual([{ name: "b", reason: "not installed" }]);
    const other = { ...contender("c", {}), curve: "threads" };
    const { rows, failures } = await run(contender("a", {}), ...started, other);
    expect(rows.map(({ contender }) => contender)).toEqual(["a"]);
    expect(failures).toEqual([]);
    const points = await runCase({ ...benchmark, curve: "threads" }, [other], {
      effort,
      baseline: "a",
    });
    expect(points.rows.map(({ contender }) => contender)).toEqual(["c"]);
  });
});

it("a copy's rate counts what it moves, and others' rates are shares of it", async () => {
  const copy: Task = { run: () => {}, work: 8e6, ...taking(2) };
  const { rows } = await run(contender("a", taking(4)), {
    name: "copy",
    peer: { version: "1", solve: { elementwise: () => copy } },
  });
  expect(rows.map(({ rate, ofCopy }) => [rate, ofCopy])).toEqual([
    [1.5, 0.375],
    [4, null],
  ]);
});

describe("words of the command line", () => {
  it("choose cases by family and name, long ones in long runs only", () => {
    const cases = [benchmark, { ...benchmark, name: "log", long: true }];
    const names = (filter: string, quick: boolean) =>
      chosenCases(cases, { filter, quick }).map(({ name }) => name);
    expect(names("", false)).toEqual(["exp", "log"]);
    expect(names("WISE: l", false)).toEqual(["log"]);
    expect(names("", true)).toEqual(["exp"]);
    expect(names("gpt", false)).toEqual([]);
  });

  it("choose contenders, the baseline always among them", () => {
    const all = ["a", "jax-js", "tfjs"].map((name) => ({ name }));
    const names = (...words: string[]) => chosenContenders(all, words, "a").map(({ name }) => name);
    expect(names()).toEqual(["a", "jax-js", "tfjs"]);
    expect(names("JAX", " none")).toEqual(["a", "jax-js"]);
  });
});
