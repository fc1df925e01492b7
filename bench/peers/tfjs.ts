/**
 * TensorFlow.js on its WebAssembly backend. Its products with transposed operands run at a few
 * GFLOP/s, so gradients here go through explicit transposes, several times faster than out of the box.
 */

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import {
  ADAMW,
  type ElementwiseProblem,
  type GptProblem,
  type MatmulProblem,
  type MlpProblem,
  type Peer,
  POLYNOMIAL,
  type RowsProblem,
  type Task,
} from "../problem.js";
import { versionOf } from "./version.js";

export async function load(): Promise<Peer> {
  const entry = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm");
  setWasmPaths(join(dirname(entry), "/"));
  if (!(await tf.setBackend("wasm"))) throw new Error("the wasm backend did not start");
  await tf.ready();
  return {
    version: versionOf("@tensorflow/tfjs"),
    solve: {
      matmul: matmulTask,
      elementwise: elementwiseTask,
      rows: rowsTask,
      mlp: mlpTask,
      gpt: gptTask,
    },
    deviceBytes: async (run) =>
      (await tf.profile(run as () => Promise<tf.TensorContainer>)).peakBytes,
  };
}

type Arrays = Record<string, tf.Tensor>;

/** A task whose every run computes the same arrays. */
function repeated(make: () => Arrays): Task {
  return {
    run: () => tf.dispose(tf.tidy(make)),
    results: async () => {
      const made = tf.tidy(make);
      const found: Record<string, ArrayLike<number>> = {};
      for (const [name, t] of Object.entries(made)) found[name] = await t.data();
      tf.dispose(made);
      return found;
    },
  };
}

function matmulTask(problem: MatmulProblem): Task {
  const { batch, m, k, n, transposeA, transposeB } = problem;
  const stored = (values: Float32Array, rows: number, columns: number, transposed: boolean) => {
    const shape = transposed ? [columns, rows] : [rows, columns];
    return tf.tensor(values, batch === 1 ? shape : [batch, ...shape]);
  };
  const a = stored(problem.a, m, k, transposeA);
  const b = stored(problem.b, k, n, transposeB);
  return {
    ...repeated(() => ({ values: tf.matMul(a, b, transposeA, transposeB) })),
    close: () => tf.dispose([a, b]),
  };
}

const [A, B, C, D] = POLYNOMIAL;

/** ½x(1 + tanh(√(2/π)(x + 0.044715x³))). */
function gelu(x: tf.Tensor): tf.Tensor {
  const inner = x.mul(Math.sqrt(2 / Math.PI)).mul(x.square().mul(0.044715).add(1));
  return x.mul(0.5).mul(inner.tanh().add(1));
}

const FUNCTIONS: Readonly<Record<ElementwiseProblem["function"], (x: tf.Tensor) => tf.Tensor>> = {
  polynomial: (x) => x.mul(A).add(B).mul(x).add(C).mul(x).add(D),
  exp: (x) => x.exp(),
  log: (x) => x.log(),
  tanh: (x) => x.tanh(),
  gelu,
};

function elementwiseTask(problem: ElementwiseProblem): Task {
  const x = tf.tensor(problem.x);
  const f = FUNCTIONS[problem.function];
  return { ...repeated(() => ({ values: f(x) })), close: () => tf.dispose(x) };
}

function layerNorm(x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor): tf.Tensor {
  const centred = x.sub(x.mean(-1, true));
  const variance = centred.square().mean(-1, true);
  return centred.div(variance.add(1e-5).sqrt()).mul(weight).add(bias);
}

/** 1 at `[i, ids[i]]`, else 0: [rows] → [rows, width]. */
function oneHotRows(ids: Int32Array, width: number): tf.Tensor {
  return tf.tidy(() => tf.oneHot(tf.tensor1d(ids, "int32"), width).toFloat());
}

/** `logSoftmax(x)[…, ids]`: [rows, width], ids as one-hot rows → [rows]. */
function tokenLogProbs(x: tf.Tensor, oneHot: tf.Tensor): tf.Tensor {
  return x.mul(oneHot).sum(-1).sub(x.logSumExp(-1));
}

