/**
 * A run in a directory, as a program that can be killed: `node crashing.mjs DIRECTORY [OPERATION]`. It goes on where
 * the one before it was killed. With a number, it kills itself at that operation on files, a write when half of it is done.
 */

import fs, { type FileHandle } from "node:fs/promises";
import { adamw } from "../../src/optim/adamw.js";
import { fit } from "../../src/training/fit.js";
import { openRunDirectory } from "../../src/training/runDirectory.js";
import { rows, start, withStatistics } from "./problem.js";

const [directory, operation] = process.argv.slice(2);
if (operation !== undefined) killAt(Number(operation));

const run = await openRunDirectory(directory!, { resume: true });
process.stdout.write("begun\n");
await fit({
  parameters: start(),
  objective: withStatistics,
  data: rows,
  optimizer: (learningRate) => adamw({ learningRate, weightDecay: 0.1 }),
  learningRate: 0.05,
  batchSize: 4,
  gradientAccumulationSteps: 2,
  epochs: 12,
  logEvery: 2,
  saveEvery: 5,
  evaluation: { data: rows.slice(0, 6), every: 7 },
  from: run.from,
  observer: run,
});

function killAt(last: number): void {
  let done = 0;
  const die = async (): Promise<never> => {
    process.kill(process.pid, "SIGKILL");
    return new Promise(() => {});
  };
  for (const name of ["mkdir", "rename", "rm"] as const) {
    const original = fs[name] as (...args: unknown[]) => Promise<unknown>;
    Object.assign(fs, {
      [name]: async (...args: unknown[]) => {
        if (++done === last) await die();
        return original(...args);
      },
    });
  }
  const open = fs.open;
  Object.assign(fs, {
    async open(...args: Parameters<typeof open>): Promise<FileHandle> {
      const file = await open(...args);
      const write = file.writeFile.bind(file);
      file.writeFile = async (data) => {
        if (++done === last) {
          await write(data.slice(0, data.length / 2));
          await die();
        }
        await write(data);
      };
      return file;
    },
  });
}
