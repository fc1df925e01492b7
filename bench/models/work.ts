/**
 * What a process of the workloads is told to do, and what it answers.
 */

/** Two pairs of 256 tokens, each pair with one prompt of 128; token ids are seeded. */
export interface Batch {
  readonly prompts: readonly (readonly number[])[];
  readonly chosen: readonly (readonly number[])[];
  readonly rejected: readonly (readonly number[])[];
}

/** Of AdamW, without decay, by what is trained. */
export const LEARNING_RATES = { adapter: 1e-3, all: 1e-5 };

/** Of the adapter, on all linear layers. */
export const LORA = { rank: 8, alpha: 16 };

/** Tokens of the prompt that decoding goes on from: few, so that what is timed is the tokens after it. */
export const STARTING_TOKENS = 16;

/** A process's task. */
export interface Work {
  /**
   * `"step"`: a DPO step with AdamW, the reference known. `"score"`: log-probabilities of the batch's completions.
   * `"decode"`: tokens after a prompt, the likeliest ones. `"load"`: loading the model, in a new process.
   */
  readonly task: "step" | "score" | "decode" | "load";
  /** Directory of the model, and of an adapter to it. */
  readonly model: string;
  readonly adapter: string;
  /** What a step changes. */
  readonly trains: "adapter" | "all";
  readonly batch: Batch;
  /** Tokens to decode. */
  readonly newTokens: number;
  /** Whether a block is computed again for its gradients. */
  readonly checkpointing: boolean;
}

/** How prefgrad does it. */
export interface Manner {
  readonly device: "wasm" | "webgpu";
  readonly threads: number;
  readonly storage: "float32" | "bfloat16";
  /** Whether it computes what nobody needs, as the peer does: shared prompts twice, masked attention, all logits. */
  readonly everything: boolean;
}

/** What the process answers. */
export interface Answer {
  readonly version?: string;
  /** Of one run. */
  readonly milliseconds?: number;
  /** Of a run: losses, log-probabilities or tokens. */
  readonly numbers?: readonly number[];
  /** Peak resident memory. */
  readonly residentBytes?: number;
  /** Memory taken on the device at the peak; null where the library does not tell. */
  readonly deviceBytes?: number | null;
}

/** The batch; ids are those of every vocabulary here. */
export function batchBelow(vocabulary: number, length = 256): Batch {
  let state = 7;
  const ids = (count: number): number[] =>
    Array.from({ length: count }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * vocabulary);
    });
  const half = length / 2;
  return {
    prompts: [ids(half), ids(half)],
    chosen: [ids(half), ids(half)],
    rejected: [ids(half), ids(half)],
  };
}
