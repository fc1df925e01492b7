/**
 * The loop: what it computes, whom it tells, and when it stops.
 */

import { describe, expect, it } from "vitest";
import { valueAndGrad } from "../../src/autograd/transforms.js";
import { decodeTree, encodeTree } from "../../src/files/tree.js";
import { adamw } from "../../src/optim/adamw.js";
import { frozen, parameterGroups } from "../../src/optim/parameterGroups.js";
import { sgd } from "../../src/optim/sgd.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import type { FitState, LogRow } from "../../src/training/fitState.js";
import { type FitOptions, fit } from "../../src/training/index.js";
import type { BadStep, FitObserver } from "../../src/training/observer.js";
import { randomOrder } from "../../src/training/order.js";
import { lrScheduler } from "../../src/training/schedules.js";
import {
  errors,
  loss,
  numbersOf,
  type Parameters,
  type Row,
  rows,
  start,
  withBarrier,
  withLookahead,
  withStatistics,
} from "./problem.js";

const options = {
  parameters: start(),
  objective: loss,
  data: rows,
  learningRate: 0.05,
  maxSteps: 7,
  logEvery: 1,
} satisfies FitOptions<Parameters, Row>;

/** The rows of a run's log. */
function logOf(): { log: LogRow[]; observer: FitObserver } {
  const log: LogRow[] = [];
  return {
    log,
    observer: {
      log: (row) => void log.push(row),
      evaluation: (row) => void log.push(row),
    },
  };
}

