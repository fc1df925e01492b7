/**
 * What a run shows, in sentences: computed from the figures, whichever way they went.
 * @module
 */

import { percent, phaseTitle, written } from "./columns.js";
import type { Figures } from "./evaluate.js";
import { phasesOf, type Settings } from "./settings.js";

/** The sentences on a finished run; none while a phase has no figures. */
export function verdict(
  settings: Pick<Settings, "base">,
  figures: ReadonlyMap<string, Figures>,
): string[] {
  const [sft, chosen, base, spo] = phasesOf(settings).map((phase): Contestant | null => {
    const own = figures.get(phase);
    return own ? { name: phaseTitle(phase), figures: own } : null;
  });
  if (!(sft && chosen && base && spo)) return [];
  return [...accuracies(sft, chosen, base, spo), ...probabilities(sft, base, spo)];
}

interface Contestant {
  readonly name: string;
  readonly figures: Figures;
}

function accuracies(
  sft: Contestant,
  chosen: Contestant,
  base: Contestant,
  spo: Contestant,
): string[] {
  const greedy = ({ figures }: Contestant): number => figures.greedyAccuracy!;
  const sampled = ({ figures }: Contestant): number => figures.sampledAccuracy!;
  if (sft.figures.greedyAccuracy === null) return [];
  return [
    `${base.name} answers ${percent(greedy(base))} of the held-out problems right, ` +
      `${comparison(greedy(base), greedy(sft))} the ${percent(greedy(sft))} of the ${sft.name} model it started from; ` +
      `${spo.name} answers ${percent(greedy(spo))}, ${comparison(greedy(spo), greedy(sft))} that model.`,
    `When answers are sampled, ${spo.name} is right in ${percent(sampled(spo))}, ` +
      `${comparison(sampled(spo), sampled(chosen))} ${chosen.name} with ${percent(sampled(chosen))} ` +
      `and ${comparison(sampled(spo), sampled(base))} ${base.name} with ${percent(sampled(base))}.`,
  ];
}

/** `more than`, `less than`, or `as much as` where the whole percents are equal. */
function comparison(one: number, other: number): string {
  if (percent(one) === percent(other)) return "as much as";
  return one > other ? "more than" : "less than";
}

function probabilities(sft: Contestant, base: Contestant, spo: Contestant): string[] {
  const change = ({ figures }: Contestant): string => {
    const by = figures.chosenPerToken - sft.figures.chosenPerToken;
    return `${by < 0 ? "lose" : "gain"} ${Math.abs(by).toFixed(2)} nats`;
  };
  const margin = ({ figures }: Contestant): string => {
    const by = written((figures.margin - sft.figures.margin).toFixed(1));
    return by.startsWith("−") ? by : `+${by}`;
  };
  return [
    `Under ${base.name} the chosen responses ${change(base)} of log-probability per token, ` +
      `under ${spo.name} they ${change(spo)}; ` +
      `the margin over the rejected ones changes by ${margin(base)} and ${margin(spo)} nats.`,
  ];
}
