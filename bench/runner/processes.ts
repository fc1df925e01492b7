/**
 * What only a fresh process shows: import time, the first training step, peak memory. The processes of
 * the contenders take turns.
 */

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { bench } from "./paths.js";

/** What a probe process prints. */
export interface Probe {
  /** Milliseconds to import the package; null for other languages. */
  readonly importMs: number | null;
  /** Milliseconds of the first step: model set up, parameters uploaded, everything compiled. */
  readonly firstStepMs: number;
  /** Median milliseconds of the nine steps after it. */
  readonly stepMs: number;
  /** Peak resident memory. */
  readonly peakBytes: number;
  /** Most bytes held on the contender's device in a step; null where it does not tell. */
  readonly deviceBytes: number | null;
}

/** A contender's probes. */
export interface ProbeReport {
  readonly contender: string;
  readonly probes: readonly Probe[];
  readonly failure: string | null;
}

/** Probes every contender in some rounds. */
export async function probeAll(names: readonly string[], rounds: number): Promise<ProbeReport[]> {
  const script = fileURLToPath(new URL("dist/probe.js", bench));
  const probes = names.map((): Probe[] => []);
  const failures = names.map((): string | null => null);
  for (let round = 0; round < rounds; round++) {
    for (const [i, name] of names.entries()) {
      if (failures[i] !== null) continue;
      try {
        const options = { timeout: 600_000 };
        const { stdout } = await promisify(execFile)(process.execPath, [script, name], options);
        probes[i]!.push(JSON.parse(stdout.trim().split("\n").at(-1)!));
      } catch (error) {
        const text = String((error as { stderr?: string }).stderr || error);
        failures[i] = text.split("\n").find((line) => line.includes("Error")) ?? text.slice(0, 200);
      }
    }
  }
  return names.map((contender, i) => ({ contender, probes: probes[i]!, failure: failures[i]! }));
}

/** One of the numbers, from every probe that has it. */
export function numbers({ probes }: ProbeReport, key: keyof Probe): number[] {
  return probes.map((probe) => probe[key]).filter((value) => value !== null);
}
