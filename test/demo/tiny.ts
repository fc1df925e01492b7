/**
 * Runs of the demo that take a second.
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { type Choices, type Settings, settingsFor } from "../../bench/demo/settings.js";

/** Settings of a run whose model has some 1,300 parameters. */
export function tinySettings(choices: Partial<Choices> = {}): Settings {
  return {
    ...settingsFor({ batchSize: 3, steps: 5, sftSteps: 6, ...choices }),
    model: { width: 8, layers: 1, heads: 2 },
    heldOutPairs: 4,
    trainingPairs: 8,
    evaluateEvery: 2,
    sftEvaluateEvery: 3,
    checkpointEvery: 2,
  };
}

const directories: string[] = [];

afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true });
});

/** A fresh directory, gone after the file's tests. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "prefgrad-demo-"));
  directories.push(directory);
  return directory;
}
