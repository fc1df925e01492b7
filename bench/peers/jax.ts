/**
 * jax-js on its WebAssembly or WebGPU backend, every problem under `jit`. Its functions consume their arguments;
 * `.ref` keeps one for later use.
 */

import {
  blockUntilReady,
  defaultDevice,
  grad,
  init,
  type Array as JaxArray,
  jit,
  nn,
  numpy as np,
  tree,
  valueAndGrad,
} from "@jax-js/jax";
import { settled } from "../gpu/watch.js";
import {
  ADAMW,
  type ElementwiseProblem,
  type GptProblem,
  type MatmulProblem,
  type MlpProblem,
  type Peer,
  POLYNOMIAL,
  type Results,
  type RowsProblem,
  type Task,
} from "../problem.js";
import { versionOf } from "./version.js";

export async function load(backend: "wasm" | "webgpu" = "wasm"): Promise<Peer> {
  // Its WebGPU backend asks what browser it is in.
  if (backend === "webgpu" && typeof navigator !== "undefined" && !navigator.userAgent) {
    Object.defineProperty(navigator, "userAgent", { value: "Node", configurable: true });
  }
  if (!(await init(backend)).includes(backend)) throw new Error(`it has no ${backend} here`);
  defaultDevice(backend);
  return {
    version: versionOf("@jax-js/jax"),
    solve: {
      matmul: matmulTask,
      elementwise: elementwiseTask,
      rows: rowsTask,
      mlp: mlpTask,
      gpt: gptTask,
    },
  };
}

function float(values: Float32Array, shape: readonly number[]): JaxArray {
  return np.array(values as Float32Array<ArrayBuffer>, { shape: [...shape] });
}

function int(values: Int32Array, shape: readonly number[]): JaxArray {
  return np.array(values as Int32Array<ArrayBuffer>, { shape: [...shape], dtype: np.int32 });
}

type Arrays = Record<string, JaxArray>;

/** A task whose every run computes the same arrays from the same inputs. */
function repeated<I extends JaxArray[]>(f: (...inputs: I) => Arrays, ...inputs: I): Task {
  const compiled = jit(f as (...inputs: JaxArray[]) => Arrays);
  const once = (): Arrays => compiled(...inputs.map((input) => input.ref));
  const onGpu = defaultDevice() === "webgpu";
  return {
    overlaps: onGpu,
    run: async () => {
      tree.dispose(await blockUntilReady(once()));
      // There, ready arrays may still be waiting for the GPU.
      if (onGpu) await settled();
    },
    results: async () => {
      const found: Record<string, ArrayLike<number>> = {};
      for (const [name, array] of Object.entries(once())) found[name] = await array.data();
      return found;
    },
    close: () => {
      for (const input of inputs) input.dispose();
      compiled.dispose();
    },
  };
}

function matmulTask(problem: MatmulProblem): Task {
  const { batch, m, k, n, transposeA, transposeB } = problem;
  const stored = (values: Float32Array, rows: number, columns: number, transposed: boolean) => {
    const shape = transposed ? [columns, rows] : [rows, columns];
    return float(values, batch === 1 ? shape : [batch, ...shape]);
  };
  const turned = (x: JaxArray, yes: boolean): JaxArray => (yes ? np.swapaxes(x, -1, -2) : x);
  return repeated(
    (a: JaxArray, b: JaxArray) => ({
      values: np.matmul(turned(a, transposeA), turned(b, transposeB)),
    }),
    stored(problem.a, m, k, transposeA),
    stored(problem.b, k, n, transposeB),
  );
}

const [A, B, C, D] = POLYNOMIAL;

const gelu = (x: JaxArray): JaxArray => nn.gelu(x, { approximate: true });

const FUNCTIONS: Readonly<Record<ElementwiseProblem["function"], (x: JaxArray) => JaxArray>> = {
  polynomial: (x) => x.ref.mul(A).add(B).mul(x.ref).add(C).mul(x).add(D),
  exp: np.exp,
  log: np.log,
  tanh: np.tanh,
  gelu,
};

