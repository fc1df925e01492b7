/**
 * Different optimizers for different parameters.
 * @module
 */

import { checkChoice, checkFunction, describeValue } from "../checks.js";
import type { Tensor } from "../tensor/tensor.js";
import { treeFromNamed, treeNamed } from "../tensor/tree.js";
import { checkOptimizerState, type NoState, type Optimizer } from "./optimizer.js";

/** An optimizer for parameters that stay as they are. Their gradients are not computed. */
export const frozen: Optimizer<NoState> = {
  init: () => ({}),
  update: (_, state, parameters) => [parameters, state],
};

/** The state of each group's optimizer. */
export type GroupStates<Groups extends Readonly<Record<string, Optimizer>>> = {
  readonly [Name in keyof Groups]: ReturnType<Groups[Name]["init"]>;
};

/**
 * An optimizer that gives each parameter to the optimizer of its group, for instance those that decay and
 * those that do not. A group's optimizer sees its parameters as one flat tree with their names in the whole
 * ({@link treeNamed}) as keys, so a norm that clips is the group's own; clipping by the norm of all comes
 * before the groups, in a {@link chain}.
 *
 * @param groups Optimizers by the groups' names; {@link frozen} leaves its parameters as they are.
 * @param groupOf The group of a parameter, from its name (`blocks.0.norm1.weight`) and the parameter: its
 * shape and dtype, not its elements, which change.
 * @throws if `groups` has no optimizers; when used, if `groupOf` gives no group's name, or a group has no
 * parameters.
 * @example
 * const optimizer = parameterGroups(
 *   {
 *     decayed: adamw({ learningRate: 1e-3, weightDecay: 0.1 }),
 *     others: adamw({ learningRate: 1e-3, weightDecay: 0 }),
 *     frozen,
 *   },
 *   (name, { rank }) => (name.startsWith("tokenEmbedding") ? "frozen" : rank > 1 ? "decayed" : "others"),
 * );
 */
export function parameterGroups<const Groups extends Readonly<Record<string, Optimizer>>>(
  groups: Groups,
  groupOf: (name: string, parameter: Tensor) => keyof Groups & string,
): Optimizer<GroupStates<Groups>> {
  const optimizers = Object.entries(groups);
  const names = optimizers.map(([group]) => group);
  for (const [group, optimizer] of optimizers) checkOptimizer(group, optimizer);
  if (names.length === 0) throw new TypeError("parameterGroups: there are no groups");
  checkFunction("parameterGroups: groupOf", groupOf);

  /** The names of each group's parameters. */
  const membersOf = (parameters: NamedTensors): Map<string, string[]> => {
    const members = new Map<string, string[]>(names.map((group) => [group, []]));
    for (const [name, parameter] of Object.entries(parameters)) {
      const group: string = groupOf(name, parameter);
      checkChoice("parameterGroups", `groupOf("${name}")`, group, names);
      members.get(group)!.push(name);
    }
    for (const [group, own] of members) {
      if (own.length > 0) continue;
      throw new RangeError(
        `parameterGroups: the group ${group} has no parameters; leave it out, or compare groupOf with ` +
          "the names of treeNamed(parameters)",
      );
    }
    return members;
  };

  return {
    init: (parameters) => {
      const all = treeNamed(parameters);
      const members = membersOf(all);
      const states = optimizers.map(([group, { init }]) => [
        group,
        init(picked(all, members.get(group)!)),
      ]);
      return Object.fromEntries(states) as GroupStates<Groups>;
    },
    update: (gradients, state, parameters) => {
      checkOptimizerState("parameterGroups", state, names);
      const all = treeNamed(parameters);
      const slopes = treeNamed(gradients);
      const next: Record<string, Tensor> = {};
      const states: Record<string, unknown> = {};
      for (const [group, members] of membersOf(all)) {
        const [own, ownSlopes] = [picked(all, members), picked(slopes, members)];
        const [updated, after] = groups[group]!.update(ownSlopes, state[group], own);
        Object.assign(next, updated);
        states[group] = after;
      }
      return [treeFromNamed(next, parameters), states as GroupStates<Groups>];
    },
  };
}

type NamedTensors = Readonly<Record<string, Tensor>>;

function picked(named: NamedTensors, names: readonly string[]): NamedTensors {
  return Object.fromEntries(names.map((name) => [name, named[name]!]));
}

function checkOptimizer(group: string, optimizer: Optimizer): void {
  if (typeof optimizer?.update === "function" && typeof optimizer.init === "function") return;
  throw new TypeError(
    `parameterGroups: the group ${group} must be an optimizer such as adamw({ learningRate }), ` +
      `got ${describeValue(optimizer)}`,
  );
}