describe("fit", () => {
  it("makes the steps of the loop written out: order, schedule, clipping, division by the actual rows", async () => {
    const optimizer = adamw({
      learningRate: lrScheduler("linear", { learningRate: 0.05, totalSteps: 7, warmupSteps: 2 }),
      weightDecay: 0.1,
    });
    let parameters = start();
    let state = optimizer.init(parameters);
    const norms: number[] = [];
    for (let step = 0; step < 7; step++) {
      // 23 rows in steps of 8, 8 and 7.
      const order = Array.from(randomOrder(23, 5)(Math.floor(step / 3)));
      const batch = order.slice((step % 3) * 8, (step % 3) * 8 + 8).map((i) => rows[i]!);
      const [, { weight, layers }] = valueAndGrad(loss)(parameters, batch);
      const bias = layers[0]!.bias;
      const norm = await weight.square().sum().add(bias.square()).sqrt().item();
      norms.push(norm);
      const scale = Math.min(1, 0.7 / (norm + 1e-6));
      const clipped = { weight: weight.mul(scale), layers: [{ bias: bias.mul(scale) }] };
      [parameters, state] = optimizer.update(clipped, state, parameters);
      await realize(parameters, state);
    }
    expect(norms.some((norm) => norm > 0.7)).toBe(true);
    const { log, observer } = logOf();
    const run = await fit({
      ...options,
      optimizer: (learningRate) => adamw({ learningRate, weightDecay: 0.1 }),
      warmupSteps: 2,
      gradientAccumulationSteps: 2,
      batchSize: 4,
      seed: 5,
      maxGradNorm: 0.7,
      observer,
    });
    const expected = await numbersOf(parameters);
    for (const [i, x] of (await numbersOf(run.parameters)).entries()) {
      expect(x).toBeCloseTo(expected[i]!, 6);
    }
    expect(log.map((row) => row.step)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(log[2]!.epoch).toBe(1);
    expect(log.map((row) => row.learning_rate)[1]).toBe(0.025);
    for (const [i, norm] of norms.entries()) expect(log[i]!.grad_norm).toBeCloseTo(norm, 5);
  });

  it("learns", async () => {
    const run = await fit({ ...options, maxSteps: 300, maxGradNorm: 0 });
    const [a, b, c, bias] = await numbersOf(run.parameters);
    expect([a, b, c, bias].map((x) => Math.round(10 * x!) / 10)).toEqual([1, -2, 3, 0.5]);
    expect(run.done).toBe(true);
  });

  it("leaves the caller's tensors as they are, frozen ones too, and those of a state it goes on from", async () => {
    const parameters = start();
    const optimizer = parameterGroups(
      { all: sgd({ learningRate: 0.1, momentum: 0.5 }), frozen },
      (name) => (name === "weight" ? "all" : "frozen"),
    );
    const { learningRate: _, ...others } = options;
    const run = await fit({ ...others, parameters, optimizer, maxSteps: 3 });
    expect(await numbersOf(parameters)).toEqual(await numbersOf(start()));
    const before = await numbersOf(run.state);
    const more = await fit({ ...others, parameters, optimizer, maxSteps: 6, from: run.state });
    expect(await numbersOf(run.state)).toEqual(before);
    expect(more.state.step).toBe(6);
    expect(await more.parameters.layers[0]!.bias.item()).toBeCloseTo(0.3, 6);
    expect(await numbersOf(more.parameters.weight)).not.toEqual(
      await numbersOf(run.parameters.weight),
    );
  });

  it("takes over the memory of parameters that are given up, with the same bits", async () => {
    const kept = await fit({ ...options, parameters: start() });
    const { parameters } = await fit({
      ...options,
      parameters: await realize(start()),
      maxSteps: 1,
    });
    const given = await realize(start());
    const run = await fit({ ...options, parameters: given, givesUpParameters: true });
    expect(await numbersOf(run.state)).toEqual(await numbersOf(kept.state));
    await expect(given.weight.data()).rejects.toThrow("was given up");
    // Of a run that goes on they are of no use from the start.
    const state = (await fit({ ...options, parameters, maxSteps: 3 })).state;
    const again = await realize(start());
    const more = { ...options, parameters: again, givesUpParameters: true, from: state };
    const kind = { ...more, givesUpParameters: false };
    const expected = await numbersOf((await fit(kind)).state);
    const refuses = {
      start() {
        throw new Error("not now");
      },
    };
    await expect(fit({ ...more, observer: refuses })).rejects.toThrow("not now");
    expect(await numbersOf(again)).toEqual(await numbersOf(start()));
    expect(await numbersOf((await fit(more)).state)).toEqual(expected);
    await expect(again.weight.data()).rejects.toThrow("gave its memory back");
    await expect(state.parameters.weight.data()).rejects.toThrow("was given up");
    const wrong = { ...options, givesUpParameters: 1 as unknown as boolean };
    await expect(fit(wrong)).rejects.toThrow("fit: givesUpParameters must be true or false");
  });

  it("leaves tensors of the objective as they are, and takes one gradient for two parameters", async () => {
    const slope = await realize(tensor([3, 4]));
    const scale = await realize(tensor([1, 1]).mul(2));
    const objective = ({ a, b, c }: Record<string, Tensor>) =>
      a!
        .add(b!)
        .mul(slope)
        .sum()
        .add(c!.mul(scale).reshape([2, 1]).sum());
    for (const gradientAccumulationSteps of [1, 2]) {
      const { parameters } = await fit({
        parameters: { a: tensor([0, 0]), b: tensor([1, 1]), c: tensor([0, 0]) },
        objective,
        data: [1, 2, 3, 4],
        batchSize: 2,
        gradientAccumulationSteps,
        maxSteps: 2,
        optimizer: sgd({ learningRate: 1 }),
        maxGradNorm: 0,
      });
      expect(await numbersOf(parameters)).toEqual([-6, -8, -5, -7, -4, -4]);
      expect(await numbersOf([slope, scale])).toEqual([3, 4, 2, 2]);
    }
  });

  it("keeps what the objective's state holds of old parameters", async () => {
    const remembering = {
      ...withStatistics,
      init: () => ({ seen: 0, before: null as Parameters | null }),
      step: async (at: never, microBatches: never) => {
        const { parameters } = at as { parameters: Parameters };
        const made = await withStatistics.step(at, microBatches);
        return { ...made, state: { seen: 0, before: parameters } };
      },
    };
    const { state } = await fit({ ...options, objective: remembering });
    expect(await numbersOf((state.objective as { before: Parameters }).before)).toHaveLength(4);
  });
});

describe("the cut of a step into micro-batches", () => {
  const cuts = [
    [12, 1],
    [6, 2],
    [4, 3],
    [1, 12],
  ] as const;
  it.each([
    ["a mean loss", loss],
    ["a statistics pass", withStatistics],
    ["two gradient trees", withBarrier],
    ["a second pass at a moved point", withLookahead],
  ] as const)("does not change the result to 1e-6: %s", async (_, objective) => {
    const results = [];
    for (const [batchSize, gradientAccumulationSteps] of cuts) {
      const { log, observer } = logOf();
      const run = await fit<Parameters, Row>({
        ...options,
        objective,
        optimizer: (learningRate) => sgd({ learningRate }),
        batchSize,
        gradientAccumulationSteps,
        observer,
      });
      results.push([...(await numbersOf(run.parameters)), ...log.map((row) => row.loss!)]);
    }
    for (const result of results) {
      for (const [i, x] of result.entries()) {
        expect(Math.abs(x - results[0]![i]!)).toBeLessThan(1e-6 * Math.max(1, Math.abs(x)));
      }
    }
    expect(results[0]!.every(Number.isFinite)).toBe(true);
  });

  it("weighs by what the loss counts", async () => {
    // Rows count as often as their first number says.
    const counted = (at: Parameters, batch: readonly Row[]) => {
      const weights = tensor(batch.map(({ x }) => 1 + Math.abs(x[0]!)));
      const weight = weights.sum();
      return { loss: errors(at, batch).mul(weights).sum().div(weight), weight };
    };
    const run = (batchSize: number) =>
      fit({ ...options, objective: counted, batchSize, gradientAccumulationSteps: 12 / batchSize });
    const [whole, parts] = [await run(12), await run(2)];
    const expected = await numbersOf(whole.parameters);
    for (const [i, x] of (await numbersOf(parts.parameters)).entries()) {
      expect(x).toBeCloseTo(expected[i]!, 6);
    }
  });
});

describe("the log", () => {
  it("has means over all rows since the last row, and a row after the last step", async () => {
    const each = logOf();
    await fit({ ...options, batchSize: 9, observer: each.observer });
    const some = logOf();
    await fit({ ...options, batchSize: 9, logEvery: 3, observer: some.observer });
    expect(some.log.map((row) => row.step)).toEqual([3, 6, 7]);
    // Steps of 9, 9 and 5 rows.
    const [a, b, c] = each.log.map((row) => row.loss!);
    expect(some.log[0]!.loss).toBeCloseTo((9 * a! + 9 * b! + 5 * c!) / 23, 6);
    expect(some.log[0]!.grad_norm).toBe(each.log[2]!.grad_norm);
    expect(some.log[0]!.learning_rate).toBe(each.log[2]!.learning_rate);
    expect(some.log[2]!.loss).toBe(each.log[6]!.loss);
  });

  it("has metrics by their names, sums since the run began, and none of what did not occur", async () => {
    const { log, observer } = logOf();
    const objective = (at: Parameters, batch: readonly Row[]) => ({
      loss: loss(at, batch),
      metrics: { "errors/largest": errors(at, batch).max() },
    });
    await fit({ ...options, objective, maxSteps: 1, observer });
    expect(Object.keys(log[0]!)).toEqual([
      "step",
      "epoch",
      "loss",
      "grad_norm",
      "learning_rate",
      "errors/largest",
    ]);
    const statistics = logOf();
    await fit({
      ...options,
      objective: withStatistics,
      logEvery: 3,
      observer: statistics.observer,
    });
    expect(statistics.log.map((row) => row.rows_seen)).toEqual([23, 46, 54]);
    const nothing = {
      ...withStatistics,
      async step(...given: StepArguments) {
        const made = await withStatistics.step(...given);
        return { ...made, metrics: { ...made.metrics, kl: tensor([0, 0]) } };
      },
    };
    const silent = logOf();
    await fit({ ...options, objective: nothing, maxSteps: 1, observer: silent.observer });
    expect(silent.log[0]).not.toHaveProperty("kl");
  });
});

describe("evaluation", () => {
  it("comes every so often and at the end, whatever its batches, and marks the lowest loss", async () => {
    const heldOut = rows.slice(0, 10);
    const best: boolean[] = [];
    const run = async (batchSize: number) => {
      const { log, observer } = logOf();
      const { state } = await fit({
        ...options,
        logEvery: Number.POSITIVE_INFINITY,
        evaluation: { data: heldOut, every: 3, batchSize, onStart: true },
        observer: [observer, { evaluation: (_, isBest) => void best.push(isBest) }],
      });
      return { log: log.filter((row) => "eval_loss" in row), state };
    };
    const [whole, parts] = [await run(10), await run(3)];
    expect(whole.log.map((row) => row.step)).toEqual([0, 3, 6, 7]);
    expect(Object.keys(whole.log[0]!)).toEqual(["step", "epoch", "eval_loss"]);
    expect(whole.log[0]!.eval_loss).toBeCloseTo(await loss(start(), heldOut).item(), 6);
    for (const [i, row] of parts.log.entries()) {
      expect(row.eval_loss).toBeCloseTo(whole.log[i]!.eval_loss!, 6);
    }
    expect(best.slice(0, 4)).toEqual([false, true, true, true]);
    expect(whole.state.best).toEqual({ step: 7, loss: whole.log[3]!.eval_loss });
  });
});

describe("a step that is not finite", () => {
  /** Rows 3 and 4 have no logarithm. */
  const data = rows.map((row, i) => (i === 3 || i === 4 ? { ...row, y: Number.NaN } : row));
  const broken = { ...options, data, batchSize: 1, order: "sequential", epochs: 1 } as const;
  const { maxSteps: _, ...once } = broken;

  it("is not applied, and its rows are told", async () => {
    const bad: BadStep[] = [];
    const { log, observer } = logOf();
    const run = await fit({
      ...once,
      observer: [observer, { badStep: (step) => void bad.push(step) }],
    });
    expect(bad.map(({ step, rows, badSteps }) => ({ step, rows, badSteps }))).toEqual([
      { step: 4, rows: [3], badSteps: 1 },
      { step: 5, rows: [4], badSteps: 2 },
    ]);
    expect(bad[0]!.loss).toBeNaN();
    expect(log.map((row) => row.step)).toEqual([
      1,
      2,
      3,
      ...Array.from({ length: 18 }, (_, i) => i + 6),
    ]);
    const good = data.filter(({ y }) => !Number.isNaN(y));
    // The schedule waits for steps that are applied: without those rows the run is the same, but for its end.
    const learningRate = lrScheduler("linear", { learningRate: 0.05, totalSteps: 23 });
    const without = await fit({ ...once, data: good, learningRate });
    expect(await numbersOf(run.parameters)).toEqual(await numbersOf(without.parameters));
    expect((run.state.optimizer as { step: number }).step).toBe(21);
  });

  it("ends the run at the last one allowed, when its state is saved", async () => {
    const saved: number[] = [];
    const observer: FitObserver = { save: ({ step }) => void saved.push(step) };
    await expect(fit({ ...once, maxBadSteps: 2, observer })).rejects.toThrow(
      /step 5 is bad step 2: its loss is NaN.*rows \(4\), lower learningRate, or allow more with maxBadSteps/,
    );
    expect(saved).toEqual([5]);
  });

  it("is one whose gradient alone is not finite, too", async () => {
    const bad: BadStep[] = [];
    const objective = ({ weight }: Parameters) => weight.sub(0.1).abs().sqrt().sum();
    const states: FitState<Parameters>[] = [];
    const run = fit({
      ...options,
      parameters: { weight: tensor([0.1]), layers: [] },
      objective: objective as typeof loss,
      maxSteps: 2,
      observer: {
        badStep: (step) => void bad.push(step),
        save: (state) => void states.push(state),
      },
    });
    await expect(run).rejects.toThrow(/none of the 2 steps was applied/);
    expect(bad.map(({ loss }) => loss)).toEqual([0, 0]);
    expect(await numbersOf(states[0]!.parameters)).toEqual(await numbersOf({ w: tensor([0.1]) }));
  });

  it("makes a run that has no other end with an error, whatever maxBadSteps allows", async () => {
    const ended: boolean[] = [];
    const run = fit({
      ...once,
      data: data.slice(3, 5),
      maxBadSteps: Number.POSITIVE_INFINITY,
      observer: { end: (_, done) => void ended.push(done) },
    });
    await expect(run).rejects.toThrow(/none of the 2 steps was applied.*lower learningRate/);
    expect(ended).toEqual([]);
  });
});

describe("a run that goes on", () => {
  it.each([
    ["a loss", loss],
    ["an objective with a state", withStatistics],
  ] as const)("ends with the bits of one that never stopped: %s", async (_, objective) => {
    const settings = {
      ...options,
      objective,
      maxSteps: 11,
      logEvery: 4,
      evaluation: { data: rows.slice(0, 5), every: 3 },
    } as FitOptions<Parameters, Row>;
    const whole = logOf();
    const end = await fit({ ...settings, observer: whole.observer });
    for (const stop of [1, 4, 5, 10]) {
      const { log, observer } = logOf();
      const controller = new AbortController();
      let saved: Uint8Array | undefined;
      const first = await fit({
        ...settings,
        signal: controller.signal,
        observer: [
          observer,
          {
            step: ({ step }) => {
              if (step === stop) controller.abort();
            },
            save: async (state) => {
              if (state.step === stop) saved = await encodeTree(state);
            },
          },
        ],
      });
      expect(first.done).toBe(false);
      expect(first.state.step).toBe(stop);
      const from = await decodeTree<FitState<Parameters>>(saved!);
      const rest = await fit({ ...settings, from, observer });
      expect(rest.done).toBe(true);
      expect(await encodeTree(rest.state)).toEqual(await encodeTree(end.state));
      expect(log).toEqual(whole.log);
    }
  });

  it("does nothing where nothing is left", async () => {
    const { state } = await fit(options);
    const again = await fit({ ...options, from: state, observer: { step: () => expect.fail() } });
    expect(again.done).toBe(true);
    await expect(fit({ ...options, maxSteps: 3, from: state })).rejects.toThrow(
      /from has made 7 steps, the run has 3/,
    );
  });
});

describe("observers", () => {
  it("hear of everything in order, and are awaited", async () => {
    const heard: string[] = [];
    const slow = async (text: string): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      heard.push(text);
    };
    await fit({
      ...options,
      maxSteps: 4,
      logEvery: 2,
      saveEvery: 3,
      evaluation: { data: rows, every: 2 },
      observer: {
        start: ({ steps, stepsPerEpoch }) => slow(`start ${steps} ${stepsPerEpoch}`),
        step: ({ step }) => slow(`step ${step}`),
        log: ({ step }) => slow(`log ${step}`),
        evaluation: ({ step }) => slow(`evaluation ${step}`),
        save: ({ step }) => slow(`save ${step}`),
        end: ({ step }, done) => slow(`end ${step} ${done}`),
      },
    });
    expect(heard).toEqual([
      "start 4 3",
      "step 1",
      "step 2",
      "log 2",
      "evaluation 2",
      "save 2",
      "step 3",
      "save 3",
      "step 4",
      "log 4",
      "evaluation 4",
      "save 4",
      "end 4 true",
    ]);
  });

  it("end the run with their errors", async () => {
    const full = new Error("the disk is full");
    const observer = {
      save: () => {
        throw full;
      },
    };
    await expect(fit({ ...options, saveEvery: 2, observer })).rejects.toBe(full);
  });

  it("leave the event loop its turns", async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    await fit({ ...options, maxSteps: 200, logEvery: 200 });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(5);
  });
});

