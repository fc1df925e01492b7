/**
 * prefgrad itself, as a user writes it: nothing is disposed of by hand.
 */

import {
  adamw,
  deviceStatistics,
  dpoLoss,
  type GptParameters,
  gpt,
  gradients,
  layerNorm,
  logSoftmax,
  matmul,
  realize,
  sequenceLogProbs,
  setDevice,
  sgd,
  spoLoss,
  swapAxes,
  type Tensor,
  takeAlongAxis,
  tensor,
  valueAndGrad,
} from "../../dist/index.js";
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

/** The library with a number of threads; each number makes a device of its own. */
export async function load(threads: number): Promise<Peer> {
  const enter = (): Promise<void> => setDevice("wasm", { threads });
  await enter();
  return {
    version: versionOf("prefgrad"),
    enter,
    solve: {
      matmul: matmulTask,
      elementwise: elementwiseTask,
      rows: rowsTask,
      mlp: mlpTask,
      gpt: gptTask,
    },
    deviceBytes: async () => {
      const { bytes, scratchBytes } = await deviceStatistics();
      return bytes + scratchBytes;
    },
  };
}

/** A task whose every run computes the same arrays. */
function repeated(make: () => Record<string, Tensor>): Task {
  return {
    run: async () => {
      await realize(make());
    },
    results: async () => {
      const found: Record<string, ArrayLike<number>> = {};
      for (const [name, t] of Object.entries(make())) found[name] = await t.data();
      return found;
    },
  };
}

function matmulTask(problem: MatmulProblem): Task {
  const { batch, m, k, n, transposeA, transposeB } = problem;
  const stored = (values: Float32Array, rows: number, columns: number, transposed: boolean) => {
    const shape = transposed ? [columns, rows] : [rows, columns];
    return tensor(values, { shape: batch === 1 ? shape : [batch, ...shape] });
  };
  const a = stored(problem.a, m, k, transposeA);
  const b = stored(problem.b, k, n, transposeB);
  return repeated(() => ({
    values: matmul(transposeA ? swapAxes(a, -1, -2) : a, transposeB ? swapAxes(b, -1, -2) : b),
  }));
}

const [A, B, C, D] = POLYNOMIAL;

const FUNCTIONS: Readonly<Record<ElementwiseProblem["function"], (x: Tensor) => Tensor>> = {
  polynomial: (x) => x.mul(A).add(B).mul(x).add(C).mul(x).add(D),
  exp: (x) => x.exp(),
  log: (x) => x.log(),
  tanh: (x) => x.tanh(),
  gelu: (x) => x.gelu(),
};

function elementwiseTask(problem: ElementwiseProblem): Task {
  const x = tensor(problem.x);
  const f = FUNCTIONS[problem.function];
  return repeated(() => ({ values: f(x) }));
}

function rowsTask(problem: RowsProblem): Task {
  const { rows, width } = problem;
  const x = tensor(problem.x, { shape: [rows, width] });
  const norm = { weight: tensor(problem.weight), bias: tensor(problem.bias) };
  const ids = tensor(problem.ids, { shape: [rows, 1] });
  const perRow = problem.function === "tokenLogProbs";
  const cotangent = tensor(problem.cotangent, { shape: perRow ? [rows] : [rows, width] });
  const functions: Record<RowsProblem["function"], () => Tensor> = {
    softmax: () => x.softmax(),
    gelu: () => x.gelu(),
    layerNorm: () => layerNorm(norm, x),
    tokenLogProbs: () => takeAlongAxis(logSoftmax(x), ids).squeeze(-1),
  };
  const f = functions[problem.function];
  if (!problem.gradient) return repeated(() => ({ values: f() }));
  const inputs: Record<string, Tensor> = problem.function === "layerNorm" ? { x, ...norm } : { x };
  return repeated(() => {
    const found = gradients(f().mul(cotangent).sum(), Object.values(inputs));
    return Object.fromEntries(Object.keys(inputs).map((name, i) => [name, found[i]!]));
  });
}

function mlpTask(problem: MlpProblem): Task {
  const { sizes, batch, targets, learningRate, reported } = problem;
  const inputs = tensor(problem.inputs, { shape: [batch, sizes[0]!] });
  const start = problem.weights.map((weight, i) => ({
    weight: tensor(weight, { shape: [sizes[i]!, sizes[i + 1]!] }),
    bias: tensor(problem.biases[i]!),
  }));
  const goal =
    targets.kind === "classes"
      ? tensor(targets.labels, { shape: [batch, 1] })
      : tensor(targets.values, { shape: [batch, sizes.at(-1)!] });
  const lossOf = (parameters: typeof start): Tensor => {
    let x = inputs;
    for (const [i, { weight, bias }] of parameters.entries()) {
      x = matmul(x, weight).add(bias);
      if (i < parameters.length - 1) x = problem.activation === "relu" ? x.relu() : x.tanh();
    }
    return targets.kind === "classes"
      ? takeAlongAxis(logSoftmax(x), goal).mean().neg()
      : x.sub(goal).square().mean();
  };
  const optimizer = sgd({ learningRate });
  let parameters = start;
  let state = optimizer.init(parameters);
  const step = async (): Promise<number> => {
    const [loss, gradient] = valueAndGrad(lossOf)(parameters);
    [parameters, state] = optimizer.update(gradient, state, parameters);
    await realize(loss, parameters);
    return loss.item();
  };
  const run = problem.mode === "step" ? step : () => lossOf(start).item();
  return { run, results: async () => ({ losses: await repeat(reported, run) }) };
}

