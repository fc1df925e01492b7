/**
 * What a run shows, in sentences, whichever way it went.
 * @module
 */

import { number } from "../../dynamics/chart.js";
import type { RunRecord } from "../runFiles.js";
import { isHeldOut, type Series, seriesOf } from "./figures.js";

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** The sentences on a run. */
export function verdict({ rows, done, settings }: RunRecord): readonly string[] {
  const all = new Map(seriesOf(rows).map((series) => [series.name, series]));
  const told = all.get("loss");
  const onHeldOut = told !== undefined && isHeldOut(told);
  const where = onHeldOut ? "held-out" : "training";
  const of = (name: string): Ends | null => {
    const own = all.get(name);
    return own ? endsOf(onHeldOut ? own.heldOut : own.training) : null;
  };
  const sentences = done ? [] : ["The run was not finished: --resume goes on with it."];
  const loss = of("loss");
  if (!loss) return [...sentences, "Nothing was logged."];
  const [chosen, rejected, accuracy, margin] = [
    of("logps/chosen"),
    of("logps/rejected"),
    of("rewards/accuracies"),
    of("rewards/margins"),
  ];
  if (accuracy && margin) {
    sentences.push(
      `${percent(accuracy.last)} of the ${where} pairs are told apart the right way, with a mean margin of ` +
        `${number(margin.last)}.`,
    );
  }
  if (chosen && rejected) sentences.push(probabilities(chosen, rejected, settings.spo !== false));
  const left = of("left_both");
  if (left && left.last > 0.5) {
    sentences.push(
      `${percent(left.last)} of the probability that the pairs had went to neither of their completions.`,
    );
  }
  if (!margin) sentences.push(`The ${where} loss ${moved(loss)} nats per token.`);
  const { least, at } = loss;
  if (onHeldOut && least < loss.last - 1e-3 * Math.abs(loss.last)) {
    sentences.push(
      `The held-out loss was lowest ${at === 0 ? "before training" : `at step ${at}`}, ${number(least)}, and is ` +
        `${number(loss.last)} at the end${at === 0 ? "." : `: checkpoint-${at} is the best model.`}`,
    );
  }
  return sentences;
}

interface Ends {
  readonly first: number;
  readonly last: number;
  readonly least: number;
  /** The step of the least. */
  readonly at: number;
}

function endsOf({ steps, values }: Series): Ends | null {
  if (values.length === 0) return null;
  const least = values.reduce((low, value) => Math.min(low, value), Number.POSITIVE_INFINITY);
  return { first: values[0]!, last: values.at(-1)!, least, at: steps[values.indexOf(least)]! };
}

/** How a metric moved: by how much, where its ends are equal in the digits that are shown. */
function moved({ first, last }: Pick<Ends, "first" | "last">): string {
  if (last === first) return `stayed at ${number(last)}`;
  const [change, from, to] = [last < first ? "fell" : "rose", number(first), number(last)];
  if (from !== to) return `${change} from ${from} to ${to}`;
  return `${change} by ${number(Math.abs(last - first))} to ${to}`;
}

function probabilities(chosen: Ends, rejected: Ends, isStable: boolean): string {
  const both = chosen.last < chosen.first && rejected.last < rejected.first;
  const advice = isStable
    ? ""
    : "; stable preference optimization (--spo) holds on to the chosen ones";
  return (
    `The log-probability of chosen completions ${moved(chosen)}, that of rejected ones ${moved(rejected)}` +
    `${both ? `: both became less likely${advice}` : ""}.`
  );
}
