/**
 * What is checked on devices that run elsewhere, in a page say. Arguments and results are JSON.
 * @module
 */

import fc from "fast-check";
import { deviceStatistics, realize, setDevice, tensor, zeros } from "../../src/index.js";
import { sharedFeatures } from "../bilevel/displacement.js";
import { DESCENTS, TABULAR, tabularChange } from "../bilevel/oracles.js";
import { programs } from "../compiler/randomGraph.js";
import { familyNumbers } from "../models/familyNumbers.js";
import { type GptForm, type GptLoss, norm, train } from "../models/gptTraining.js";
import { namedParameters } from "../models/gptWorkload.js";
import { casesOf, exactCases, type OperationKind } from "./cases.js";
import { checkExact, checkGraph, checkOperation, type Float } from "./check.js";
import { casesOfTwice } from "./computedTwice.js";
import { everyNth, type TestedDevice } from "./devices.js";
import { EMPTY } from "./empty.js";
import { GIVEN_UP } from "./givenUp.js";
import { measureAccuracy, observeBehaviours } from "./guarantees.js";
import { LENGTHS, MILLION, PRODUCTS } from "./large.js";

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
  /** Elements there and back, with nothing computed. */
  async echo({ name, options }: TestedDevice, values: number[]) {
    await setDevice(name, options);
    const t = await realize(tensor(values));
    return Array.from(await t.data());
  },

  /** Every operation of a kind, in a floating-point type. */
  operations: (device: TestedDevice, dtype: Float, kind: OperationKind) =>
    report(casesOf(kind), (one) => checkOperation(device, dtype, one)),

  /** Every operation on integers and booleans. */
  exact: (device: TestedDevice) =>
    report(exactCases(device.integerBits ?? 32, device.sizes), (one) => checkExact(device, one)),

  /** A language model's numbers. */
  family: familyNumbers,

  /** Kernels over no elements. */
  async empty({ name, options }: TestedDevice): Promise<Report> {
    await setDevice(name, options);
    return report(EMPTY, ({ check }) => check());
  },

  /** Results in the memory of given-up tensors. */
  async givenUp({ name, options }: TestedDevice): Promise<Report> {
    await setDevice(name, options);
    return report(GIVEN_UP, ({ check }) => check());
  },

  /** Values that are computed twice, each function of them compared in a few ways or in all. */
  twice: (device: TestedDevice): Promise<Report> =>
    report(
      casesOfTwice(device.comparisons).map(({ name, check }) => ({
        name,
        check: () => check(device),
      })),
      ({ check }) => check(),
    ),

  /** Reductions and products of a million elements, and reductions of rows of all lengths. */
  async large({ name, options }: TestedDevice): Promise<Report> {
    await setDevice(name, options);
    return report([...MILLION, ...PRODUCTS, ...LENGTHS], ({ check }) => check());
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

  /** A GPT's numbers at the start, and its way through some steps of AdamW. */
  async gpt({ name, options }: TestedDevice, lossName: GptLoss, form: GptForm, steps: number) {
    await setDevice(name, options);
    const { start, losses, meanMargins } = await train(lossName, steps, form);
    const gradientNorms: Record<string, number> = {};
    for (const [key, t] of Object.entries(namedParameters(start.gradients))) {
      gradientNorms[key] = norm(await t.data());
    }
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

  /** What steps of `x ← i − .9x` lead to that are not awaited one by one. */
  async unawaited({ name, options }: TestedDevice, steps: number) {
    await setDevice(name, options);
    let x = zeros([4]);
    const issued: Promise<unknown>[] = [];
    for (let i = 0; i < steps; i++) {
      x = x.mul(-0.9).add(i);
      if (i % 3 === 0) issued.push(realize(x));
    }
    const last = await x.data();
    await Promise.all(issued);
    return Array.from(last);
  },

  /** How many elements are wrong of a permutation of more than float32 has integers. */
  async beyondIntegers({ name, options }: TestedDevice) {
    await setDevice(name, options);
    const shape = [3, 17, 5, 66_001] as const;
    const [a, b, c, d] = shape;
    const size = a * b * c * d;
    const values = new Float32Array(size);
    for (let i = 0; i < size; i++) values[i] = (i * 7919) % 1_000_003;
    const expected = new Float32Array(size);
    let at = 0;
    for (let k = 0; k < c; k++) {
      for (let i = 0; i < a; i++) {
        for (let l = 0; l < d; l++) {
          for (let j = 0; j < b; j++) expected[at++] = values[((i * b + j) * c + k) * d + l]! + 1;
        }
      }
    }
    const found = await realize(tensor(values, { shape }).transpose([2, 0, 3, 1]).add(1));
    const differing = found.notEqual(tensor(expected, { shape: found.shape }));
    // Counted where they are, for reading takes long; and those at the end are read.
    const beyond = expected.subarray(2 ** 24);
    const end = await found
      .reshape([-1])
      .slice([2 ** 24, size])
      .data();
    return {
      counted: await differing.sum().item(),
      read: beyond.filter((value, i) => value !== end[i]).length,
      beyond: beyond.length,
    };
  },

  /** SPO's oracles in a floating-point type, in the order of their lists. */
  async oracles({ name, options, every = 1 }: TestedDevice, dtype: Float) {
    await setDevice(name, options);
    const changes: number[][] = [];
    for (const { from } of TABULAR) changes.push(await tabularChange(from, dtype));
    const model = sharedFeatures(dtype);
    // Side by side: while one waits for a number, others compute.
    const ends = await Promise.all(
      everyNth(DESCENTS, every).map(
        async ({ direction }) => (await model.descend(direction(model), 400))[0]!,
      ),
    );
    return { changes, ends };
  },
};

export type Suites = typeof suites;
