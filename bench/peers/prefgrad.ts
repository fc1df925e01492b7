/**
 * prefgrad itself. Results of single operations are given back after every run, as those of the peers that hold memory
 * outside JavaScript must be; what a training step replaces is left to garbage collection, unless that is what is measured.
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
  packBatch,
  packedSequenceLogProbs,
  realize,
  sequenceLogProbs,
  setDevice,
  sgd,
  spoLoss,
  swapAxes,
  type Tensor,
  takeAlongAxis,
  tensor,
  treeLeaves,
  valueAndGrad,
} from "../../dist/index.js";
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

/** The library with a number of threads; the device is shared by all. */
export async function load(threads: number): Promise<Peer> {
  const enter = (): Promise<void> => setDevice("wasm", { threads });
  await enter();
  return {
    version: versionOf("prefgrad"),
    enter,
    solve: solveIn({
      settled: async () => {},
      overlaps: false,
      outputs: dispose,
      superseded: keep,
    }),
    // Scratch memory is kept, and what a step replaces is there when it ends.
    deviceBytes: async (run) => {
      await run();
      const { bytes, scratchBytes } = await deviceStatistics();
      return bytes + scratchBytes;
    },
  };
}

/** The library on WebGPU. A training step's old parameters are given back only if `disposes`. */
export async function loadGpu({ disposes = false } = {}): Promise<Peer> {
  const enter = (): Promise<void> => setDevice("gpu", { backend: "webgpu" });
  await enter();
  const superseded = disposes ? dispose : keep;
  return {
    version: versionOf("prefgrad"),
    enter,
    solve: solveIn({ settled, overlaps: true, outputs: dispose, superseded }),
  };
}

/** How tasks run on a device. */
interface Manner {
  /** Waits for what was issued. */
  settled(): Promise<void>;
  readonly overlaps: boolean;
  /** What becomes of the results of single operations. */
  outputs(tree: unknown): void;
  /** What becomes of what a training step replaced. */
  superseded(tree: unknown): void;
}

const keep = (): void => {};

function dispose(tree: unknown): void {
  for (const t of treeLeaves(tree)) t.dispose();
}

function solveIn(manner: Manner): Peer["solve"] {
  return {
    matmul: (problem) => matmulTask(problem, manner),
    elementwise: (problem) => elementwiseTask(problem, manner),
    rows: (problem) => rowsTask(problem, manner),
    mlp: (problem) => mlpTask(problem, manner),
    gpt: (problem) => gptTask(problem, manner),
  };
}

/** A task whose every run computes the same arrays. */
function repeated(
  make: () => Record<string, Tensor>,
  { settled, overlaps, outputs }: Manner,
): Task {
  const issue = async (): Promise<void> => {
    const found = make();
    await realize(found);
    outputs(found);
  };
  return {
    overlaps,
    issue,
    run: async () => {
      await issue();
      await settled();
    },
    results: async () => {
      const found: Record<string, ArrayLike<number>> = {};
      for (const [name, t] of Object.entries(make())) found[name] = await t.data();
      return found;
    },
  };
}

function matmulTask(problem: MatmulProblem, manner: Manner): Task {
  const { batch, m, k, n, transposeA, transposeB } = problem;
  const stored = (values: Float32Array, rows: number, columns: number, transposed: boolean) => {
    const shape = transposed ? [columns, rows] : [rows, columns];
    return tensor(values, { shape: batch === 1 ? shape : [batch, ...shape] });
  };
  const a = stored(problem.a, m, k, transposeA);
  const b = stored(problem.b, k, n, transposeB);
  return repeated(
    () => ({
      values: matmul(transposeA ? swapAxes(a, -1, -2) : a, transposeB ? swapAxes(b, -1, -2) : b),
    }),
    manner,
  );
}

const [A, B, C, D] = POLYNOMIAL;

const FUNCTIONS: Readonly<Record<ElementwiseProblem["function"], (x: Tensor) => Tensor>> = {
  polynomial: (x) => x.mul(A).add(B).mul(x).add(C).mul(x).add(D),
  exp: (x) => x.exp(),
  log: (x) => x.log(),
  tanh: (x) => x.tanh(),
  gelu: (x) => x.gelu(),
};

