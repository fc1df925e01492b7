/**
 * Sentences of tokenised completions: which one each token begins in, and what a caller says of each.
 * @module
 */

import { checkFunction, checkOptions } from "../checks.js";
import type { Tokenizer } from "../models/tokenizer.js";
import { WrittenText } from "../models/writtenText.js";
import type { PreferenceRow, Rows } from "./rows.js";

/** A similarity of a sentence and the image of its row, on any scale. */
export type SentenceSimilarity = (sentence: string, image: unknown) => number | Promise<number>;

/** Options of {@link withSentences}. */
export interface WithSentencesOptions {
  /** Language of the completions; default `"en"`. */
  readonly locale?: string;
  /**
   * Called once for each sentence of a chosen completion with its image, however often rows are read; default: rows have no
   * similarities. What it gave is kept as long as the rows are; where it failed it is called again.
   */
  readonly similarity?: SentenceSimilarity;
  /** The images of the source, by the number of the row: a column of it. Needs `similarity`. */
  readonly images?: readonly unknown[];
}

/** A pair whose chosen completion is divided into sentences. */
export type WithSentences<R extends PreferenceRow> = R & {
  /** The sentence of each chosen token, from 0. */
  readonly chosenSentences: readonly number[];
  /** Of each sentence and the row's image, if they are asked for. */
  readonly similarities?: readonly number[];
};

/**
 * Rows with the sentences of their chosen completions, as the loss `"aspo"` takes them (arXiv 2505.19100). The text is what
 * the tokens are decoded to, `Intl.Segmenter` divides it, and a token belongs to the sentence that its first character other
 * than white space is in: ` The` to the one that begins there. The parts of a divided character are together. White space
 * alone, and tokens without text such as the last one, belong to the sentence before.
 *
 * @throws for options of the wrong kind; (reading rejects) for a similarity that is no finite number, naming the row.
 * @example
 * const rows = withSentences(pairs.rows, lm.tokenizer, { similarity: (sentence, image) => score(sentence, image), images });
 */
export function withSentences<R extends PreferenceRow>(
  rows: Rows<R>,
  tokenizer: Tokenizer,
  options: WithSentencesOptions = {},
): Rows<WithSentences<R>> {
  checkOptions("withSentences", options, "locale", "similarity", "images");
  const { locale = "en", similarity, images } = options;
  if (similarity !== undefined) checkFunction("withSentences: similarity", similarity);
  if (images !== undefined && similarity === undefined) {
    throw new TypeError("withSentences: images are for similarity, which is not given");
  }
  const segmenter = new Intl.Segmenter(locale, { granularity: "sentence" });
  const similarityOnce = similarity && once(similarity);
  const divided = async (row: R): Promise<WithSentences<R>> => {
    const { text, starts } = textOf(tokenizer, row);
    const all = Array.from(segmenter.segment(text)).filter(({ segment }) => segment.trim() !== "");
    const chosenSentences = starts.map((start) =>
      Math.max(0, all.filter(({ index }) => index <= start).length - 1),
    );
    if (!similarityOnce) return { ...row, chosenSentences };
    const similarities: number[] = [];
    for (const { segment } of all) {
      const found = await similarityOnce(segment.trim(), images?.[row.row]);
      if (!Number.isFinite(found)) {
        throw new RangeError(
          `withSentences: similarity must give a finite number, got ${found} for row ${row.row}, ${JSON.stringify(segment)}`,
        );
      }
      similarities.push(found);
    }
    return { ...row, chosenSentences, similarities };
  };
  return {
    length: rows.length,
    read: async (indices) => Promise.all((await rows.read(indices)).map(divided)),
  };
}

/** A similarity that is asked once for each sentence and image: equal texts, and the same image. */
function once(
  similarity: SentenceSimilarity,
): (sentence: string, image: unknown) => Promise<number> {
  const known = new Map<unknown, Map<string, Promise<number>>>();
  return (sentence, image) => {
    const ofImage = known.get(image) ?? new Map<string, Promise<number>>();
    known.set(image, ofImage);
    const before = ofImage.get(sentence);
    if (before) return before;
    const found = (async () => similarity(sentence, image))();
    ofImage.set(sentence, found);
    found.catch(() => ofImage.delete(sentence));
    return found;
  };
}

/** The text of a chosen completion, and where in it each of its tokens starts. */
function textOf(tokenizer: Tokenizer, { promptIds, chosenIds }: PreferenceRow) {
  const written = new WrittenText(tokenizer, Array.from(promptIds), [], true);
  let text = "";
  const starts = Array.from(chosenIds, (id, i) => {
    const before = text.length;
    const { text: piece } = written.push(id, i === chosenIds.length - 1);
    text += piece;
    const space = piece.length - piece.trimStart().length;
    return before + (space < piece.length ? space : 0);
  });
  return { text, starts };
}
