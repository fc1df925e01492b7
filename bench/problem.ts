/**
 * The problems that peers are asked to solve, and what a solution is. A problem is plain numbers, so
 * that every peer, in whatever language, starts from the same ones.
 */

/** `op(A)·op(B)` for each of a batch, op transposing what is stored transposed. */
export interface MatmulProblem {
  readonly batch: number;
  readonly m: number;
  readonly k: number;
  readonly n: number;
  /** A is stored as [batch, k, m]. */
  readonly transposeA: boolean;
  /** B is stored as [batch, n, k]. */
  readonly transposeB: boolean;
  readonly a: Float32Array;
  readonly b: Float32Array;
}

/**
 * One function of every element. `polynomial` is ((x·a + b)·x + c)·x + d with {@link POLYNOMIAL}'s
 * coefficients; `gelu` the tanh form.
 */
export interface ElementwiseProblem {
  readonly function: "polynomial" | "exp" | "log" | "tanh" | "gelu";
  readonly x: Float32Array;
}

export const POLYNOMIAL = [0.25, -0.5, 1.5, 0.125] as const;

/**
 * A function of every row of x [rows, width], or the gradient of `Σ f(x)·cotangent`.
 *
 * - `softmax`, `gelu`: [rows, width]; the gradient is that of x.
 * - `layerNorm`: with weight and bias [width], ε = 1e-5; the gradients are those of x, weight, bias.
 * - `tokenLogProbs`: `logSoftmax(x)[i, ids[i]]`, [rows]; the gradient is that of x.
 */
export interface RowsProblem {
  readonly function: "softmax" | "layerNorm" | "gelu" | "tokenLogProbs";
  readonly gradient: boolean;
  readonly rows: number;
  readonly width: number;
  readonly x: Float32Array;
  /** [rows, width], or [rows] for `tokenLogProbs`. */
  readonly cotangent: Float32Array;
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  readonly ids: Int32Array;
}

/**
 * Forward pass (to the loss) or step of gradient descent of `x·W + b` layers with an activation
 * between them. Classes: mean softmax cross-entropy of int labels [batch]; values: mean squared error
 * of [batch, outputs].
 */
export interface MlpProblem {
  readonly mode: "forward" | "step";
  readonly sizes: readonly number[];
  readonly batch: number;
  readonly activation: "relu" | "tanh";
  readonly weights: readonly Float32Array[];
  readonly biases: readonly Float32Array[];
  readonly inputs: Float32Array;
  readonly targets:
    | { readonly kind: "classes"; readonly labels: Int32Array }
    | { readonly kind: "values"; readonly values: Float32Array };
  readonly learningRate: number;
  /** Losses that a solution reports: before the first step, the second, … */
  readonly reported: number;
}

/** Sizes of a GPT-2 with tied head. */
export interface GptSizes {
  readonly vocabulary: number;
  readonly context: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
}

/** A named parameter. */
export interface NamedArray {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/**
 * Forward pass (to the loss) or training step (forward, backward, AdamW) of preference optimization
 * of a GPT. Rows 0 … pairs − 1 are chosen completions, the others the rejected ones.
 */
export interface GptProblem {
  readonly mode: "forward" | "step";
  /** Whether a peer may leave out what the loss does not need, where it has functions for that. */
  readonly skipsWork?: boolean;
  readonly loss: "dpo" | "spo";
  readonly sizes: GptSizes;
  readonly pairs: number;
  /** Positions of a row. */
  readonly length: number;
  readonly parameters: readonly NamedArray[];
  /** [2·pairs, length] each. */
  readonly tokens: Int32Array;
  readonly mask: Float32Array;
  /** [pairs] each. */
  readonly referenceChosen: Float32Array;
  readonly referenceRejected: Float32Array;
  readonly chosenLengths: Float32Array;
  /** Losses that a solution reports: before the first step, the second, … */
  readonly reported: number;
}

/** Constants of the GPT problem's AdamW. */
export const ADAMW = {
  learningRate: 1e-3,
  weightDecay: 0.01,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
} as const;

/** The problems by kind. */
export interface Problems {
  readonly matmul: MatmulProblem;
  readonly elementwise: ElementwiseProblem;
  readonly rows: RowsProblem;
  readonly mlp: MlpProblem;
  readonly gpt: GptProblem;
}

export type Kind = keyof Problems;

/**
 * What a peer computed, by name: `values` for a single array; `x`, `weight`, `bias` for gradients;
 * `losses`; `logps` [2·pairs]; `grad:NAME` for the gradient of a GPT's parameter, from peers that give
 * it.
 */
export type Results = Readonly<Record<string, ArrayLike<number>>>;

/** What a run gives: the loss, where there is one. */
// biome-ignore lint/suspicious/noConfusingVoidType: functions without a result are runs too.
export type Run = number | void;

/** A problem set up by a peer: its arrays are where the peer wants them. */
export interface Task {
  /**
   * What is timed: one solution, computed when the promise resolves. Training goes on from run to run;
   * its runs, and those of forward passes, give the loss.
   */
  run(): Run | Promise<Run>;
  /** Runs may start before those before them are done; a sample ends when all are. */
  readonly overlaps?: boolean;
  /** Work per run, where it is not the case's. */
  readonly work?: number;
  /** Starts a run on a device of its own and does not wait for it: what it costs the processor. */
  issue?(): Promise<void>;
  /** Milliseconds of some runs, for peers in processes of their own. */
  time?(runs: number): Promise<number>;
  /** The numbers to check, asked for once, before any run; absent where the machine is measured, not a solution. */
  results?(): Promise<Results>;
  /** Gives memory back. */
  close?(): void | Promise<void>;
}

/** A library that solves some of the problems. */
export interface Peer {
  readonly version: string;
  /** Called before the peer's turns. */
  enter?(): Promise<void>;
  /** Sets up tasks; null for a problem of the kind that it does not take. */
  readonly solve: {
    readonly [K in Kind]?: (problem: Problems[K]) => Task | null | Promise<Task | null>;
  };
  /** Most bytes held on the peer's device in a run, where it tells. */
  deviceBytes?(run: Task["run"]): Promise<number>;
  /** Peak resident memory in bytes, of peers in processes of their own. */
  peakMemory?(): Promise<number | null>;
  close?(): void | Promise<void>;
}
