/**
 * What is checked on devices that run elsewhere, in a page say. Arguments and results are JSON.
 * @module
 */

import fc from "fast-check";
import { deviceStatistics, realize, setDevice, valueAndGrad, zeros } from "../../src/index.js";
import type { GptParameters } from "../../src/nn/gpt.js";
import { sharedFeatures } from "../bilevel/displacement.js";
import { DESCENTS, TABULAR, tabularChange } from "../bilevel/oracles.js";
import { programs } from "../compiler/randomGraph.js";
import { evaluate, type GptLoss, norm, train } from "../nn/gptTraining.js";
import { makeParameters, namedParameters } from "../nn/gptWorkload.js";
import { CASES, exactCases } from "./cases.js";
import { checkExact, checkGraph, checkOperation, type Float } from "./check.js";
import type { TestedDevice } from "./devices.js";
import { measureAccuracy, observeBehaviours } from "./guarantees.js";
import { MILLION, PRODUCTS } from "./large.js";

/** What a list of cases gave. */
export interface Report {
  readonly checked: number;
  /** In words, one for each case that failed. */
  readonly failures: readonly string[];
}

async function report<Case extends { readonly name: string }>(
  cases: readonly Case[],
  check: (one: Case) => Promise<string | null>,
): Promise<Report> {
  const failures: string[] = [];
  for (const one of cases) {
    const wrong = await check(one).catch(String);
    if (wrong !== null) failures.push(`${one.name}: ${wrong}`);
  }
  return { checked: cases.length, failures };
}

export const suites = {
  /** Every operation in a floating-point type. */
  operations: (device: TestedDevice, dtype: Float) =>
    report(CASES, (one) => checkOperation(device, dtype, one)),

  /** Every operation on integers and booleans. */
  exact: (device: TestedDevice) =>
    report(exactCases(device.integerBits ?? 32), (one) => checkExact(device, one)),

  /** Reductions and products of a million elements. */
  async large({ name, options }: TestedDevice): Promise<Report> {
    await setDevice(name, options);
    return report([...MILLION, ...PRODUCTS], ({ check }) => check());
  },

  /** Random graphs; the shortest that fails. */
  async graphs(device: TestedDevice, dtype: Float, runs: number): Promise<Report> {
    const property = fc.asyncProperty(programs(14), async (program) => {
      const wrong = await checkGraph(device, dtype, program);
      if (wrong !== null) throw new Error(wrong);
    });
    const details = await fc.check(property, { seed: 1, numRuns: runs });
    const failures = details.failed ? [await fc.asyncDefaultReportMessage(details)] : [];
    return { checked: details.numRuns, failures: failures as string[] };
  },

  /** A GPT's loss and gradient at the start, and its way through some steps of AdamW if any. */
  async gpt({ name, options }: TestedDevice, lossName: GptLoss, steps: number) {
    await setDevice(name, options);
    let seen: ReturnType<typeof evaluate> | undefined;
    const [loss, gradient] = valueAndGrad((p: GptParameters) => {
      seen = evaluate(lossName, p);
      return seen.loss;
    })(makeParameters());
    const start = seen!;
    const margin = start.margins.mean();
    await realize(loss, gradient, start, margin);
    const gradientNorms: Record<string, number> = {};
    for (const [key, t] of Object.entries(namedParameters(gradient))) {
      gradientNorms[key] = norm(await t.data());
    }
    const atStart = { losses: [await loss.item()], meanMargins: [await margin.item()] };
    const { losses, meanMargins } = steps === 0 ? atStart : await train(lossName, steps);
    return {
      chosen: Array.from(await start.chosen.data()),
      rejected: Array.from(await start.rejected.data()),
      gradientNorms,
      losses,
      meanMargins,
    };
  },

  /** The largest error of each function, in units in the last place. */
  accuracy: measureAccuracy,

  /** What becomes of NaN, infinities, subnormals and large integers. */
  behaviours: observeBehaviours,

  /** Bytes held during steps that leave their tensors to garbage collection; each makes `bytes`. */
  async memory({ name, options }: TestedDevice, bytes: number, steps: number) {
    await setDevice(name, options);
    let x = await realize(zeros([bytes / 4]));
    const held: number[] = [];
    for (let step = 0; step < steps; step++) {
      x = await realize(x.add(1));
      const statistics = await deviceStatistics();
      held.push(statistics.bytes + statistics.scratchBytes);
    }
    return { held, last: await x.slice(0).item() };
  },

  /** SPO's oracles in a floating-point type, in the order of their lists. */
  async oracles({ name, options }: TestedDevice, dtype: Float, every: number) {
    await setDevice(name, options);
    const changes: number[][] = [];
    for (const { from } of TABULAR) changes.push(await tabularChange(from, dtype));
    const model = sharedFeatures(dtype);
    const ends: number[][] = [];
    for (const { direction } of DESCENTS.filter((_, i) => i % every === 2 % every)) {
      ends.push(...(await model.descend(direction(model), 400)));
    }
    return { changes, ends };
  },
};

export type Suites = typeof suites;
