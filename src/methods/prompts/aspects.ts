/**
 * What answers are judged by.
 * @module
 */

/** Aspects by their names, each with what it asks. */
export type Aspects = Readonly<Record<string, string>>;

/**
 * Fourteen aspects of an answer, of which a judge chooses those that matter for a query (DRPO, arXiv 2411.08733; the
 * paper's text was not at hand: their number is the paper's, names and words are this library's).
 */
export const REWARD_ASPECTS: Aspects = {
  helpfulness: "Does it do what the query asks for, so that the asker gets further?",
  relevance: "Does it stay with the query, without what nobody asked for?",
  correctness: "Is what it states true, and does one thing follow from the other?",
  completeness: "Does it answer every part of the query?",
  depth: "Does it go into reasons and details where they are wanted?",
  clarity: "Can the asker understand it at once?",
  conciseness: "Is it as short as it can be?",
  structure: "Are its parts in a good order, and easy to find?",
  instructions: "Does it keep to the form, the length and the language that were asked for?",
  creativity: "Does it have ideas of its own where they are wanted?",
  engagement: "Does it hold the asker's attention, in a fitting tone?",
  empathy: "Does it see how the asker feels, and respond to it?",
  safety: "Does it keep from helping anybody to do harm, and from harming the asker?",
  honesty: "Does it say what it cannot know or do, and claim nothing else?",
};
