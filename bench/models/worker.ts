/**
 * prefgrad in a process of its own: answers questions of {@link LineProcess} about one workload.
 */

import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import {
  adamw,
  dpoLoss,
  generateStream,
  realize,
  sequenceLogProbs,
  setDevice,
  type Tensor,
  tensor,
  valueAndGrad,
} from "../../dist/index.js";
import {
  decoder,
  initLora,
  type LoadedModel,
  loadAdapter,
  loadModel,
  saveAdapter,
  withLora,
} from "../../dist/models.js";
import {
  fit,
  fullPolicy,
  loraPolicy,
  preferenceObjective,
  withReferences,
} from "../../dist/training.js";
import { versionOf } from "../peers/version.js";
import {
  type Answer,
  type Batch,
  LEARNING_RATES,
  LORA,
  type Manner,
  STARTING_TOKENS,
  type Work,
} from "./work.js";

/** Runs the workload once, and gives its numbers. */
type Run = () => Promise<readonly number[]>;

async function answer(question: { do: string } & Work & Manner): Promise<Answer> {
  if (question.do === "prepare") {
    const { device, threads } = question;
    await (device === "wasm"
      ? setDevice("wasm", { threads })
      : setDevice("gpu", { backend: "webgpu" }));
    run = await prepared(question);
    return { version: versionOf("prefgrad") };
  }
  if (question.do === "memory") {
    return {
      residentBytes: 1024 * process.resourceUsage().maxRSS,
      deviceBytes: question.device === "wasm" ? wasmBytes() : null,
    };
  }
  const start = performance.now();
  const numbers = await run!();
  return { milliseconds: performance.now() - start, numbers };
}

async function prepared(work: Work & Manner): Promise<Run> {
  const load = async (): Promise<LoadedModel> => {
    const own = await loadModel(work.model, { dtype: work.storage, tokenizer: false });
    return changed(own, work);
  };
  if (work.task === "load") {
    return async () => {
      const { parameters } = await load();
      return [await parameters.tokenEmbedding.weight.at(0).at(0).item()];
    };
  }
  const lm = await load();
  if (work.task === "decode") return decoding(lm, work);
  if (work.task === "score") return scoring(lm, work);
  if (!existsSync(work.adapter)) {
    const adapter = initLora(lm, { ...LORA, targets: "all-linear", seed: 0 });
    await saveAdapter(work.adapter, lm, adapter);
  }
  return work.everything ? steppingThroughAll(lm, work) : stepping(lm, work);
}

/** The model with the workload's way of computing. */
function changed(lm: LoadedModel, { checkpointing, everything }: Work & Manner): LoadedModel {
  if (!checkpointing && !everything) return lm;
  const { attention, ...rest } = lm.config;
  const config = { ...rest, attention: everything ? { ...attention, causalBlocks: 1 } : attention };
  return { ...lm, config, model: decoder(config, { checkpointing }) };
}

function decoding({ model, parameters }: LoadedModel, { batch, newTokens }: Work): Run {
  const start = batch.prompts[0]!.slice(0, STARTING_TOKENS);
  return async () => {
    const tokens: number[] = [];
    const options = { maxNewTokens: newTokens, stopTokens: [] };
    for await (const { token } of generateStream(model, parameters, [start], options)) {
      tokens.push(token);
    }
    return tokens;
  };
}

/** The batch's sequences: the chosen completions first. */
function padded({ prompts, chosen, rejected }: Batch): { ids: Tensor; mask: Tensor } {
  const rows = [chosen, rejected].flatMap((side) => side.map((own, i) => [...prompts[i]!, ...own]));
  const prompt = prompts[0]!.length;
  const shape = [rows.length, rows[0]!.length];
  return {
    ids: tensor(rows.flat(), { shape, dtype: "int32" }),
    mask: tensor(
      rows.flatMap((row) => row.map((_, t) => (t < prompt ? 0 : 1))),
      { shape },
    ),
  };
}

const rowsOf = ({ prompts, chosen, rejected }: Batch) =>
  prompts.map((promptIds, row) => ({
    row,
    promptIds,
    chosenIds: chosen[row]!,
    rejectedIds: rejected[row]!,
  }));