function rowsTask(problem: RowsProblem): Task {
  const { rows, width } = problem;
  const shape = [rows, width];
  const perRow = problem.function === "tokenLogProbs";
  const x = tf.tensor(problem.x, shape);
  const weight = tf.tensor(problem.weight);
  const bias = tf.tensor(problem.bias);
  const cotangent = tf.tensor(problem.cotangent, perRow ? [rows] : shape);
  const oneHot = perRow ? oneHotRows(problem.ids, width) : cotangent;
  const functions: Record<RowsProblem["function"], (...inputs: tf.Tensor[]) => tf.Tensor> = {
    softmax: (x) => tf.softmax(x!),
    gelu: (x) => gelu(x!),
    layerNorm: (x, weight, bias) => layerNorm(x!, weight!, bias!),
    tokenLogProbs: (x) => tokenLogProbs(x!, oneHot),
  };
  const f = functions[problem.function];
  const inputs: Arrays = problem.function === "layerNorm" ? { x, weight, bias } : { x };
  const gradient = tf.grads((...inputs) =>
    f(...inputs)
      .mul(cotangent)
      .sum(),
  );
  const task = problem.gradient
    ? repeated(() => {
        const found = gradient(Object.values(inputs));
        return Object.fromEntries(Object.keys(inputs).map((name, i) => [name, found[i]!]));
      })
    : repeated(() => ({ values: f(...Object.values(inputs)) }));
  return { ...task, close: () => tf.dispose([x, weight, bias, cotangent, oneHot]) };
}

/** The product of matrices, or of stacks of them, whose gradient transposes first and multiplies then. */
const product = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
  tf.customGrad((...inputs) => {
    const [a, b, save] = inputs as unknown as [tf.Tensor, tf.Tensor, (kept: tf.Tensor[]) => void];
    save([a, b]);
    const axes = a.rank === 2 ? [1, 0] : [0, 2, 1];
    return {
      value: tf.matMul(a, b),
      gradFunc: (g: tf.Tensor | tf.Tensor[], saved: tf.Tensor[]) => {
        const [a, b] = saved as [tf.Tensor, tf.Tensor];
        const cotangent = g as tf.Tensor;
        return [
          tf.matMul(cotangent, b.transpose(axes)),
          tf.matMul(a.transpose(axes), cotangent),
        ] as tf.Tensor[];
      },
    };
  })(a, b);

/** `x·w + b`, x of any rank. */
function linear(x: tf.Tensor, w: tf.Tensor, b: tf.Tensor): tf.Tensor {
  return product(x, w).add(b);
}

function mlpTask(problem: MlpProblem): Task {
  const { sizes, batch, targets, learningRate, reported } = problem;
  const inputs = tf.tensor(problem.inputs, [batch, sizes[0]!]);
  const width = sizes.at(-1)!;
  const goal =
    targets.kind === "classes"
      ? oneHotRows(targets.labels, width)
      : tf.tensor(targets.values, [batch, width]);
  const layers = problem.weights.length;
  let parameters: tf.Tensor[] = problem.weights.flatMap((weight, i) => [
    tf.tensor(weight, [sizes[i]!, sizes[i + 1]!]),
    tf.tensor(problem.biases[i]!),
  ]);
  const lossOf = (...p: tf.Tensor[]): tf.Tensor => {
    let x: tf.Tensor = inputs;
    for (let i = 0; i < layers; i++) {
      x = linear(x, p[2 * i]!, p[2 * i + 1]!);
      if (i < layers - 1) x = problem.activation === "relu" ? x.relu() : x.tanh();
    }
    return targets.kind === "classes"
      ? tokenLogProbs(x, goal).mean().neg()
      : x.sub(goal).square().mean();
  };
  const both = tf.valueAndGrads(lossOf);
  const step = async (): Promise<number> => {
    const { loss, next } = tf.tidy(() => {
      const { value, grads } = both(parameters);
      return {
        loss: value,
        next: parameters.map((p, i) => p.sub(grads[i]!.mul(learningRate))),
      };
    });
    tf.dispose(parameters);
    parameters = next;
    return read(loss);
  };
  const forward = (): Promise<number> => read(tf.tidy(() => lossOf(...parameters)));
  const run = problem.mode === "step" ? step : forward;
  return {
    run,
    results: async () => ({ losses: await repeat(reported, run) }),
    close: () => tf.dispose([inputs, goal, ...parameters]),
  };
}

async function read(loss: tf.Tensor): Promise<number> {
  const value = (await loss.data())[0]!;
  loss.dispose();
  return value;
}

async function repeat(times: number, run: () => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  for (let i = 0; i < times; i++) values.push(await run());
  return values;
}

