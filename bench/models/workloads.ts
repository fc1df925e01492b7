/**
 * The workloads, and who takes part in each.
 */

import { CONFIGURATIONS, type ModelName, tensorsOf } from "./configurations.js";
import type { Manner, Work } from "./work.js";

/** Who runs a workload. */
export interface Contestant {
  readonly name: string;
  /** How prefgrad runs it; null: PyTorch. `"reading"`: reads as many bytes as the workload's weights have, a time for each token. */
  readonly manner: Omit<Manner, "threads"> | null | "reading";
}

/** A workload. */
export interface Workload {
  readonly name: string;
  readonly model: ModelName;
  readonly work: Pick<Work, "task" | "trains" | "checkpointing">;
  readonly contestants: readonly Contestant[];
  /** What a run makes, for a rate. */
  readonly unit: "steps" | "tokens" | "bytes";
  /** Whether each run has a process of its own. */
  readonly fresh?: boolean;
}

const ours = (name: string, own: Partial<Manner> = {}): Contestant => ({
  name: `prefgrad${name}`,
  manner: { device: "wasm", storage: "float32", everything: false, ...own },
});
const onWebGpu = (name: string, storage: Manner["storage"]): Contestant => ({
  name: `WebGPU${name}`,
  manner: { device: "webgpu", storage, everything: false },
});
const EVERYTHING = ours(", same work", { everything: true });
const FLOAT32 = ours("");
const BFLOAT16 = ours(", bfloat16", { storage: "bfloat16" });
const PYTORCH: Contestant = { name: "PyTorch", manner: null };
const READING: Contestant = { name: "reading the weights", manner: "reading" };

const STEP = { task: "step", trains: "adapter", checkpointing: false } as const;

export const WORKLOADS: readonly Workload[] = [
  {
    name: "LoRA step",
    model: "smol",
    work: STEP,
    contestants: [EVERYTHING, FLOAT32, BFLOAT16, PYTORCH],
    unit: "steps",
  },
  {
    name: "LoRA step, blocks recomputed",
    model: "smol",
    work: { ...STEP, checkpointing: true },
    contestants: [FLOAT32, BFLOAT16],
    unit: "steps",
  },
  {
    name: "full step, blocks recomputed",
    model: "smol",
    work: { ...STEP, trains: "all", checkpointing: true },
    contestants: [FLOAT32, PYTORCH],
    unit: "steps",
  },
  {
    name: "LoRA step of 0.5 B, blocks recomputed",
    model: "qwen",
    work: { ...STEP, checkpointing: true },
    contestants: [BFLOAT16],
    unit: "steps",
  },
  {
    name: "greedy decoding",
    model: "smol",
    work: { ...STEP, task: "decode" },
    contestants: [FLOAT32, BFLOAT16, PYTORCH, READING],
    unit: "tokens",
  },
  {
    name: "reference scoring",
    model: "smol",
    work: { ...STEP, task: "score" },
    contestants: [EVERYTHING, FLOAT32, BFLOAT16, PYTORCH],
    unit: "tokens",
  },
  {
    name: "loading",
    model: "smol",
    work: { ...STEP, task: "load" },
    contestants: [FLOAT32, BFLOAT16, PYTORCH],
    unit: "bytes",
    fresh: true,
  },
];

/** A cut-down model on WebGPU, its weights in either storage, against the WebAssembly device's numbers. */
export const GPU_WORKLOADS: readonly Workload[] = WORKLOADS.filter(
  ({ name }) =>
    name === "LoRA step" ||
    name.startsWith("full step") ||
    name === "greedy decoding" ||
    name === "reference scoring",
).map((own) => ({
  ...own,
  // Weights that are trained are float32.
  contestants: [
    onWebGpu("", "float32"),
    ...(own.work.trains === "all" ? [] : [onWebGpu(", bfloat16", "bfloat16")]),
    FLOAT32,
  ],
}));

/** Numbers in a model. */
export function parameterCount(model: ModelName): number {
  return [...tensorsOf(CONFIGURATIONS[model]).values()].reduce(
    (sum, shape) => sum + shape.reduce((product, n) => product * n, 1),
    0,
  );
}
