/**
 * `prefgrad check`: what training would see of a dataset, without training.
 * @module
 */

import type { ReadOptions } from "../data/options.js";
import { DataError } from "../data/problems.js";
import type { ReadRows } from "../data/read.js";
import type { DataSummary } from "../data/summary.js";
import { loadTokenizer, type Tokenizer } from "../models/tokenizer.js";
import { asInput } from "./input.js";
import type { OptionsOf } from "./options.js";
import { type AnyRow, readerOf, readOptions } from "./rows.js";
import { hasColours, integer, table } from "./text.js";

/** Writes the first rows, token by token, and what was counted in all. */
export async function check(options: OptionsOf<"check">): Promise<void> {
  const { model, revision, show, limit = show } = options;
  const tokenizer = await asInput(() =>
    loadTokenizer(model, { ...(revision !== undefined && { revision }) }),
  );
  const { isUnpaired, read } = await asInput(() => readerOf(options));
  const reading = readOptions(options);
  const found = await asInput(() => read(tokenizer, reading));
  const { summary } = found;
  const paint = painterOf(tokenizer, hasColours(process.stdout));
  const shown = Math.min(show, limit, summary.read);
  if (shown > 0) {
    // Labels that never vary are an error, which a few rows may make.
    const whole = { ...reading, maxLength: null, ...(!isUnpaired && { limit: shown }) };
    const rows = await firstRows(read, tokenizer, whole, shown);
    const kept = await firstRows(async () => found, tokenizer, whole, shown);
    for (let row = 0; row < shown; row++) {
      process.stdout.write(`${rowText(row, rows, kept, summary, paint)}\n\n`);
    }
  }
  process.stdout.write(`${table(figuresOf(summary))}\n`);
}

/** The rows of the first records. Records that are dropped whatever their length have none. */
async function firstRows(
  read: (tokenizer: Tokenizer, options: ReadOptions) => Promise<ReadRows<AnyRow>>,
  tokenizer: Tokenizer,
  options: ReadOptions,
  count: number,
): Promise<readonly AnyRow[]> {
  try {
    const { rows } = await read(tokenizer, options);
    // Of pairs that are taken apart, the rejected ones follow a thousand chosen ones.
    const most = Math.min(rows.length, 1000 + 2 * count);
    const all = await rows.read(Array.from({ length: most }, (_, i) => i));
    return all.filter(({ row }) => row < count);
  } catch (error) {
    if (error instanceof DataError) return [];
    throw error;
  }
}

/** What becomes of a token in training. */
type Part = "prompt" | "trained" | "cut";

/** A part of a row: its tokens, and what would become of each if none were cut. */
interface Piece {
  readonly name: string;
  readonly ids: readonly number[];
  readonly parts: readonly Part[];
}

/** The pieces of a row, in the order in which the model reads them. */
function piecesOf(row: AnyRow): readonly Piece[] {
  const piece = (name: string, ids: ArrayLike<number>, part: Part): Piece => ({
    name,
    ids: Array.from(ids),
    parts: Array.from(ids, () => part),
  });
  if ("ids" in row) {
    const parts = Array.from(row.trained, (own): Part => (own ? "trained" : "prompt"));
    return [{ name: "text", ids: Array.from(row.ids), parts }];
  }
  const prompt = piece("prompt", row.promptIds, "prompt");
  if ("chosenIds" in row) {
    const chosen = piece("chosen", row.chosenIds, "trained");
    return [prompt, chosen, piece("rejected", row.rejectedIds, "trained")];
  }
  const name = row.desirable ? "desirable" : "undesirable";
  return [prompt, piece(name, row.completionIds, "trained")];
}

/** The parts of a piece of which only `kept` is left. */
function cutParts({ ids, parts }: Piece, kept: readonly number[] | undefined): readonly Part[] {
  if (!kept) return parts.map(() => "cut");
  const cut = ids.length - kept.length;
  const isBeginning = kept.every((id, i) => id === ids[i]);
  // Where the end is left, a BOS may stand in front of it.
  const isEnd = kept.every((id, i) => id === ids[cut + i]);
  const from = isBeginning ? kept.length : isEnd ? 0 : 1;
  return parts.map((part, i) => (i >= from && i < from + cut ? "cut" : part));
}

/** A row's pieces as text. */
function rowText(
  row: number,
  all: readonly AnyRow[],
  kept: readonly AnyRow[],
  { skipped }: DataSummary,
  paint: Painter,
): string {
  const reasons: string[] = [];
  for (const one of skipped) {
    if (one.row > row && !("desirable" in (all[0] ?? {}))) break;
    if (one.row === row) reasons.push(one.reason);
  }
  const left = kept.filter((one) => one.row === row).map(piecesOf);
  const lines = all
    .filter((one) => one.row === row)
    .map(piecesOf)
    .flatMap((pieces) => {
      const names = pieces.map(({ name }) => name).join();
      const own = left.find((others) => others.map(({ name }) => name).join() === names);
      return pieces.map((piece, i) => {
        const tokens = `${piece.name}, ${integer(piece.ids.length)} tokens: `;
        return `  ${tokens}${paint(piece.ids, cutParts(piece, own?.[i]?.ids))}`;
      });
    });
  const dropped = reasons.length === 0 ? "" : `, dropped: ${reasons.join(", ")}`;
  return [`row ${row}${dropped}`, ...lines].join("\n");
}

type Painter = (ids: readonly number[], parts: readonly Part[]) => string;

/** Two colours of each part, in turns, so that tokens are told apart. */
const COLOURS: Readonly<Record<Part, readonly [string, string]>> = {
  prompt: ["90", "37"],
  trained: ["32", "92"],
  cut: ["9;31", "9;91"],
};

/** Shows tokens in colours, or with a bar between them and their part in brackets before them. */
function painterOf(tokenizer: Tokenizer, colours: boolean): Painter {
  const text = (id: number) => tokenizer.decode([id]).replaceAll("\n", "\\n");
  return (ids, parts) =>
    ids
      .map((id, i) => {
        const part = parts[i]!;
        if (colours) return `\x1b[${COLOURS[part][i % 2]}m${text(id)}\x1b[0m`;
        const isFirst = i === 0 || parts[i - 1] !== part;
        return `${isFirst ? `${i > 0 ? " " : ""}[${part}] ` : "|"}${text(id)}`;
      })
      .join("");
}

function figuresOf(found: DataSummary): readonly (readonly [string, string])[] {
  const { truncated, longest } = found;
  const dropped = Object.entries(found.dropped).map(([why, count]) => `${integer(count)} ${why}`);
  const cut = `${integer(truncated.rows)} rows, ${integer(truncated.tokens)} tokens`;
  return [
    ["rows", `${integer(found.read)} read, ${integer(found.kept)} to train on`],
    ["dropped", dropped.join(", ") || "0"],
    ["truncated", `${cut}, ${integer(truncated.ends)} ends of completions`],
    ["tokens", `${integer(found.tokens)}, ${integer(found.trained)} of them trained`],
    ["longest rows", longest.map(({ row, tokens }) => `${row} (${integer(tokens)})`).join(", ")],
    ["conversations", integer(found.conversations)],
    ["empty completions", integer(found.empty)],
    ["identical pairs", integer(found.identical)],
    ["implicit prompts", integer(found.implicit)],
    ["repeated prompts", integer(found.repeated)],
    ["merged at the border", integer(found.merged)],
    ["double BOS", integer(found.doubleBos)],
    ["without EOS", integer(found.noEos)],
  ];
}
