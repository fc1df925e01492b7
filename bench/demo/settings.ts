/**
 * Everything that determines a run's numbers: two runs with equal settings end with equal weights.
 * @module
 */

/** What is generated: additions as imperfect writers answer them, or right answers. */
export type GeneratedTask = "writers" | "clean";

/** Settings a user can name; the values of a run are in {@link Settings}. */
export interface Choices {
  /** The generated task, where there is no file. */
  readonly task: GeneratedTask;
  /** A JSONL file of preference pairs; null: the generated task. */
  readonly data: string | null;
  /** Everything smaller, for a check that the demo works. */
  readonly quick: boolean;
  /** The preference loss, as `lossByName` knows it. */
  readonly base: string;
  /** β of the preference loss; null: the loss's own default. */
  readonly beta: number | null;
  /** Weight of the stable-preference penalty: a number, or by dual ascent. */
  readonly gamma: number | "dual";
  /** v*: the reference's own loss on each pair, or what fine-tuning on the chosen responses reaches. */
  readonly floor: "reference" | "optimum";
  /** Whether the penalty acts outside the safe region only. */
  readonly hinge: boolean;
  /** Width of the safe region, nats per token. */
  readonly epsilon: number;
  readonly seed: number;
  /** Steps of each preference run. */
  readonly steps: number;
  /** Steps of supervised fine-tuning. */
  readonly sftSteps: number;
  /** Of the preference runs. */
  readonly learningRate: number;
  /** Pairs per preference step; supervised steps take twice as many responses. */
  readonly batchSize: number;
  /** Tokens a prompt and a response may take together; null: chosen from the data. */
  readonly context: number | null;
  /** Skip pairs that are longer than the context. */
  readonly dropLong: boolean;
}

/** The settings of a run. */
export interface Settings extends Choices {
  readonly model: { readonly width: number; readonly layers: number; readonly heads: number };
  readonly sftLearningRate: number;
  /** Pairs kept out of all training, at most. */
  readonly heldOutPairs: number;
  /** Pairs to train preferences on, at most. */
  readonly trainingPairs: number;
  /** Held-out prompts whose answers are shown. */
  readonly samples: number;
  /** Steps from one evaluation on held-out pairs to the next. */
  readonly evaluateEvery: number;
  readonly sftEvaluateEvery: number;
  /** Steps from one checkpoint to the next. */
  readonly checkpointEvery: number;
}

const COMMON = {
  base: "dpo",
  beta: null,
  gamma: 1,
  hinge: false,
  epsilon: 0,
  seed: 0,
  context: null,
  dropLong: false,
  learningRate: 5e-4,
  sftLearningRate: 2e-3,
  model: { width: 64, layers: 2, heads: 4 },
  samples: 8,
  checkpointEvery: 50,
};

const WRITERS = {
  steps: 160,
  sftSteps: 500,
  batchSize: 32,
  heldOutPairs: 400,
  trainingPairs: 512,
  evaluateEvery: 20,
  sftEvaluateEvery: 100,
};

const WRITERS_QUICK = {
  steps: 40,
  sftSteps: 300,
  batchSize: 32,
  heldOutPairs: 100,
  trainingPairs: 256,
  evaluateEvery: 10,
  sftEvaluateEvery: 100,
};

const CLEAN = { ...WRITERS, steps: 200, sftSteps: 1000 };

const CLEAN_QUICK = { ...WRITERS_QUICK, sftSteps: 600 };

const FILE = {
  steps: 120,
  sftSteps: 300,
  batchSize: 4,
  heldOutPairs: 64,
  trainingPairs: Number.MAX_SAFE_INTEGER,
  evaluateEvery: 20,
  sftEvaluateEvery: 100,
};

const FILE_QUICK = {
  steps: 10,
  sftSteps: 20,
  batchSize: 4,
  heldOutPairs: 8,
  trainingPairs: 64,
  evaluateEvery: 5,
  sftEvaluateEvery: 10,
};

const SIZES = {
  writers: { full: WRITERS, quick: WRITERS_QUICK },
  clean: { full: CLEAN, quick: CLEAN_QUICK },
  file: { full: FILE, quick: FILE_QUICK },
};

/** The settings for what a user chose, the rest by default. */
export function settingsFor(chosen: Partial<Choices>): Settings {
  const { task = "writers", data = null, quick = false } = chosen;
  const sizes = SIZES[data === null ? task : "file"][quick ? "quick" : "full"];
  const floor = chosen.gamma === "dual" ? "optimum" : "reference";
  return { ...COMMON, ...sizes, floor, ...chosen, task, data, quick };
}

/** Steps of a phase. */
export function stepsOf(settings: Settings, phase: string): number {
  return phase === phasesOf(settings)[0] ? settings.sftSteps : settings.steps;
}

/** Names of a run's phases. */
export type Phases = readonly [sft: string, chosen: string, base: string, spo: string];

/**
 * The run's phases in order: `sft`, and from its model three others with the same pairs: more of the
 * same on the chosen responses, the base loss, the base loss with SPO.
 */
export function phasesOf({ base }: Pick<Settings, "base">): Phases {
  return ["sft", "sft-chosen", base, `${base}+spo`];
}
