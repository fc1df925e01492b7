/**
 * Optimizers made of links that change the gradients one after the other.
 * @module
 */

import { describeValue } from "../checks.js";
import type { Optimizer } from "./optimizer.js";

/**
 * A link of a {@link chain}. It is what an {@link Optimizer} is, but for what comes out: `transform` makes
 * other gradients of gradients. All that a link remembers is in its state, and what it computes is graph,
 * which can be differentiated.
 *
 * @example
 * // A link of one's own: only the signs of gradients count.
 * const signs: GradientTransform<object> = {
 *   init: () => ({}),
 *   transform: (gradients, state) => [treeMap((g) => g.sign(), gradients), state],
 * };
 */
export interface GradientTransform<State = unknown> {
  /** The state before the first update. */
  init<P>(parameters: P): State;
  /**
   * Changes gradients on their way to the optimizer.
   * @param gradients A tree of the parameters' structure, as the links before have left it.
   * @returns gradients for the next link, of the same structure, and the state of the next update.
   */
  transform<P>(gradients: P, state: State, parameters: P): [gradients: P, state: State];
}

/** The states of links, in their order. */
export type LinkStates<Links extends readonly GradientTransform[]> = {
  -readonly [I in keyof Links]: ReturnType<Links[I]["init"]>;
};

/**
 * An optimizer that passes gradients through links, in order, and steps with an optimizer against what
 * comes out of the last one. Its state is an array, of the links' states and the optimizer's. A chain is an
 * optimizer, so one can end another.
 *
 * `chain(scaleByAdam(), addDecayedWeights(w), sgd({ learningRate }))` makes the steps of
 * `adamw({ learningRate, weightDecay: w })`, up to rounding.
 *
 * @throws if the last argument is no optimizer, or another one no link.
 * @example
 * const optimizer = chain(clipGradients(1), adamw({ learningRate: 1e-3 }));
 */
export function chain<Links extends readonly GradientTransform[], State>(
  ...parts: [...links: Links, optimizer: Optimizer<State>]
): Optimizer<[...LinkStates<Links>, State]> {
  type States = [...LinkStates<Links>, State];
  const links = parts.slice(0, -1) as readonly unknown[] as Links;
  const optimizer = parts[links.length] as Optimizer<State>;
  for (const [i, link] of links.entries()) checkPart(`argument ${i + 1}`, LINK, link);
  checkPart("the last argument", OPTIMIZER, optimizer);
  return {
    init: (parameters) => [
      ...(links.map((link) => link.init(parameters)) as LinkStates<Links>),
      optimizer.init(parameters),
    ],
    update: (gradients, states, parameters) => {
      if (!(Array.isArray(states) && states.length === parts.length)) {
        throw new TypeError(
          "chain: takes (gradients, state, parameters), the state as chain(…).init made it: " +
            `an array of ${parts.length}, got ${describeValue(states)}`,
        );
      }
      let direction = gradients;
      const next: unknown[] = [];
      for (const [i, link] of links.entries()) {
        [direction, next[i]] = link.transform(direction, states[i], parameters);
      }
      const own = states[links.length] as State;
      const [updated, last] = optimizer.update(direction, own, parameters);
      return [updated, [...next, last] as States];
    },
  };
}

/** What a part of a chain is called in errors, and the method that tells it from the other kind. */
const LINK = { method: "transform", name: "a link such as clipGradients(1)" };
const OPTIMIZER = { method: "update", name: "an optimizer such as sgd({ learningRate })" };

function checkPart(place: string, wanted: typeof LINK, part: unknown): void {
  const has = (method: string): boolean =>
    typeof part === "object" && part !== null && typeof Reflect.get(part, method) === "function";
  if (has(wanted.method)) return;
  const found = has(OPTIMIZER.method)
    ? "an optimizer, which comes last"
    : has(LINK.method)
      ? "a link"
      : describeValue(part);
  throw new TypeError(`chain: ${place} must be ${wanted.name}, got ${found}`);
}
