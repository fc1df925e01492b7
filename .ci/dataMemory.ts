/**
 * How much memory reading a dataset takes: JSON lines of 2 GB, or as many MB as the argument says, are checked, and
 * made rows of a cache with a tokenizer that takes no time, in processes of their own, from `dist/`. Fails if the peak of
 * one, less an empty one's, is more than 200 MB and 16 bytes a row.
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { megabytes, peak } from "./peakMemory.js";

const size = Number(process.argv[2] ?? 2000) * 1e6;
const MOST = 200e6;
const A_ROW = 16;

const folder = mkdtempSync(join(tmpdir(), "prefgrad-memory-"));
const path = join(folder, "pairs.jsonl");
const library = fileURLToPath(new URL("../dist/data.js", import.meta.url));

/** Writes pairs of some 500 characters behind a first line, and says how many. */
async function writePairs(first: string): Promise<number> {
  const file = await open(path, "w");
  await file.writeFile(`${first}\n`);
  let rows = 0;
  for (let written = 0; written < size; ) {
    const lines = Array.from({ length: 2000 }, () => {
      const words = `${rows++} ${"a word ".repeat(rows % 40)}`;
      return JSON.stringify({ prompt: `${words}?`, chosen: `${words}yes`, rejected: `${words}no` });
    });
    const text = `${lines.join("\n")}\n`;
    written += Buffer.byteLength(text);
    await file.writeFile(text);
  }
  await file.close();
  return rows;
}

const reading = (options: string, behind: string) => `
  import { readPreferences } from ${JSON.stringify(library)};
  const tokenizer = {
    bosTokenId: null, eosTokenId: 0, eosToken: "<e>", chatTemplates: new Map(),
    encode: (text) => [text.length, text.length % 7, text.endsWith("<e>") ? 0 : 1],
    applyChatTemplate: () => [],
    fingerprint: async () => "none",
  };
  await readPreferences(${JSON.stringify(path)}, tokenizer, ${options})${behind};`;

let failed = false;
try {
  const empty = peak("");
  const measure = async (what: string, first: string, program: string) => {
    const rows = await writePairs(first);
    const begun = performance.now();
    const used = peak(program) - empty;
    const most = MOST + A_ROW * rows;
    failed ||= used > most;
    console.log(
      `${what}: ${megabytes(used)} of ${megabytes(most)}, ${rows} rows in ${((performance.now() - begun) / 1000).toFixed(0)} s`,
    );
  };
  // Behind a problem, rows are only checked.
  const caught =
    ".then(() => process.exit(1), ({ problems }) => process.exitCode = Number(problems.some(({ row }) => row > 0)))";
  await measure(`${megabytes(size)} checked`, "{}", reading("{}", caught));
  const cache = JSON.stringify({ cache: join(folder, "cache") });
  await measure(`${megabytes(size)} into a cache`, "", reading(cache, ""));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (failed) {
  console.error("reading takes more than 200 MB and 16 bytes a row");
  process.exit(1);
}
