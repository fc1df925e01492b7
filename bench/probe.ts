/**
 * One contender in a process of its own: how long its package takes to import, how long its first
 * training step takes, and how much memory it takes. Prints one line of JSON.
 *
 * Usage: node probe.js CONTENDER
 */

import { readFileSync } from "node:fs";
import { goldenCheck } from "./cases/gpt.js";
import { CONTENDERS } from "./runner/contenders.js";
import { median } from "./runner/measure.js";
import type { Probe } from "./runner/processes.js";
import { golden, standardGpt } from "./workloads/gpt.js";

const STEPS = 10;

/** What users of a package import. */
const PACKAGES: Readonly<Record<string, () => Promise<unknown>>> = {
  prefgrad: () => import("../dist/index.js"),
  "jax-js": () => import("@jax-js/jax"),
  tfjs: async () => {
    await import("@tensorflow/tfjs");
    await import("@tensorflow/tfjs-backend-wasm");
  },
};

const name = process.argv[2]!;
const contender = CONTENDERS.find((one) => one.name === name);
if (!contender) throw new Error(`no contender ${name}`);

const importStart = performance.now();
const load = PACKAGES[name.split(",")[0]!];
await load?.();
const importMs = load ? performance.now() - importStart : null;

const problem = standardGpt("dpo", "step");
const peer = await contender.load();
const firstStart = performance.now();
const task = await peer.solve.gpt!(problem);
const losses = [(await task!.run()) as number];
const firstStepMs = performance.now() - firstStart;

let deviceBytes = 0;
const steps: number[] = [];
for (let step = 1; step < STEPS; step++) {
  const start = performance.now();
  losses.push((await task!.run()) as number);
  steps.push(performance.now() - start);
  deviceBytes = Math.max(deviceBytes, (await peer.deviceBytes?.()) ?? 0);
}
const { chosenLogps, rejectedLogps } = golden().results["gpt-dpo"];
goldenCheck({ ...problem, reported: STEPS })({ losses, logps: [...chosenLogps, ...rejectedLogps] });

const status = readFileSync("/proc/self/status", "utf8");
const own = 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN);
const probe: Probe = {
  importMs,
  firstStepMs,
  stepMs: median(steps),
  peakBytes: (await peer.peakMemory?.()) ?? own,
  deviceBytes: deviceBytes || null,
};
console.log(JSON.stringify(probe));
await task!.close?.();
await peer.close?.();