async function repeat(times: number, run: () => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  for (let i = 0; i < times; i++) values.push(await run());
  return values;
}

/** A model's parameters from arrays by name. */
function gptParameters(problem: GptProblem): GptParameters {
  const byName = new Map(
    problem.parameters.map(({ name, shape, values }) => [name, tensor(values, { shape })]),
  );
  const of = (name: string): Tensor => byName.get(name)!;
  const norm = (name: string) => ({ weight: of(`${name}.g`), bias: of(`${name}.b`) });
  const linear = (name: string) => ({ weight: of(`${name}.w`), bias: of(`${name}.b`) });
  return {
    tokenEmbedding: { weight: of("wte") },
    positionEmbedding: { weight: of("wpe") },
    blocks: Array.from({ length: problem.sizes.layers }, (_, i) => ({
      norm1: norm(`h${i}.ln1`),
      attention: { qkv: linear(`h${i}.attn.qkv`), projection: linear(`h${i}.attn.proj`) },
      norm2: norm(`h${i}.ln2`),
      mlp: { expand: linear(`h${i}.mlp.fc`), projection: linear(`h${i}.mlp.proj`) },
    })),
    finalNorm: norm("lnf"),
  };
}

/** A parameter tree's tensors in the order of the problem's arrays. */
function inOrder({
  tokenEmbedding,
  positionEmbedding,
  blocks,
  finalNorm,
}: GptParameters): Tensor[] {
  const pair = ({ weight, bias }: { weight: Tensor; bias?: Tensor }) => [weight, bias!];
  return [
    tokenEmbedding.weight,
    positionEmbedding.weight,
    ...blocks.flatMap(({ norm1, attention, norm2, mlp }) =>
      [norm1, attention.qkv, attention.projection, norm2, mlp.expand, mlp.projection].flatMap(pair),
    ),
    ...pair(finalNorm),
  ];
}

function gptTask(problem: GptProblem): Task {
  const { vocabulary, context, width, layers, heads } = problem.sizes;
  const { pairs, length, reported } = problem;
  const model = gpt({
    vocabularySize: vocabulary,
    contextLength: context,
    width,
    layers,
    heads,
  });
  const ids = tensor(problem.tokens, { shape: [2 * pairs, length] });
  const mask = tensor(problem.mask, { shape: [2 * pairs, length] });
  const constants = {
    referenceChosen: tensor(problem.referenceChosen),
    referenceRejected: tensor(problem.referenceRejected),
    chosenLength: tensor(problem.chosenLengths),
  };
  const evaluate = (parameters: GptParameters): { loss: Tensor; logps: Tensor } => {
    const logps = sequenceLogProbs(model.apply(parameters, ids), ids, mask);
    const [chosen, rejected] = [logps.slice([0, pairs]), logps.slice([pairs])];
    const inputs = { chosen, rejected, ...constants };
    // With floor 0 the penalty is the mean over pairs of −log π(y_w)/|y_w|.
    const { loss } = problem.loss === "dpo" ? dpoLoss(inputs) : spoLoss(inputs, { floor: 0 });
    return { loss, logps };
  };
  const { learningRate, weightDecay } = ADAMW;
  const optimizer = adamw({ learningRate, weightDecay });
  const start = gptParameters(problem);
  let parameters = start;
  let state = optimizer.init(parameters);
  const step = async (): Promise<number> => {
    const [loss, gradient] = valueAndGrad((p: GptParameters) => evaluate(p).loss)(parameters);
    [parameters, state] = optimizer.update(gradient, state, parameters);
    await realize(loss, parameters, state);
    return loss.item();
  };
  const run = problem.mode === "step" ? step : () => evaluate(start).loss.item();
  const results = async (): Promise<Results> => {
    const found: Record<string, ArrayLike<number>> = {};
    const [loss, gradient] = valueAndGrad((p: GptParameters) => evaluate(p).loss)(start);
    const { logps } = evaluate(start);
    if (problem.mode === "step") {
      await realize(loss, gradient);
      for (const [i, t] of inOrder(gradient).entries()) {
        found[`grad:${problem.parameters[i]!.name}`] = await t.data();
      }
    }
    return { ...found, logps: await logps.data(), losses: await repeat(reported, run) };
  };
  return { run, results };
}