function gptTask(problem: GptProblem): Task {
  const { pairs, length, reported } = problem;
  const { width, layers, heads, vocabulary } = problem.sizes;
  const rows = 2 * pairs;
  const headWidth = width / heads;
  const names = problem.parameters.map(({ name }) => name);

  // Position t predicts token t + 1; the last position of a row predicts nothing.
  const targets = new Int32Array(problem.tokens.length);
  const shifted = new Float32Array(problem.mask.length);
  targets.set(problem.tokens.subarray(1));
  shifted.set(problem.mask.subarray(1));
  for (let row = 1; row <= rows; row++) shifted[row * length - 1] = 0;
  // As rows of a product: the backend has no gradient of `gather`.
  const tokens = oneHotRows(problem.tokens, vocabulary);
  const oneHot = oneHotRows(targets, vocabulary);
  const mask = tf.tensor2d(shifted, [rows, length]);
  const referenceChosen = tf.tensor1d(problem.referenceChosen);
  const referenceRejected = tf.tensor1d(problem.referenceRejected);
  const chosenLengths = tf.tensor1d(problem.chosenLengths);
  const hidden = Float32Array.from({ length: length ** 2 }, (_, i) =>
    i % length > Math.floor(i / length) ? -1e30 : 0,
  );
  const causal = tf.tensor3d(hidden, [1, length, length]);

  const logpsOf = (parameters: readonly tf.Tensor[]): tf.Tensor => {
    const byName = new Map(names.map((name, i) => [name, parameters[i]!]));
    const of = (name: string): tf.Tensor => byName.get(name)!;
    const norm = (x: tf.Tensor, name: string) => layerNorm(x, of(`${name}.g`), of(`${name}.b`));
    const dense = (x: tf.Tensor, name: string) => linear(x, of(`${name}.w`), of(`${name}.b`));
    const places = of("wpe").slice([0, 0], [length, width]);
    const embedded = product(tokens, of("wte")).reshape([rows, length, width]);
    let x: tf.Tensor = embedded.add(places).reshape([rows * length, width]);
    for (let i = 0; i < layers; i++) {
      const qkv = dense(norm(x, `h${i}.ln1`), `h${i}.attn.qkv`);
      const [q, k, v] = tf.split(qkv, 3, 1).map((part) =>
        part
          .reshape([rows, length, heads, headWidth])
          .transpose([0, 2, 1, 3])
          .reshape([rows * heads, length, headWidth]),
      ) as [tf.Tensor, tf.Tensor, tf.Tensor];
      const scores = product(q, k.transpose([0, 2, 1])).mul(1 / Math.sqrt(headWidth));
      const mixed = product(tf.softmax(scores.add(causal)), v)
        .reshape([rows, heads, length, headWidth])
        .transpose([0, 2, 1, 3])
        .reshape([rows * length, width]);
      x = x.add(dense(mixed, `h${i}.attn.proj`));
      const u = gelu(dense(norm(x, `h${i}.ln2`), `h${i}.mlp.fc`));
      x = x.add(dense(u, `h${i}.mlp.proj`));
    }
    const logits = product(norm(x, "lnf"), of("wte").transpose([1, 0]));
    return tokenLogProbs(logits, oneHot).reshape([rows, length]).mul(mask).sum(-1);
  };
  const lossOf = (...parameters: tf.Tensor[]): tf.Tensor => {
    const logps = logpsOf(parameters);
    const chosen = logps.slice([0], [pairs]);
    const rejected = logps.slice([pairs], [pairs]);
    const z = chosen.sub(referenceChosen).sub(rejected.sub(referenceRejected)).mul(0.1);
    const loss = tf.softplus(z.neg()).mean();
    return problem.loss === "dpo" ? loss : loss.sub(chosen.div(chosenLengths).mean());
  };

  let parameters: tf.Tensor[] = problem.parameters.map(({ shape, values }) =>
    tf.tensor(values, [...shape]),
  );
  let first = parameters.map((p) => tf.zerosLike(p));
  let second = parameters.map((p) => tf.zerosLike(p));
  const both = tf.valueAndGrads(lossOf);
  const { learningRate, weightDecay, beta1, beta2, epsilon } = ADAMW;
  let steps = 0;
  const step = async (): Promise<number> => {
    steps++;
    const [correction1, correction2] = [1 - beta1 ** steps, 1 - beta2 ** steps];
    const next = tf.tidy(() => {
      const { value, grads } = both(parameters);
      const m = first.map((m, i) => m.mul(beta1).add(grads[i]!.mul(1 - beta1)));
      const v = second.map((v, i) => v.mul(beta2).add(grads[i]!.square().mul(1 - beta2)));
      const p = parameters.map((p, i) => {
        const root = v[i]!.div(correction2).sqrt().add(epsilon);
        const direction = m[i]!.div(correction1).div(root);
        return p.mul(1 - learningRate * weightDecay).sub(direction.mul(learningRate));
      });
      return { loss: value, p, m, v };
    });
    tf.dispose([parameters, first, second]);
    [parameters, first, second] = [next.p, next.m, next.v];
    return read(next.loss);
  };
  const forward = (): Promise<number> => read(tf.tidy(() => lossOf(...parameters)));
  const run = problem.mode === "step" ? step : forward;
  return {
    run,
    results: async () => {
      const logps = tf.tidy(() => logpsOf(parameters));
      const values = await logps.data();
      logps.dispose();
      return { logps: values, losses: await repeat(reported, run) };
    },
    close: () => {
      tf.dispose([parameters, first, second]);
      tf.dispose([tokens, oneHot, mask, referenceChosen, referenceRejected, chosenLengths, causal]);
    },
  };
}
