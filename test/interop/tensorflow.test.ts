/**
 * A TensorFlow.js model trained on a loss of this library. TensorFlow.js is a peer of the benchmarks
 * and no dependency of the library: these tests run where `npm --prefix bench install` has been run.
 */

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { beforeAll, describe, expect, it } from "vitest";
import { type LossGradient, lossGradient } from "../../src/interop/index.js";
import { spoLoss } from "../../src/losses/spo.js";
import {
  constantArrays,
  directGradient,
  embedding,
  FEATURES,
  lossOptions,
  RESPONSES,
  reference,
  responses,
  startWeights,
} from "./linearModel.js";

/** The part of TensorFlow.js used here. */
interface TfTensor {
  data(): Promise<Float32Array>;
  matMul(other: TfTensor): TfTensor;
  mul(other: TfTensor): TfTensor;
  sum(axis?: number): TfTensor;
  add(other: TfTensor): TfTensor;
  dispose(): void;
}
interface TfVariable extends TfTensor {
  readonly name: string;
}
interface TensorFlow {
  env(): { set(flag: string, value: boolean): void };
  setBackend(name: string): Promise<boolean>;
  tensor1d(values: ArrayLike<number>, dtype?: string): TfTensor;
  tensor2d(values: number[][]): TfTensor;
  scalar(value: number): TfTensor;
  variable(value: TfTensor): TfVariable;
  reshape(t: TfTensor, shape: number[]): TfTensor;
  logSoftmax(t: TfTensor): TfTensor;
  oneHot(indices: TfTensor, depth: number): TfTensor;
  tidy<T>(f: () => T): T;
  customGrad(
    f: (...inputs: TfTensor[]) => { value: TfTensor; gradFunc: (dy: TfTensor) => TfTensor[] },
  ): (...inputs: TfTensor[]) => TfTensor;
  variableGrads(f: () => TfTensor): { value: TfTensor; grads: Record<string, TfTensor> };
  train: {
    sgd(rate: number): { applyGradients(grads: Record<string, TfTensor>): void };
  };
}

const bench = new URL("../../bench/package.json", import.meta.url);
const installed = existsSync(new URL("node_modules/@tensorflow/tfjs", bench));

/** tf.customGrad is synchronous: the awaited gradient goes in as a constant. */
function attach(
  tf: TensorFlow,
  found: LossGradient,
): (chosen: TfTensor, rejected: TfTensor) => TfTensor {
  return tf.customGrad(() => ({
    value: tf.scalar(found.loss),
    gradFunc: (dy) => [
      dy.mul(tf.tensor1d(found.gradient.chosen)),
      dy.mul(tf.tensor1d(found.gradient.rejected)),
    ],
  }));
}

describe.skipIf(!installed)("a TensorFlow.js model (needs npm --prefix bench install)", () => {
  let tf: TensorFlow;
  let weights: TfVariable;

  /** The model: log-probabilities of the pairs. */
  const logProbs = () => {
    const all = tf.logSoftmax(tf.tensor2d(embedding).matMul(weights));
    const picked = (at: number[]): TfTensor =>
      all.mul(tf.oneHot(tf.tensor1d(at, "int32"), RESPONSES)).sum(1);
    return { chosen: picked(responses.chosen), rejected: picked(responses.rejected) };
  };

  /** Values of the log-probabilities, and the loss at them. */
  const lossHere = async () => {
    const { chosen, rejected } = tf.tidy(logProbs);
    const arrays = {
      chosen: await chosen.data(),
      rejected: await rejected.data(),
      ...constantArrays(reference()),
    };
    chosen.dispose();
    rejected.dispose();
    return lossGradient(spoLoss)(arrays, lossOptions);
  };

  const expectSame = async (gradient: TfTensor) => {
    const expected = await directGradient(await weights.data(), "float64");
    const found = await gradient.data();
    found.forEach((slope, i) => {
      const own = expected.weights[i]!;
      expect(Math.abs(slope - own)).toBeLessThan(1e-6 * Math.max(1, Math.abs(own)));
    });
    return expected;
  };

  beforeAll(async () => {
    tf = createRequire(bench)("@tensorflow/tfjs") as TensorFlow;
    // Without this it greets on stderr.
    tf.env().set("IS_TEST", true);
    await tf.setBackend("cpu");
    weights = tf.variable(tf.reshape(tf.tensor1d(startWeights), [FEATURES, RESPONSES]));
  });

  it("driven by spoLoss through tf.customGrad gets the gradients this library alone gets", async () => {
    const optimizer = tf.train.sgd(0.5);
    const losses: number[] = [];
    for (let step = 0; step < 5; step++) {
      const found = await lossHere();
      const { value, grads } = tf.variableGrads(() => {
        const { chosen, rejected } = logProbs();
        return attach(tf, found)(chosen, rejected);
      });
      const expected = await expectSame(grads[weights.name]!);
      const [loss] = await value.data();
      expect(loss).toBeCloseTo(expected.loss, 5);
      losses.push(loss!);
      optimizer.applyGradients(grads);
    }
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
  });

  it("gets them from ⟨constant gradient, log-probability⟩ too, without a rule of its own", async () => {
    const { gradient } = await lossHere();
    const { grads } = tf.variableGrads(() => {
      const { chosen, rejected } = logProbs();
      return chosen
        .mul(tf.tensor1d(gradient.chosen))
        .sum()
        .add(rejected.mul(tf.tensor1d(gradient.rejected)).sum());
    });
    await expectSame(grads[weights.name]!);
  });

  it("scales them with the cotangent of the loss, as part of a larger objective", async () => {
    const found = await lossHere();
    const gradientOf = (weight: number) =>
      tf.variableGrads(() => {
        const { chosen, rejected } = logProbs();
        return attach(tf, found)(chosen, rejected).mul(tf.scalar(weight));
      }).grads[weights.name]!;
    const [once, thrice] = [await gradientOf(1).data(), await gradientOf(3).data()];
    thrice.forEach((slope, i) => {
      expect(slope).toBeCloseTo(3 * once[i]!, 6);
    });
  });
});
