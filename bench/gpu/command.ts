/**
 * `npm run bench -- gpu`: chooses where to run, runs, reports.
 */

import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { runGpuModels } from "../models/command.js";
import type { ModelName } from "../models/configurations.js";
import { chosenCases } from "../runner/choose.js";
import { machine } from "../runner/machine.js";
import { FULL, QUICK } from "../runner/measure.js";
import { GPU_CASES } from "./cases.js";
import { GPU_CONTENDERS } from "./contenders.js";
import {
  adapterText,
  bestFlopRate,
  contendersText,
  type GpuReport,
  gpuCaseText,
  gpuMarkdown,
  kernelsText,
} from "./report.js";
import {
  type GpuCaseReport,
  runSession,
  type SessionOptions,
  type SessionStart,
} from "./session.js";

interface Options {
  readonly browser?: boolean;
  readonly filter: string;
  readonly peers?: string;
  readonly quick?: boolean;
  readonly list?: boolean;
  readonly kernels?: boolean;
  readonly most: string;
  readonly models?: boolean;
  readonly model: ModelName;
  readonly json?: string;
  readonly markdown?: string;
}

/** The subcommand. */
export function gpuCommand(): Command {
  return new Command("gpu")
    .description("prefgrad, jax-js and plain gpu.js on WebGPU, in Node or in Chromium.")
    .option("-b, --browser", "in Chromium: the environment variable CHROMIUM, or /usr/bin/chromium")
    .option("-f, --filter <text>", "only cases whose family or name contains the text", "")
    .option(
      "-p, --peers <text>",
      "only contenders whose name contains one of these words, by commas",
    )
    .option("-q, --quick", "fewer cases, fewer and shorter samples")
    .option("-l, --list", "list cases and contenders")
    .option("-k, --kernels", "also time every kernel by itself")
    .option("-m, --most <seconds>", "skip cases whose runs would take longer", "5")
    .option("--models", "instead of the cases, a language model's training, decoding and scoring")
    .option("--model <name>", "which: tiny, smol or qwen", "tiny")
    .option("--json <file>", "write everything measured, samples included")
    .option("--markdown <file>", "write tables")
    .action(runGpu);
}

async function runGpu(options: Options): Promise<void> {
  if (options.models) return runGpuModels(options);
  const session: SessionOptions = {
    filter: options.filter,
    peers: options.peers?.split(",") ?? [],
    quick: options.quick ?? false,
    effort: { ...(options.quick ? QUICK : FULL), caseMs: options.quick ? 5000 : 20_000 },
    mostMs: 1000 * Number(options.most),
    kernels: options.kernels ?? false,
  };
  if (options.list) {
    for (const { family, name } of chosenCases(GPU_CASES, session))
      console.log(`${family}: ${name}`);
    for (const { name } of GPU_CONTENDERS) console.log(`contender: ${name}`);
    return;
  }
  const here = machine();
  console.log(`${here.cpu}, ${here.cores} cores, load ${here.load.toFixed(1)}`);
  if (here.load > 0.5) console.log("Others are at work on this machine: trust ratios, not times.");

  let start: SessionStart | undefined;
  const cases: GpuCaseReport[] = [];
  const started = (found: SessionStart): void => {
    start = found;
    console.log(`${adapterText(found.adapter)}\n\n${contendersText(found)}\n`);
  };
  const done = (report: GpuCaseReport): void => {
    cases.push(report);
    console.log(gpuCaseText(report, start!.adapter));
  };
  let where = options.browser ? "Chromium" : `Node ${process.version}`;
  let isBroken = false;
  try {
    if (options.browser) {
      // Loaded only now: the rest runs without a browser.
      const { runInBrowser } = await import("./browser.js");
      where = await runInBrowser(session, started, done);
    } else await runSession(session, started, done);
  } catch (error) {
    console.error((error as Error).message);
    isBroken = true;
  }
  if (!start) process.exit(1);

  const flopRate = bestFlopRate(cases);
  for (const one of cases) {
    if (one.kernels.length > 0) console.log(kernelsText(one, start.adapter, flopRate));
  }
  const report: GpuReport = { machine: here, where, ...start, cases };
  if (options.json) writeFileSync(options.json, `${JSON.stringify(report, null, 1)}\n`);
  if (options.markdown) writeFileSync(options.markdown, gpuMarkdown(report));
  const failed = cases.flatMap(({ failures }) => failures);
  const isFailure = ({ contender, reason }: (typeof failed)[number]): boolean =>
    contender.startsWith("prefgrad") && !reason.startsWith("skipped");
  // Dawn's threads may outlive the work.
  process.exit(isBroken || failed.some(isFailure) ? 1 : 0);
}
