/**
 * One contender in a process of its own: how long its package takes to import, how long its first
 * training step takes, and how much memory it takes. Prints one line of JSON.
 *
 * Usage: node probe.js CONTENDER
 */

import { goldenCheck } from "./cases/gpt.js";
import { CONTENDERS } from "./runner/contenders.js";
import { median } from "./runner/measure.js";
import type { Probe } from "./runner/processes.js";
import { golden, standardGpt } from "./workloads/gpt.js";

const STEPS = 10;
/** Steps in which the device's memory is looked at: garbage comes and goes. */
const LOOKS = 5;

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

const steps: number[] = [];
for (let step = 1; step < STEPS; step++) {
  const start = performance.now();
  losses.push((await task!.run()) as number);
  steps.push(performance.now() - start);
}
const { chosenLogps, rejectedLogps } = golden().results["gpt-dpo"];
goldenCheck({ ...problem, reported: STEPS })({ losses, logps: [...chosenLogps, ...rejectedLogps] });

// In kilobytes; on Linux no less than the peak of the process that started this one, which is smaller.
const peakBytes = (await peer.peakMemory?.()) ?? 1024 * process.resourceUsage().maxRSS;
// In steps of their own: looking takes time.
let deviceBytes: number | null = null;
for (let step = 0; peer.deviceBytes && step < LOOKS; step++) {
  deviceBytes = Math.max(deviceBytes ?? 0, await peer.deviceBytes(task!.run));
}
const probe: Probe = { importMs, firstStepMs, stepMs: median(steps), peakBytes, deviceBytes };
console.log(JSON.stringify(probe));
await task!.close?.();
await peer.close?.();
