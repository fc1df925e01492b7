/**
 * Searches for a system prompt on the problem of the guide to prompts, whose model, judge and writer follow a script: a
 * figure of the best path's rewards, round by round. The program is the guide's own, with other seeds.
 * `node --import tsx bench/demo/prompts.ts --figure docs/images/drpo.svg`
 * @module
 */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { modulesIn, printed } from "../../test/docs/codeBlocks.js";
import { roundsFigure } from "./roundsFigure.js";

const ROUNDS = 5;
const SEEDS = 100;
/** Seeds of which a dot is the mean; each search has few rewards to come to, and one dot would hide another. */
const GROUP = 10;
/** How many prompts are kept, and how many are written for each. */
const WIDTHS = [
  { beam: 1, rewrites: 1 },
  { beam: 1, rewrites: 3 },
  { beam: 2, rewrites: 3 },
] as const;

const { figure } = new Command("prompts")
  .description(
    "Measures searches for a prompt, whose model and judge follow a script, and draws them.",
  )
  .requiredOption("--figure <file>", "where the figure goes")
  .parse()
  .opts<{ figure: string }>();

const [setting] = modulesIn("docs/drpo.md")[0]!.code.split("const found");
const loop = `
  for (const width of ${JSON.stringify(WIDTHS)}) {
    const groups = [];
    for (let from = 0; from < ${SEEDS}; from += ${GROUP}) {
      const sums = Array.from({ length: ${ROUNDS + 1} }, () => 0);
      for (let seed = from; seed < from + ${GROUP}; seed++) {
        const options = { model, judge, queries, examples: 0, depth: ${ROUNDS}, seed, ...width };
        const { path } = await optimizePrompt(options);
        path.forEach(({ reward }, round) => (sums[round]! += reward));
      }
      groups.push(sums.map((sum) => sum / ${GROUP}));
    }
    console.log(JSON.stringify(groups));
  }`;
const folder = await mkdtemp(join(tmpdir(), "prefgrad-prompts-"));
try {
  const lines = await printed(setting + loop, folder);
  const variants = WIDTHS.map(({ beam, rewrites }, i) => ({
    name: `beam ${beam}, rewrites ${rewrites}`,
    seeds: JSON.parse(lines[i]!) as number[][],
  }));
  const labels = {
    title: "A search for a prompt",
    note: `the scripted judge's reward, ${SEEDS} seeds`,
    headings: Array.from({ length: ROUNDS + 1 }, (_, i) => (i === 0 ? "start" : `round ${i}`)),
  };
  await writeFile(figure, roundsFigure(labels, variants));
} finally {
  await rm(folder, { recursive: true });
}
