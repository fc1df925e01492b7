/**
 * Which cases and contenders the command line's words choose.
 */

import type { Case } from "./case.js";

/** What chooses cases. */
export interface Choice {
  readonly filter: string;
  readonly quick: boolean;
}

export function contains(text: string, part: string): boolean {
  return text.toLowerCase().includes(part.toLowerCase());
}

/** Cases whose family or name contains the text; short runs have no long ones. */
export function chosenCases(cases: readonly Case[], { filter, quick }: Choice): Case[] {
  return cases.filter(
    ({ family, name, long }) => contains(`${family}: ${name}`, filter) && !(quick && long),
  );
}

/**
 * Contenders whose name contains one of the words; all, if there are none. The baseline is always
 * among them: ratios are relative to it.
 */
export function chosenContenders<T extends { readonly name: string }>(
  contenders: readonly T[],
  words: readonly string[],
  baseline: string,
): T[] {
  return contenders.filter(
    ({ name }) =>
      name === baseline || words.length === 0 || words.some((word) => contains(name, word.trim())),
  );
}