function scoring(lm: LoadedModel, { batch, everything }: Work & Manner): Run {
  const { model, parameters } = lm;
  if (everything) {
    const { ids, mask } = padded(batch);
    return async () => [
      ...(await sequenceLogProbs(model.apply(parameters, ids), ids, mask).data()),
    ];
  }
  const policy = fullPolicy(lm);
  return async () => {
    const { rows } = await withReferences(rowsOf(batch), { policy });
    const found = await rows.read(batch.prompts.map((_, i) => i));
    return [
      ...found.map(({ referenceChosen }) => referenceChosen!),
      ...found.map(({ referenceRejected }) => referenceRejected!),
    ];
  };
}

/** What a step trains, and its policy. */
async function trainee(lm: LoadedModel, { trains, adapter }: Work) {
  if (trains === "all") return fullPolicy(lm);
  return loraPolicy(lm, await loadAdapter(adapter, lm));
}

/** A step as users train: packed sequences, no prompt twice, logits of the completions alone. */
async function stepping(lm: LoadedModel, work: Work): Promise<Run> {
  const { rows } = await withReferences(rowsOf(work.batch), { policy: fullPolicy(lm) });
  // biome-ignore lint/suspicious/noExplicitAny: the tree of a whole model's parameters or of an adapter's.
  const policy: any = await trainee(lm, work);
  const objective = preferenceObjective({ policy });
  const training = (step: (made: { readonly loss: number }) => Promise<void>) =>
    fit({
      parameters: policy.parameters,
      givesUpParameters: work.trains === "all",
      objective,
      data: rows,
      order: "sequential",
      batchSize: work.batch.prompts.length,
      learningRate: LEARNING_RATES[work.trains],
      lrSchedulerType: "constant",
      maxGradNorm: 0,
      maxSteps: 1_000_000,
      observer: { step },
    });
  return oneByOne(training);
}

/** Runs a loop that never ends a step at a time: it waits in its observer. */
function oneByOne(
  loop: (step: (made: { readonly loss: number }) => Promise<void>) => Promise<unknown>,
): Run {
  let goOn: (() => void) | undefined;
  let told: (numbers: readonly number[]) => void;
  let failed: (reason: unknown) => void;
  return () =>
    new Promise((resolve, reject) => {
      told = resolve;
      failed = reject;
      if (goOn) {
        goOn();
        return;
      }
      const step = ({ loss }: { readonly loss: number }) =>
        new Promise<void>((next) => {
          goOn = next;
          told([loss]);
        });
      loop(step).catch((reason) => failed(reason));
    });
}

/** A step that computes everything, padding aside: of an adapter. */
async function steppingThroughAll(lm: LoadedModel, work: Work): Promise<Run> {
  if (work.trains === "all") throw new Error("a step that computes everything is an adapter's");
  const { ids, mask } = padded(work.batch);
  const adapter = await loadAdapter(work.adapter, lm);
  const logProbsOf = (parameters: typeof adapter.parameters): Tensor =>
    sequenceLogProbs(lm.model.apply(withLora(lm, { ...adapter, parameters }), ids), ids, mask);
  const pairs = work.batch.prompts.length;
  const sides = (all: Tensor): [Tensor, Tensor] => [all.slice([0, pairs]), all.slice([pairs])];
  const [referenceChosen, referenceRejected] = sides(await realize(logProbsOf(adapter.parameters)));
  const lossOf = (parameters: typeof adapter.parameters): Tensor => {
    const [chosen, rejected] = sides(logProbsOf(parameters));
    return dpoLoss({ chosen, rejected, referenceChosen, referenceRejected }).loss;
  };
  const optimizer = adamw({ learningRate: LEARNING_RATES.adapter, weightDecay: 0 });
  let { parameters } = adapter;
  let state = optimizer.init(parameters);
  return async () => {
    const [loss, gradient] = valueAndGrad(lossOf)(parameters);
    [parameters, state] = optimizer.update(gradient, state, parameters);
    await realize(loss, parameters, state);
    return [await loss.item()];
  };
}

/** Counts the memories that are made from now on. */
function watchMemories(): () => number {
  const made: WebAssembly.Memory[] = [];
  const Original = WebAssembly.Memory;
  WebAssembly.Memory = class extends Original {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      super(descriptor);
      made.push(this);
    }
  };
  return () => made.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
}

/** Bytes of all WebAssembly memories, which never shrink. */
const wasmBytes = watchMemories();

let run: Run | undefined;
for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line) as { do: "prepare" | "run" | "memory" } & Work & Manner;
  try {
    console.log(JSON.stringify(await answer(question)));
  } catch (error) {
    console.log(JSON.stringify({ error: (error as Error).message }));
  }
}