function elementwiseTask(problem: ElementwiseProblem): Task {
  const f = FUNCTIONS[problem.function];
  return repeated((x: JaxArray) => ({ values: f(x) }), float(problem.x, [problem.x.length]));
}

function layerNorm(x: JaxArray, weight: JaxArray, bias: JaxArray): JaxArray {
  const centred = x.ref.sub(x.mean(-1, { keepdims: true }));
  const variance = np.square(centred.ref).mean(-1, { keepdims: true });
  return centred
    .div(np.sqrt(variance.add(1e-5)))
    .mul(weight)
    .add(bias);
}

/**
 * `logSoftmax(x)[…, ids]`: [rows, width], [rows] → [rows]. By a mask: 0.1.25 does not compile the
 * gradient of `takeAlongAxis` inside larger functions.
 */
function tokenLogProbs(x: JaxArray, ids: JaxArray): JaxArray {
  const own = np.arange(x.shape[1]!).equal(np.expandDims(ids, -1));
  return np.where(own, x.ref, 0).sum(-1).sub(nn.logsumexp(x, -1));
}

function rowsTask(problem: RowsProblem): Task {
  const { rows, width } = problem;
  const x = float(problem.x, [rows, width]);
  const weight = float(problem.weight, [width]);
  const bias = float(problem.bias, [width]);
  const ids = int(problem.ids, [rows]);
  const perRow = problem.function === "tokenLogProbs";
  const g = float(problem.cotangent, perRow ? [rows] : [rows, width]);
  if (problem.function === "layerNorm") {
    if (!problem.gradient) {
      return repeated((...a) => ({ values: layerNorm(...a) }), x, weight, bias);
    }
    const gradient = grad((p: { x: JaxArray; weight: JaxArray; bias: JaxArray }, g: JaxArray) =>
      layerNorm(p.x, p.weight, p.bias).mul(g).sum(),
    );
    return repeated(
      (x, weight, bias, g) => gradient({ x, weight, bias }, g) as Arrays,
      x,
      weight,
      bias,
      g,
    );
  }
  if (problem.function === "tokenLogProbs") {
    if (!problem.gradient) return repeated((x, i) => ({ values: tokenLogProbs(x, i) }), x, ids);
    const gradient = grad((x: JaxArray, i: JaxArray, g: JaxArray) =>
      tokenLogProbs(x, i).mul(g).sum(),
    );
    return repeated((x, i, g) => ({ x: gradient(x, i, g) as JaxArray }), x, ids, g);
  }
  const f = problem.function === "softmax" ? (x: JaxArray) => nn.softmax(x, -1) : gelu;
  if (!problem.gradient) return repeated((x) => ({ values: f(x) }), x);
  const gradient = grad((x: JaxArray, g: JaxArray) => f(x).mul(g).sum());
  return repeated((x, g) => ({ x: gradient(x, g) as JaxArray }), x, g);
}

function mlpTask(problem: MlpProblem): Task {
  const { sizes, batch, targets, learningRate, reported } = problem;
  const inputs = float(problem.inputs, [batch, sizes[0]!]);
  const width = sizes.at(-1)!;
  const goal =
    targets.kind === "classes"
      ? int(targets.labels, [batch])
      : float(targets.values, [batch, width]);
  let parameters: Arrays = {};
  problem.weights.forEach((weight, i) => {
    parameters[`weight${i}`] = float(weight, [sizes[i]!, sizes[i + 1]!]);
    parameters[`bias${i}`] = float(problem.biases[i]!, [sizes[i + 1]!]);
  });
  const layers = problem.weights.length;
  const lossOf = (p: Arrays, x: JaxArray, goal: JaxArray): JaxArray => {
    let y = x;
    for (let i = 0; i < layers; i++) {
      y = np.matmul(y, p[`weight${i}`]!).add(p[`bias${i}`]!);
      if (i < layers - 1) y = problem.activation === "relu" ? nn.relu(y) : np.tanh(y);
    }
    return targets.kind === "classes"
      ? tokenLogProbs(y, goal).mean().neg()
      : np.square(y.sub(goal)).mean();
  };
  if (problem.mode === "forward") {
    const forward = jit(lossOf);
    return lossTask(async () => {
      const loss = forward(tree.ref(parameters), inputs.ref, goal.ref);
      return (await loss.data())[0]!;
    }, reported);
  }
  const step = jit((p: Arrays, x: JaxArray, goal: JaxArray) => {
    const [loss, gradient] = valueAndGrad(lossOf)(tree.ref(p), x, goal) as [JaxArray, Arrays];
    const next: Arrays = {};
    for (const name of Object.keys(p)) next[name] = p[name]!.sub(gradient[name]!.mul(learningRate));
    return { loss, next };
  });
  return lossTask(async () => {
    const { loss, next } = step(parameters, inputs.ref, goal.ref) as {
      loss: JaxArray;
      next: Arrays;
    };
    parameters = next;
    await blockUntilReady(next);
    return (await loss.data())[0]!;
  }, reported);
}