type StepArguments = globalThis.Parameters<typeof withStatistics.step>;

describe("bad options", () => {
  it.each<[object, RegExp]>([
    [{ batchsize: 4 }, /has no option `batchsize`; did you mean `batchSize`/],
    [{ data: [] }, /fit: data has no rows/],
    [{ data: 3 }, /data must be an array of rows, or \{ length, read\(indices\) \}, got 3/],
    [{ objective: 3 }, /objective must be a function \(parameters, rows\) => loss or an objective/],
    [
      { objective: () => 3 },
      /must give a scalar tensor, or \{ loss, weight, metrics \} with one, got 3/,
    ],
    [{ objective: errors }, /must give a scalar tensor.*got shape \[8\]/],
    [{ parameters: { w: 1 } }, /parameters are tensors, found the number 1 at w/],
    [{ learningRate: undefined }, /learningRate is needed, 1e-3 for instance/],
    [{ learningRate: -1 }, /learningRate must be a number ≥ 0/],
    [{ learningRate: () => 1, warmupSteps: 3 }, /this one is a schedule/],
    [{ optimizer: sgd({ learningRate: 1 }) }, /this optimizer has a learning rate of its own/],
    [{ optimizer: 3 }, /optimizer must be an optimizer, or a function that makes one/],
    [{ lrSchedulerType: "step" }, /type must be one of "linear"/],
    [{ order: "shuffled" }, /order must be one of "random", "sequential"/],
    [{ epochs: 0 }, /epochs must be a number > 0/],
    [{ maxSteps: 0 }, /maxSteps must be an integer ≥ 1/],
    [{ maxGradNorm: -1 }, /maxGradNorm must be a number ≥ 0/],
    [{ saveEvery: 0 }, /saveEvery must be an integer ≥ 1/],
    [{ evaluation: { data: [] } }, /evaluation.data has no rows/],
    [{ evaluation: { data: rows, every: 0 } }, /evaluation.every must be an integer ≥ 1/],
    [{ observer: 3 }, /observer must be an object of functions/],
    [
      { observer: { logs() {} } },
      /observer has no event `logs`; did you mean `log`\? It has start/,
    ],
    [{ observer: [{}, { log: true }] }, /observer.log must be a function, got true/],
    [{ signal: new AbortController() }, /signal must be an AbortSignal, the signal of an AbortC/],
    [{ signal: null }, /signal must be an AbortSignal/],
    [
      { data: { length: 8, read: async () => [rows[0]] } },
      /read of data must give the 8 rows.*got 1/,
    ],
    [{ data: { length: 8, read: async () => undefined } }, /read of data must .* got undefined/],
    [
      { evaluation: { data: { length: 4, read: async () => [] }, onStart: true } },
      /read of evaluation.data must give the 4 rows it is asked for, in their order, got 0/,
    ],
  ])("%# are rejected", async (wrong, message) => {
    await expect(fit({ ...options, ...wrong } as never)).rejects.toThrow(message);
  });
});
