/**
 * A run that is killed at random moments, in the middle of writes too, and goes on each time ends with the files of one
 * that never stopped, bit by bit. `CRASHES` says how many times.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, it } from "vitest";
import { randomGenerator } from "../../src/tensor/random.js";

const CRASHES = Number(process.env.CRASHES ?? 5);
/** Before a run may come to its end. */
const CRASHES_OF_A_RUN = 5;
/** Operations on files of a process before it is killed, at most. A run that never stops has some 350. */
const OPERATIONS = 150;

let folder: string;
let program: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-crash-"));
  program = join(folder, "crashing.mjs");
  await build({
    entryPoints: ["test/training/crashing.ts"],
    bundle: true,
    format: "esm",
    platform: "node",
    external: ["webgpu", "gpu.js"],
    outfile: program,
    logLevel: "error",
  });
});
afterAll(() => rm(folder, { recursive: true }));

function started(...args: string[]): ChildProcess {
  return spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
}

/** Whether the process was killed; false if it ended by itself. */
async function killed(child: ChildProcess): Promise<boolean> {
  const [code, signal] = await once(child, "exit");
  if (signal === null) expect(code).toBe(0);
  return signal === "SIGKILL";
}

/** The directory's files, by their names. */
async function filesOf(directory: string): Promise<Record<string, string>> {
  const names = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = names.filter((entry) => entry.isFile()).map((e) => join(e.parentPath, e.name));
  const read = paths.map(async (path) => [
    path.slice(directory.length),
    (await readFile(path)).toString("base64"),
  ]);
  return Object.fromEntries(await Promise.all(read));
}

it(`a run killed ${CRASHES} times ends with the bits of one that never stopped`, async () => {
  const whole = join(folder, "whole");
  const child = started(whole);
  await once(child.stdout!, "data");
  const began = performance.now();
  expect(await killed(child)).toBe(false);
  const duration = performance.now() - began;
  const expected = await filesOf(whole);
  expect(Object.keys(expected).sort()).toEqual(
    expect.arrayContaining(["/metrics.jsonl", "/settings.json", "/trainer_state.json"]),
  );

  const next = randomGenerator(`crashes ${process.env.FUZZ_SEED ?? 1}`);
  let crashes = 0;
  for (let run = 0; crashes < CRASHES; run++) {
    const directory = join(folder, `run-${run}`);
    for (let i = 0; i < CRASHES_OF_A_RUN && crashes < CRASHES; i++) {
      const byOperation = next() < 0.6;
      const moment = next();
      const victim = byOperation
        ? started(directory, String(1 + Math.floor(moment * OPERATIONS)))
        : started(directory);
      if (!byOperation) {
        await once(victim.stdout!, "data");
        setTimeout(() => victim.kill("SIGKILL"), moment * duration);
      }
      if (await killed(victim)) crashes++;
    }
    expect(await killed(started(directory))).toBe(false);
    expect(await filesOf(directory)).toEqual(expected);
    await rm(directory, { recursive: true });
  }
}, 1_200_000);