function lossTask(run: () => Promise<number>, reported: number): Task {
  const results = async (): Promise<Results> => {
    const losses: number[] = [];
    for (let i = 0; i < reported; i++) losses.push(await run());
    return { losses };
  };
  return { run, results };
}

interface GptBatch extends Record<string, JaxArray> {
  tokens: JaxArray;
  targets: JaxArray;
  mask: JaxArray;
  referenceChosen: JaxArray;
  referenceRejected: JaxArray;
  chosenLengths: JaxArray;
}

/** Log-probabilities [2·pairs] of the completions. */
function gptLogps(problem: GptProblem, p: Arrays, batch: GptBatch): JaxArray {
  const { width, layers, heads } = problem.sizes;
  const { length } = problem;
  const rows = 2 * problem.pairs;
  const of = (name: string): JaxArray => p[name]!.ref;
  const norm = (x: JaxArray, name: string) => layerNorm(x, of(`${name}.g`), of(`${name}.b`));
  const linear = (x: JaxArray, name: string) => np.matmul(x, of(`${name}.w`)).add(of(`${name}.b`));
  const embedded = np.take(of("wte"), batch.tokens.ref, 0);
  const places = of("wpe").slice([0, length], []);
  // Matrices, not stacks of them: [rows·length, width].
  let x = embedded.add(places).reshape([rows * length, width]);
  const positions = np.arange(length);
  const visible = positions.ref.reshape([length, 1]).greaterEqual(positions.reshape([1, length]));
  for (let i = 0; i < layers; i++) {
    const qkv = linear(norm(x.ref, `h${i}.ln1`), `h${i}.attn.qkv`);
    const split = qkv.reshape([rows, length, 3 * heads, width / heads]);
    const part = (j: number) =>
      split.ref.slice([], [], [j * heads, (j + 1) * heads], []).transpose([0, 2, 1, 3]);
    const scores = np.matmul(part(0), part(1).transpose([0, 1, 3, 2]));
    const scaled = scores.mul(1 / Math.sqrt(width / heads));
    const weights = nn.softmax(np.where(visible.ref, scaled, -1e30), -1);
    const mixed = np.matmul(weights, part(2)).transpose([0, 2, 1, 3]);
    x = x.add(linear(mixed.reshape([rows * length, width]), `h${i}.attn.proj`));
    const u = gelu(linear(norm(x.ref, `h${i}.ln2`), `h${i}.mlp.fc`));
    x = x.add(linear(u, `h${i}.mlp.proj`));
  }
  const logits = np.matmul(norm(x, "lnf"), of("wte").transpose());
  const logps = tokenLogProbs(logits, batch.targets.ref).reshape([rows, length]);
  return logps.mul(batch.mask.ref).sum(-1);
}

function gptLoss(problem: GptProblem, logps: JaxArray, batch: GptBatch): JaxArray {
  const { pairs } = problem;
  const chosen = logps.ref.slice([0, pairs]);
  const rejected = logps.slice([pairs]);
  const ratio = chosen.ref.sub(batch.referenceChosen.ref);
  const z = ratio.sub(rejected.sub(batch.referenceRejected.ref)).mul(0.1);
  const loss = nn.softplus(z.neg()).mean();
  if (problem.loss === "dpo") return loss;
  return loss.sub(chosen.div(batch.chosenLengths.ref).mean());
}