function elementwiseTask(problem: ElementwiseProblem, manner: Manner): Task {
  const x = tensor(problem.x);
  const f = FUNCTIONS[problem.function];
  return repeated(() => ({ values: f(x) }), manner);
}

function rowsTask(problem: RowsProblem, manner: Manner): Task {
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
  if (!problem.gradient) return repeated(() => ({ values: f() }), manner);
  const inputs: Record<string, Tensor> = problem.function === "layerNorm" ? { x, ...norm } : { x };
  return repeated(() => {
    const found = gradients(f().mul(cotangent).sum(), Object.values(inputs));
    return Object.fromEntries(Object.keys(inputs).map((name, i) => [name, found[i]!]));
  }, manner);
}

/** A task of a loss and, if it trains, of the step that replaces parameters and optimizer state. */
function training(
  mode: "forward" | "step",
  forward: () => Tensor,
  step: () => { loss: Tensor; next: unknown; old: unknown },
  { superseded }: Manner,
): Required<Pick<Task, "run" | "issue">> {
  let loss: Tensor;
  const issue = async (): Promise<void> => {
    if (mode === "forward") {
      loss = forward();
      await realize(loss);
      return;
    }
    const taken = step();
    loss = taken.loss;
    await realize(loss, taken.next);
    const kept = new Set(treeLeaves(taken.next));
    superseded(treeLeaves(taken.old).filter((t) => !kept.has(t)));
  };
  return {
    issue: async () => {
      await issue();
      superseded(loss);
    },
    run: async () => {
      await issue();
      const value = await loss.item();
      superseded(loss);
      return value;
    },
  };
}

function mlpTask(problem: MlpProblem, manner: Manner): Task {
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
  const step = () => {
    const old = { parameters, state };
    const [loss, gradient] = valueAndGrad(lossOf)(parameters);
    [parameters, state] = optimizer.update(gradient, state, parameters);
    return { loss, old, next: { parameters, state } };
  };
  const task = training(problem.mode, () => lossOf(start), step, manner);
  return { ...task, results: async () => ({ losses: await repeat(reported, task.run) }) };
}

async function repeat(times: number, run: Task["run"]): Promise<number[]> {
  const values: number[] = [];
  for (let i = 0; i < times; i++) values.push((await run()) as number);
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

async function gptTask(problem: GptProblem, manner: Manner): Promise<Task> {
  const { vocabulary, context, width, layers, heads } = problem.sizes;
  const { pairs, length, reported } = problem;
  const model = gpt({
    vocabularySize: vocabulary,
    contextLength: context,
    width,
    layers,
    heads,
    // Unless it may skip work, attention computes its masked half, as the peers' does.
    ...(problem.skipsWork ? {} : { causalBlocks: 1 }),
  });
  const ids = tensor(problem.tokens, { shape: [2 * pairs, length] });
  const mask = tensor(problem.mask, { shape: [2 * pairs, length] });
  const constants = {
    referenceChosen: tensor(problem.referenceChosen),
    referenceRejected: tensor(problem.referenceRejected),
    chosenLength: tensor(problem.chosenLengths),
  };
  const batch = problem.skipsWork ? await packBatch(ids, mask) : null;
  const logpsOf = (p: GptParameters): Tensor =>
    batch
      ? packedSequenceLogProbs(model.packedHidden(p, batch), model.headWeight(p), batch)
      : sequenceLogProbs(model.apply(p, ids), ids, mask);
  const evaluate = (parameters: GptParameters): { loss: Tensor; logps: Tensor } => {
    const logps = logpsOf(parameters);
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
  const step = () => {
    const old = { parameters, state };
    const [loss, gradient] = valueAndGrad((p: GptParameters) => evaluate(p).loss)(parameters);
    [parameters, state] = optimizer.update(gradient, state, parameters);
    return { loss, old, next: { parameters, state } };
  };
  const task = training(problem.mode, () => evaluate(start).loss, step, manner);
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
    return { ...found, logps: await logps.data(), losses: await repeat(reported, task.run) };
  };
  return { ...task, results };
}
