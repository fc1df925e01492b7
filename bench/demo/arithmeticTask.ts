/**
 * The generated additions as a task: as imperfect writers answer them, or clean.
 * @module
 */

import { type ArithmeticProblems, arithmeticTokenizer, cleanProblems } from "./arithmetic.js";
import { percent } from "./columns.js";
import { largest } from "./largest.js";
import { lengthOf, type PreferencePair, tokenize, tokenizeExample } from "./pairs.js";
import type { GeneratedTask, Settings } from "./settings.js";
import type { Task } from "./task.js";
import { ERROR_RATE, writtenProblems } from "./writers.js";

/** Positions of the model for the generated tasks. */
const ARITHMETIC_CONTEXT = 24;

/**
 * The additions of the settings.
 * @throws RangeError for a context they do not fit.
 */
export function arithmeticTask(settings: Settings): Task {
  const { task: kind, seed, heldOutPairs, trainingPairs } = settings;
  const tokenizer = arithmeticTokenizer;
  const problemsOf = { writers: writtenProblems, clean: cleanProblems }[kind];
  const problems = problemsOf(seed, { heldOut: heldOutPairs, pairs: trainingPairs });
  const tokens = (pair: PreferencePair, row: number) => tokenize(pair, tokenizer, row);
  const supervised = problems.supervised.map((example) => tokenizeExample(example, tokenizer));
  const training = problems.pairs.map(tokens);
  const heldOut = problems.heldOut.map(tokens);
  const exam = problems.heldOut.map(({ prompt, answer }) =>
    tokenizeExample({ prompt, response: answer }, tokenizer),
  );
  const length = largest([
    ...supervised.map(({ promptIds, responseIds }) => promptIds.length + responseIds.length),
    ...[...training, ...heldOut].map(lengthOf),
  ]);
  const context = settings.context ?? ARITHMETIC_CONTEXT;
  if (length > context) {
    throw new RangeError(`--context ${context}: the generated problems take ${length} tokens`);
  }
  return {
    tokenizer,
    context,
    supervised,
    training,
    heldOut,
    exam,
    samples: problems.heldOut.slice(0, settings.samples).map(({ prompt, answer }) => ({
      prompt,
      right: answer,
    })),
    sampleLength: largest(exam.map(({ responseIds }) => responseIds.length)),
    description: DESCRIPTIONS[kind](problems, seed),
  };
}

type Describe = (problems: ArithmeticProblems, seed: number) => string[];

const DESCRIPTIONS: Readonly<Record<GeneratedTask, Describe>> = {
  writers({ supervised, pairs, heldOut }, seed) {
    const imitated = supervised.filter(({ response, answer }) => response === answer);
    const preferred = pairs.filter(({ chosen, answer }) => chosen === answer);
    const share = (part: readonly unknown[], all: readonly unknown[]): string =>
      percent(part.length / all.length);
    return [
      `two-digit additions, answered by writers who get ${percent(ERROR_RATE)} of the digits wrong; seed ${seed}`,
      `${supervised.length} sums with one written answer each to imitate, ${share(imitated, supervised)} of them right`,
      `${pairs.length} pairs of two written answers, the better one chosen, ${share(preferred, pairs)} of those right; ` +
        `${heldOut.length} sums held out`,
    ];
  },
  clean: ({ supervised, pairs, heldOut }, seed) => [
    `two-digit additions; seed ${seed}`,
    `${supervised.length} sums with the right answer to imitate`,
    `${pairs.length} pairs of the right answer and one with a wrong digit; ${heldOut.length} sums held out`,
  ],
};
