/**
 * The benchmarks' command line: chooses cases and contenders, runs them, reports.
 */

import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { ALL_CASES } from "./cases/index.js";
import { gpuCommand } from "./gpu/command.js";
import { modelsCommand } from "./models/command.js";
import { chosenCases, chosenContenders, contains } from "./runner/choose.js";
import { BASELINE, CONTENDERS } from "./runner/contenders.js";
import { machine } from "./runner/machine.js";
import { FULL, QUICK } from "./runner/measure.js";
import { probeAll } from "./runner/processes.js";
import {
  caseText,
  curvesText,
  isBroken,
  markdown,
  processText,
  type Report,
  startedText,
} from "./runner/report.js";
import { type CaseReport, runCase, start } from "./runner/run.js";

interface Options {
  readonly filter: string;
  readonly peers?: string;
  readonly quick?: boolean;
  readonly list?: boolean;
  readonly json?: string;
  readonly markdown?: string;
}

await new Command("npm run bench --")
  .description("Times prefgrad and its peers on the same problems, after checking their numbers.")
  .option(
    "-f, --filter <text>",
    "only cases whose family or name contains the text; also: processes",
    "",
  )
  .option("-p, --peers <text>", "only contenders whose name contains one of these words, by commas")
  .option("-q, --quick", "fewer cases, fewer and shorter samples")
  .option("-l, --list", "list cases and contenders")
  .option("--json <file>", "write everything measured, samples included")
  .option("--markdown <file>", "write tables")
  .enablePositionalOptions()
  .addCommand(gpuCommand())
  .addCommand(modelsCommand())
  .action(run)
  .parseAsync();

async function run(options: Options): Promise<void> {
  const { filter, quick = false } = options;
  const cases = chosenCases(ALL_CASES, { filter, quick });
  const contenders = chosenContenders(CONTENDERS, options.peers?.split(",") ?? [], BASELINE).filter(
    ({ curve }) => !curve || cases.some((one) => one.curve === curve),
  );
  const probed = contains("processes", filter);
  if (options.list) {
    for (const { family, name } of cases) console.log(`${family}: ${name}`);
    if (probed) console.log("processes: import time, first step, memory");
    for (const { name } of contenders) console.log(`contender: ${name}`);
    return;
  }

  const here = machine();
  const { cpu, cores, node, load } = here;
  console.log(`${cpu}, ${cores} cores, Node ${node}, load ${load.toFixed(1)}\n`);
  if (load > 0.5) console.log("Others are at work on this machine: trust ratios, not times.\n");
  const effort = quick ? QUICK : FULL;

  // Processes first, while this one is small and quiet.
  const names = contenders
    .filter(({ name, curve }) => !curve && /prefgrad|jax|tfjs|PyTorch/.test(name))
    .map(({ name }) => name);
  const processes = probed ? await probeAll(names, quick ? 1 : 5) : [];
  if (probed) console.log(`${processText(processes)}\n`);

  const started = cases.length > 0 ? await start(contenders) : [];
  if (cases.length > 0) console.log(`${startedText(started)}\n`);
  const reports: CaseReport[] = [];
  const all: Report = { machine: here, started, cases: reports, processes };
  // After every case: what ends a long run does not take its results along.
  const save = (): void => {
    if (options.json) writeFileSync(options.json, `${JSON.stringify(all, null, 1)}\n`);
    if (options.markdown) writeFileSync(options.markdown, markdown(all));
  };
  save();
  for (const benchmark of cases) {
    const report = await runCase(benchmark, started, { effort, baseline: BASELINE });
    reports.push(report);
    save();
    console.log(caseText(report));
  }
  const curves = curvesText(reports);
  if (curves) console.log(curves);
  for (const one of started) if ("peer" in one) await one.peer.close?.();
  if (isBroken(all)) process.exitCode = 1;
}
