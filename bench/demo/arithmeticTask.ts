/**
 * The generated additions as a task.
 * @module
 */

import { arithmeticProblems, arithmeticTokenizer } from "./arithmetic.js";
import { InputError } from "./inputError.js";
import { lengthOf, pairSequences, type TokenPair, tokenize } from "./pairs.js";
import type { Settings } from "./settings.js";
import type { Task } from "./task.js";

/** Positions of the model for the generated task. */
const ARITHMETIC_CONTEXT = 24;

/**
 * The additions of the settings.
 * @throws InputError for a context they do not fit.
 */
export function arithmeticTask(settings: Settings): Task {
  const { seed, heldOutPairs, trainingPairs } = settings;
  const tokenizer = arithmeticTokenizer;
  const problems = arithmeticProblems(seed, { heldOut: heldOutPairs, pairs: trainingPairs });
  const [supervised, training, heldOut] = [
    problems.supervised,
    problems.pairs,
    problems.heldOut,
  ].map((pairs) => pairs.map((pair) => tokenize(pair, tokenizer))) as [
    TokenPair[],
    TokenPair[],
    TokenPair[],
  ];
  const length = Math.max(...[...supervised, ...heldOut].map(lengthOf));
  const context = settings.context ?? ARITHMETIC_CONTEXT;
  if (length > context) {
    throw new InputError(`--context ${context}: the generated problems take ${length} tokens`);
  }
  const padded = (pairs: TokenPair[]) => pairSequences(pairs, length, tokenizer.padding);
  return {
    tokenizer,
    context,
    supervised: padded(supervised).chosen,
    training: padded(training),
    heldOut: padded(heldOut),
    exam: {
      prompts: heldOut.map(({ prompt }) => prompt),
      answers: heldOut.map(({ chosen }) => chosen),
    },
    description: [
      `two-digit addition, seed ${seed}: ${supervised.length} problems to learn from, ` +
        `${training.length} preference pairs, ${heldOut.length} problems held out`,
    ],
  };
}
