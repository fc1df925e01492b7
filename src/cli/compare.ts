/**
 * `prefgrad compare`: one report over several runs.
 * @module
 */

import { writeFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { figuresOf } from "../training/report/figures.js";
import { runReport } from "../training/report/report.js";
import { readRun } from "../training/runFiles.js";
import { asInput, InputError } from "./input.js";
import type { OptionsOf } from "./options.js";
import { columns } from "./text.js";

/** Writes the report, and the runs' last figures to standard output. */
export async function compare(
  directories: readonly string[],
  { report }: OptionsOf<"compare">,
): Promise<void> {
  if (directories.length < 1) throw new InputError("compare needs directories of runs");
  const short = directories.map((path) => basename(resolve(path)));
  const isClear = new Set(short).size === short.length;
  const runs = await asInput(() =>
    Promise.all(directories.map((path, i) => readRun(path, isClear ? short[i]! : path))),
  );
  const figures = runs.map(({ rows }) => figuresOf(rows));
  const names = [...new Set(figures.flatMap((own) => own.map(({ name }) => name)))];
  const rows = names.map((name) => [
    name,
    ...figures.map((own) => own.find((figure) => figure.name === name)?.last ?? "–"),
  ]);
  await writeFile(report, runReport(runs));
  process.stdout.write(`${columns([["", ...runs.map(({ name }) => name)], ...rows])}\n${report}\n`);
}