interface GptState extends Record<string, Arrays> {
  parameters: Arrays;
  first: Arrays;
  second: Arrays;
}

function gptTask(problem: GptProblem): Task {
  const { pairs, length, reported } = problem;
  const rows = 2 * pairs;
  // Position t predicts token t + 1; the last position of a row predicts nothing.
  const targets = new Int32Array(problem.tokens.length);
  const mask = new Float32Array(problem.mask.length);
  targets.set(problem.tokens.subarray(1));
  mask.set(problem.mask.subarray(1));
  for (let row = 1; row <= rows; row++) mask[row * length - 1] = 0;
  const batch: GptBatch = {
    tokens: int(problem.tokens, [rows, length]),
    targets: int(targets, [rows * length]),
    mask: float(mask, [rows, length]),
    referenceChosen: float(problem.referenceChosen, [pairs]),
    referenceRejected: float(problem.referenceRejected, [pairs]),
    chosenLengths: float(problem.chosenLengths, [pairs]),
  };
  const named = (make: (shape: readonly number[], values: Float32Array) => JaxArray): Arrays =>
    Object.fromEntries(
      problem.parameters.map(({ name, shape, values }) => [name, make(shape, values)]),
    );
  const start = (): Arrays => named((shape, values) => float(values, shape));
  const zero = (): Arrays => named((shape) => np.zeros([...shape]));
  const lossOf = (p: Arrays, batch: GptBatch): JaxArray =>
    gptLoss(problem, gptLogps(problem, p, batch), batch);
  const logps = jit((p: Arrays, batch: GptBatch) => gptLogps(problem, p, batch));

  let state: GptState = { parameters: start(), first: zero(), second: zero() };
  const compiledLoss = jit(lossOf);
  const forward = async (): Promise<number> => {
    const loss = compiledLoss(tree.ref(state.parameters), tree.ref(batch)) as JaxArray;
    return (await loss.data())[0]!;
  };

  const { learningRate, weightDecay, beta1, beta2, epsilon } = ADAMW;
  const compiledStep = jit(
    (state: GptState, batch: GptBatch, correction1: JaxArray, correction2: JaxArray) => {
      const { parameters, first, second } = state;
      const [loss, gradient] = valueAndGrad(lossOf)(tree.ref(parameters), batch) as [
        JaxArray,
        Arrays,
      ];
      const next: GptState = { parameters: {}, first: {}, second: {} };
      for (const name of Object.keys(parameters)) {
        const g = gradient[name]!;
        const m = first[name]!.mul(beta1).add(g.ref.mul(1 - beta1));
        const v = second[name]!.mul(beta2).add(np.square(g).mul(1 - beta2));
        const root = np.sqrt(v.ref.div(correction2.ref)).add(epsilon);
        const direction = m.ref.div(correction1.ref).div(root);
        const decayed = parameters[name]!.mul(1 - learningRate * weightDecay);
        next.parameters[name] = decayed.sub(direction.mul(learningRate));
        next.first[name] = m;
        next.second[name] = v;
      }
      return { loss, next };
    },
  );
  let steps = 0;
  const step = async (): Promise<number> => {
    steps++;
    const corrections = [beta1, beta2].map((beta) => np.array([1 - beta ** steps]).reshape([]));
    const [correction1, correction2] = corrections as [JaxArray, JaxArray];
    const { loss, next } = compiledStep(state, tree.ref(batch), correction1, correction2) as {
      loss: JaxArray;
      next: GptState;
    };
    state = next;
    await blockUntilReady(next);
    return (await loss.data())[0]!;
  };

  const task = lossTask(problem.mode === "step" ? step : forward, reported);
  return {
    run: task.run,
    results: async () => {
      const found = logps(tree.ref(state.parameters), tree.ref(batch)) as JaxArray;
      return { logps: await found.data(), ...(await task.results!()) };
    },
    close: () => {
      tree.dispose(state);
      tree.dispose(batch);
    },
  };
}
