/**
 * What a run leaves in its directory, and what becomes of a directory that already holds one.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import fs, { type FileHandle } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { loadTree } from "../../src/files/tree.js";
import type { Schedule } from "../../src/optim/schedules.js";
import { sgd } from "../../src/optim/sgd.js";
import { tensor } from "../../src/tensor/create.js";
import { treeWeights } from "../../src/training/checkpoints.js";
import {
  type FitOptions,
  fit,
  openRunDirectory,
  type RunDirectory,
} from "../../src/training/index.js";
import { randomOrder, sequentialOrder } from "../../src/training/order.js";
import { memoryDirectory } from "./memoryDirectory.js";
import { numbersOf, type Parameters, type Row, rows, start, withStatistics } from "./problem.js";

let directory: string;
beforeEach(async () => {
  directory = await fs.mkdtemp(join(tmpdir(), "prefgrad-run-"));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await fs.rm(directory, { recursive: true });
});

const options = {
  parameters: start(),
  objective: withStatistics,
  data: rows,
  learningRate: 0.05,
  maxSteps: 10,
  logEvery: 2,
  saveEvery: 3,
} satisfies FitOptions<Parameters, Row>;

/** Trains into the directory, up to a step or to the end. */
async function trained(
  run: RunDirectory,
  { until = 99, ...more }: Partial<FitOptions<Parameters, Row>> & { until?: number } = {},
) {
  const signal = { aborted: false };
  const stop = {
    step: ({ step }: { step: number }) => {
      signal.aborted = step >= until;
    },
  };
  return fit<Parameters, Row>({
    ...options,
    from: run.from,
    observer: [run, stop],
    signal,
    ...more,
  });
}

const path = (name: string): string => join(directory, name);
const textOf = (name: string): Promise<string> => fs.readFile(path(name), "utf8");
const names = async (): Promise<string[]> => (await fs.readdir(directory)).sort();

/** When a process began, where the system tells. */
async function startOf(pid: number): Promise<string | null> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  return stat === null ? null : stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]!;
}

/** All files with their bytes. */
async function files(): Promise<Record<string, string>> {
  const found = await fs.readdir(directory, { recursive: true, withFileTypes: true });
  const paths = found.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name));
  const read = paths.map(async (p) => [p.slice(directory.length), await fs.readFile(p, "base64")]);
  return Object.fromEntries(await Promise.all(read));
}

describe("a run's directory", () => {
  it("has the settings, a line for each row, and the last two checkpoints", async () => {
    const run = await openRunDirectory(directory, { settings: { loss: "squares" } });
    const { parameters } = await trained(run);
    expect(await names()).toEqual([
      "checkpoint-10",
      "checkpoint-9",
      "metrics.jsonl",
      "settings.json",
      "trainer_state.json",
    ]);
    expect(JSON.parse(await textOf("settings.json"))).toEqual({
      format: "prefgrad run 1",
      settings: { loss: "squares" },
      weights: "tree",
      fit: expect.objectContaining({
        rows: 23,
        batchSize: 8,
        steps: 10,
        seed: 42,
        learningRate: 0.05,
      }),
    });
    const lines = (await textOf("metrics.jsonl")).trimEnd().split("\n");
    const log = lines.map((line) => JSON.parse(line) as Record<string, number>);
    expect(log.map((row) => row.step)).toEqual([2, 4, 6, 8, 10]);
    expect(Object.keys(log[0]!)).toEqual([
      "step",
      "epoch",
      "loss",
      "grad_norm",
      "learning_rate",
      "rows_seen",
    ]);
    const saved = await loadTree(path("checkpoint-10/parameters.safetensors"));
    expect(await numbersOf(saved)).toEqual(await numbersOf(parameters));
    const state = JSON.parse(await textOf("checkpoint-9/trainer_state.json"));
    expect(state).toMatchObject({ global_step: 9, max_steps: 10, epoch: 3, train_batch_size: 8 });
    expect(state.log_history).toEqual(log.slice(0, 4));
    expect(JSON.parse(await textOf("trainer_state.json")).log_history).toEqual(log);
  });

  it("keeps the checkpoint of the best evaluation, and has its rows", async () => {
    // The learning rate is so high that the loss rises from the first step on.
    const evaluation = { data: rows.slice(0, 5), every: 2 };
    const run = await openRunDirectory(directory, { keep: 1 });
    await trained(run, { learningRate: 40, evaluation, maxGradNorm: 0 });
    const kept = (await names()).filter((name) => name.startsWith("checkpoint"));
    expect(kept).toEqual(["checkpoint-10", "checkpoint-2"]);
    const state = JSON.parse(await textOf("trainer_state.json"));
    expect(state.best_model_checkpoint).toBe("checkpoint-2");
    const rowsOfEvaluation = (await textOf("metrics.jsonl"))
      .split("\n")
      .filter((l) => l.includes("eval_loss"));
    expect(rowsOfEvaluation.map((line) => JSON.parse(line).step)).toEqual([2, 4, 6, 8, 10]);
    expect(JSON.parse(rowsOfEvaluation[0]!).eval_loss).toBe(state.best_metric);
  });

  it("has the rows of steps that were not applied", async () => {
    const run = await openRunDirectory(directory);
    const data = rows.map((row, i) => (i === 1 ? { ...row, y: Number.NaN } : row));
    await trained(run, { data, order: "sequential", batchSize: 2, maxSteps: 2 });
    const [bad] = (await textOf("metrics.jsonl")).split("\n");
    expect(JSON.parse(bad!)).toMatchObject({ step: 1, loss: null, bad_steps: 1, rows: [0, 1] });
  });

  it("takes parameters as someone else keeps them", async () => {
    const weights = {
      save: async (own: unknown, { weight, layers }: Parameters) => {
        const numbers = await numbersOf({ weight, layers });
        await fs.writeFile(join(own as string, "own.json"), JSON.stringify(numbers));
      },
      load: async (own: unknown): Promise<Parameters> => {
        const [a, b, c, d] = JSON.parse(await fs.readFile(join(own as string, "own.json"), "utf8"));
        return { weight: tensor([a, b, c]), layers: [{ bias: tensor(d) }] };
      },
    };
    await trained(await openRunDirectory(directory, { weights }), { until: 4 });
    expect(await fs.readdir(path("checkpoint-4"))).not.toContain("parameters.safetensors");
    const { parameters } = await trained(
      await openRunDirectory(directory, { weights, resume: true }),
    );
    expect(await numbersOf(parameters)).toEqual(await numbersOf((await fit(options)).parameters));
  });

  it("may be one of a browser's file system", async () => {
    const { handle, entries } = memoryDirectory();
    await trained(await openRunDirectory(handle), { until: 5 });
    expect(Object.keys(entries).sort()).toEqual([
      "checkpoint-3",
      "checkpoint-5",
      "metrics.jsonl",
      "settings.json",
    ]);
    await expect(openRunDirectory(handle)).rejects.toThrow(/the directory holds this run/);
    const { parameters } = await trained(await openRunDirectory(handle, { resume: true }));
    expect(await numbersOf(parameters)).toEqual(await numbersOf((await fit(options)).parameters));
    expect(Object.keys(entries).sort()).toContain("trainer_state.json");
    expect(Object.keys(entries)).not.toContain("checkpoint-3");
    await trained(await openRunDirectory(handle, { overwrite: true }), { until: 1 });
    expect(Object.keys(entries).sort()).toEqual(["checkpoint-1", "metrics.jsonl", "settings.json"]);
  });

  it("is as it was if the options of the run are wrong", async () => {
    await trained(await openRunDirectory(directory));
    const before = await files();
    const run = await openRunDirectory(directory, { overwrite: true });
    await expect(trained(run, { batchSize: 0 })).rejects.toThrow(/batchSize/);
    expect(await files()).toEqual(before);
  });
});

describe("a run that goes on", () => {
  it("ends with the files of one that never stopped, wherever it stopped", async () => {
    await trained(await openRunDirectory(directory));
    const { "/checkpoint-9/state.safetensors": _, ...expected } = await files();
    for (const until of [1, 4, 9]) {
      await fs.rm(directory, { recursive: true });
      await trained(await openRunDirectory(directory), { until });
      const run = await openRunDirectory(directory, { resume: true });
      expect(run.from?.step).toBe(until);
      expect(run.notices).toEqual([]);
      await trained(run);
      expect(await files()).toMatchObject(expected);
    }
  });

  it("begins where there is nothing, and ends at once where all is done", async () => {
    const run = await openRunDirectory(path("new/one"), { resume: true });
    expect(run.from).toBeUndefined();
    await trained(run);
    const again = await openRunDirectory(path("new/one"), { resume: true });
    expect(again.from?.step).toBe(10);
    const before = await files();
    await trained(again);
    expect(await files()).toEqual(before);
  });

  it.each(["trainer_state.json", "state.safetensors", "parameters.safetensors"])(
    "falls back to the checkpoint before one whose %s is cut short, and says so",
    async (name) => {
      await trained(await openRunDirectory(directory));
      const expected = await files();
      const damaged = path(`checkpoint-10/${name}`);
      await fs.truncate(damaged, (await fs.stat(damaged)).size - 20);
      await fs.rm(path("trainer_state.json"));
      const run = await openRunDirectory(directory, { resume: true });
      expect(run.from?.step).toBe(9);
      expect(run.notices).toEqual([
        expect.stringMatching(/checkpoint-10 is not whole: .*cut short/),
        expect.stringMatching(/the run goes on from checkpoint-9$/),
      ]);
      await trained(run);
      expect(await files()).toEqual(expected);
    },
  );

  it("keeps checkpoints that were passed over until another one is whole", async () => {
    await trained(await openRunDirectory(directory));
    const expected = await files();
    for (const step of [9, 10]) await fs.truncate(path(`checkpoint-${step}/state.safetensors`), 9);
    await fs.rm(path("trainer_state.json"));
    const run = await openRunDirectory(directory, { resume: true });
    const seen: string[][] = [];
    const look = { step: async () => void seen.push(await names()) };
    await fit({ ...options, from: run.from, observer: [run, look] });
    expect(seen[2]).toEqual(expect.arrayContaining(["checkpoint-10", "checkpoint-9"]));
    expect(seen[3]).toEqual(["checkpoint-3", "metrics.jsonl", "run.lock", "settings.json"]);
    expect(await files()).toEqual(expected);
  });

  it("is not opened where a checkpoint cannot be read, and loses none", async () => {
    await trained(await openRunDirectory(directory));
    const before = await files();
    const { open } = fs;
    const tooMany = Object.assign(new Error("EMFILE: too many open files, open"), {
      code: "EMFILE",
    });
    for (const name of ["trainer_state.json", "state.safetensors", "parameters.safetensors"]) {
      vi.spyOn(fs, "open").mockImplementation(async (...args) => {
        if (String(args[0]).endsWith(`checkpoint-10/${name}`)) throw tooMany;
        return open(...args);
      });
      await expect(openRunDirectory(directory, { resume: true })).rejects.toThrow(
        /checkpoint-10 cannot be read: EMFILE.*if it is damaged, remove it/,
      );
      vi.restoreAllMocks();
    }
    vi.spyOn(fs, "open").mockImplementation(async (...args) => {
      const file: FileHandle = await open(...args);
      file.read = () => Promise.reject(Object.assign(new Error("EIO: i/o error"), { code: "EIO" }));
      return file;
    });
    await expect(openRunDirectory(directory, { resume: true })).rejects.toThrow(/EIO/);
    vi.restoreAllMocks();
    expect(await files()).toEqual(before);
  });

  it("needs weights of the kind it has, and what reads them to succeed", async () => {
    const { save, load } = treeWeights;
    const own = { kind: "own", save, load };
    await trained(await openRunDirectory(directory, { weights: own }));
    const before = await files();
    await expect(openRunDirectory(directory, { resume: true })).rejects.toThrow(
      /other settings \(weights was "own", now "tree"\)/,
    );
    const failing = { ...own, load: () => Promise.reject(new TypeError("another base")) };
    await expect(openRunDirectory(directory, { resume: true, weights: failing })).rejects.toThrow(
      /checkpoint-10 cannot be read: another base/,
    );
    expect(await files()).toEqual(before);
  });

  it("is not begun anew by a loop that was not given its state", async () => {
    await trained(await openRunDirectory(directory), { until: 4 });
    const before = await files();
    const run = await openRunDirectory(directory, { resume: true });
    await expect(trained(run, { from: undefined })).rejects.toThrow(
      /stands at step 4, but fit begins at step 0; give it `from: run.from`/,
    );
    expect(await files()).toEqual(before);
    const { state } = await trained(run);
    await expect(trained(run)).rejects.toThrow(/a run has begun in .*; open the directory anew/);
    const fresh = await openRunDirectory(path("fresh"));
    await expect(trained(fresh, { from: state })).rejects.toThrow(
      /fresh stands at step 0, but fit begins at step 10/,
    );
  });

  it("removes what a process killed at its last writes has left", async () => {
    await trained(await openRunDirectory(directory));
    const expected = await files();
    await fs.cp(path("checkpoint-9"), path("checkpoint-3"), { recursive: true });
    await fs.mkdir(path("checkpoint-6"));
    await fs.writeFile(path("metrics.jsonl.tmp-1-2"), "{");
    await fs.rm(path("trainer_state.json"));
    await trained(await openRunDirectory(directory, { resume: true }));
    expect(await files()).toEqual(expected);
    expect(await names()).not.toContain("checkpoint-6");
  });

  it("begins anew where no checkpoint is whole, and says so", async () => {
    await trained(await openRunDirectory(directory));
    const expected = await files();
    for (const step of [9, 10]) await fs.rm(path(`checkpoint-${step}/state.safetensors`));
    const run = await openRunDirectory(directory, { resume: true });
    expect(run.from).toBeUndefined();
    expect(run.notices.at(-1)).toMatch(/no checkpoint is whole; the run begins anew/);
    await trained(run);
    expect(await files()).toEqual(expected);
  });
});

describe("a directory has one run at a time", () => {
  it("a second one is refused while the first lives, in this process and in another", async () => {
    const second = await openRunDirectory(directory);
    let isRefused = false;
    const meanwhile = {
      async step() {
        for (const own of [{}, { resume: true }, { overwrite: true }]) {
          await expect(openRunDirectory(directory, own)).rejects.toThrow(
            /a run in .* goes on in this process; wait for its end, stop it, or choose another/,
          );
        }
        await expect(trained(second)).rejects.toThrow(/goes on in this process/);
        isRefused = true;
      },
    };
    const run = await openRunDirectory(directory);
    await fit({ ...options, maxSteps: 1, observer: [run, meanwhile] });
    expect(isRefused).toBe(true);
    expect(await names()).not.toContain("run.lock");
    await expect(trained(second)).rejects.toThrow(/another run was in .* after it was opened/);
    await fs.rm(path("trainer_state.json"));

    const other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"]);
    await once(other, "spawn");
    const lock = async (more: object) => {
      const holder = {
        host: hostname(),
        pid: other.pid,
        start: await startOf(other.pid!),
        ...more,
      };
      await fs.writeFile(path("run.lock"), JSON.stringify(holder));
      return openRunDirectory(directory, { overwrite: true });
    };
    await expect(lock({})).rejects.toThrow(`goes on in process ${other.pid};`);
    // The number is another process's now, or another machine's.
    await lock({ start: "1" });
    await lock({ host: `not ${hostname()}` });
    const taken = lock({});
    await expect(taken).rejects.toThrow("goes on in process");
    other.kill("SIGKILL");
    await once(other, "exit");
    await trained(await openRunDirectory(directory, { overwrite: true }));
    expect(await names()).not.toContain("run.lock");
  });

  it("which gives it back where it fails, and takes it from what a killed process left", async () => {
    const failing = {
      step() {
        throw new Error("on purpose");
      },
    };
    for (const text of [null, "", "{", '{"host":1}']) {
      if (text !== null) await fs.writeFile(path("run.lock"), text);
      const run = await openRunDirectory(directory, { overwrite: true });
      await expect(fit({ ...options, observer: [run, failing] })).rejects.toThrow("on purpose");
      expect(await names()).not.toContain("run.lock");
    }
  });

  it("by a lock of the browser's, in its own file system", async () => {
    const { handle } = memoryDirectory();
    const held = new Map<string, unknown>();
    vi.stubGlobal("navigator", {
      storage: { getDirectory: async () => ({ resolve: async () => ["runs", "a"] }) },
      locks: {
        query: async () => ({ held: [...held.keys()].map((name) => ({ name })) }),
        async request(name: string, _: object, work: (lock: unknown) => Promise<void>) {
          if (held.has(name)) return work(null);
          held.set(name, work);
          await work({ name });
          held.delete(name);
        },
      },
    });
    try {
      const second = await openRunDirectory(handle);
      const run = await openRunDirectory(handle);
      let isRefused = false;
      const meanwhile = {
        async step() {
          await expect(openRunDirectory(handle)).rejects.toThrow(/goes on in this page or another/);
          await expect(trained(second)).rejects.toThrow(/goes on in this page or another/);
          isRefused = true;
        },
      };
      await fit({ ...options, maxSteps: 1, observer: [run, meanwhile] });
      await new Promise((resolve) => setTimeout(resolve));
      expect([isRefused, held.size]).toEqual([true, 0]);
    } finally {
      vi.unstubAllGlobals();
    }
  });
});

describe("a directory that holds a run", () => {
  it("is refused unless it is said what becomes of it", async () => {
    await trained(await openRunDirectory(directory), { until: 4 });
    const before = await files();
    await expect(openRunDirectory(directory)).rejects.toThrow(
      /holds this run, not finished; set resume \(--resume\) to go on with it, overwrite \(--overwrite\) to delete it/,
    );
    expect(await files()).toEqual(before);
    await trained(await openRunDirectory(directory, { resume: true }));
    await expect(openRunDirectory(directory)).rejects.toThrow(
      /holds this run, finished; set resume/,
    );
    await expect(openRunDirectory(directory, { resume: true, overwrite: true })).rejects.toThrow(
      /resume keeps the run that is there, overwrite deletes it/,
    );
  });

  it("is refused for a run with other settings, which are named", async () => {
    const settings = { loss: { name: "dpo", beta: 0.1 }, data: "a.jsonl" };
    await trained(await openRunDirectory(directory, { settings }), { until: 4 });
    const before = await files();
    const other = { loss: { name: "dpo", beta: 0.2 }, seed: 1, data: "a.jsonl" };
    for (const resume of [false, true]) {
      await expect(openRunDirectory(directory, { settings: other, resume })).rejects.toThrow(
        /other settings \(loss.beta was 0.1, now 0.2; seed was not set, now 1\); set overwrite \(--overwrite\) to delete it/,
      );
    }
    const run = await openRunDirectory(directory, { settings, resume: true });
    await expect(trained(run, { batchSize: 4 })).rejects.toThrow(/batchSize was 8, now 4/);
    expect(await files()).toEqual(before);
    await trained(await openRunDirectory(directory, { settings: other, overwrite: true }), {
      until: 2,
    });
    expect(await names()).toEqual(["checkpoint-2", "metrics.jsonl", "settings.json"]);
  });

  it("is refused for another schedule, order or optimizer", async () => {
    const own = {
      learningRate: (step: number) => 0.05 / (step + 1),
      order: sequentialOrder(rows.length),
      optimizer: (learningRate: Schedule) => sgd({ learningRate }),
    };
    await trained(await openRunDirectory(directory), { ...own, until: 4 });
    const before = await files();
    for (const [other, message] of [
      [{ learningRate: () => 0.05 }, /learningRate was \[0.05,0.025,.*\], now \[0.05,0.05,/],
      [{ order: randomOrder(rows.length, 1) }, /order was \[0,1,2,/],
      [{ optimizer: undefined }, /optimizer was null, now "adamw"/],
      [{ evaluation: { data: rows, every: 99, onStart: true } }, /evaluationOnStart was false/],
    ] as const) {
      const run = await openRunDirectory(directory, { resume: true });
      const { optimizer, ...others } = { ...own, ...other };
      await expect(trained(run, { ...others, ...(optimizer && { optimizer }) })).rejects.toThrow(
        message,
      );
    }
    expect(await files()).toEqual(before);
    // A run that ended at its last bad step may go on with more of them.
    await trained(await openRunDirectory(directory, { resume: true }), { ...own, maxBadSteps: 9 });
  });

  it("is refused where a number is infinite, or none, that was not", async () => {
    await trained(await openRunDirectory(directory, { settings: { a: Number.NaN } }), { until: 1 });
    for (const [a, name] of [
      [Number.POSITIVE_INFINITY, '"Infinity"'],
      [null, "null"],
    ] as const) {
      await expect(openRunDirectory(directory, { settings: { a }, resume: true })).rejects.toThrow(
        `a was "NaN", now ${name}`,
      );
    }
    await openRunDirectory(directory, { settings: { a: Number.NaN }, resume: true });
  });

  it("is refused if it is of something else", async () => {
    await fs.mkdir(path("checkpoint-500"));
    for (const overwrite of [false, true]) {
      await expect(openRunDirectory(directory, { overwrite })).rejects.toThrow(
        /holds checkpoint-500, but not the settings.json of a run/,
      );
    }
    expect(await names()).toEqual(["checkpoint-500"]);
  });
});

describe("a disk that takes no more", () => {
  /** Has the write of this number fail when half of it is done. */
  function fullAt(number: number): void {
    const { open } = fs;
    let writes = 0;
    vi.spyOn(fs, "open").mockImplementation(async (...args) => {
      const file: FileHandle = await open(...args);
      const write = file.writeFile.bind(file);
      file.writeFile = async (data) => {
        if (++writes !== number) return write(data);
        await write((data as Uint8Array).slice(0, data.length / 2) as Uint8Array);
        throw Object.assign(new Error("ENOSPC: no space left on device, write"), {
          code: "ENOSPC",
        });
      };
      return file;
    });
  }

  it("ends the run with a clear error at whatever write, nothing is half-written, and it goes on", async () => {
    await trained(await openRunDirectory(directory));
    const expected = await files();
    const failed = new Set<string>();
    for (let write = 1; ; write++) {
      await fs.rm(directory, { recursive: true });
      const run = await openRunDirectory(directory);
      fullAt(write);
      const error = await trained(run).then(
        () => null,
        (reason: Error) => reason,
      );
      vi.restoreAllMocks();
      if (!error) break;
      const [, what] = /: (\S+) cannot be written: the disk is full/.exec(error.message)!;
      failed.add(what!.replace(/\d+/, "N"));
      for (const [name, text] of Object.entries(await files())) {
        expect(name).not.toMatch(/tmp/);
        if (name === "/metrics.jsonl")
          expect(Buffer.from(text, "base64").toString()).toMatch(/^(.*\}\n)*$/);
      }
      const again = await openRunDirectory(directory, { resume: true });
      expect(again.notices).toEqual([]);
      await trained(again);
      expect(await files()).toEqual(expected);
    }
    expect([...failed].sort()).toEqual([
      "checkpoint-N",
      "metrics.jsonl",
      "settings.json",
      "trainer_state.json",
    ]);
  });

  it("names the checkpoint from which the run goes on", async () => {
    const run = await openRunDirectory(directory);
    const full = { save: ({ step }: { step: number }) => void (step === 6 && fullAt(1)) };
    const error: Error = await fit({ ...options, observer: [full, run] }).then(
      () => expect.fail(),
      (reason) => reason,
    );
    expect(error.message).toMatch(/checkpoint-3 is whole: resume goes on there/);
    expect(error.cause).toMatchObject({ code: "ENOSPC" });
  });

  it("is refused at once where nothing can be written", async () => {
    await fs.writeFile(path("file"), "");
    await expect(openRunDirectory(path("file/run"))).rejects.toThrow(
      /file\/run cannot be written: ENOTDIR/,
    );
    const denied = Object.assign(new Error("EACCES: permission denied, access"), {
      code: "EACCES",
    });
    vi.spyOn(fs, "access").mockRejectedValue(denied);
    await expect(openRunDirectory(directory)).rejects.toThrow(
      /cannot be written: EACCES: permission denied/,
    );
  });
});

describe("bad options", () => {
  it.each<[object, RegExp]>([
    [{ overwite: true }, /has no option `overwite`; did you mean `overwrite`/],
    [{ keep: 0 }, /keep must be an integer ≥ 1/],
    [{ resume: "yes" }, /resume must be true or false/],
    [{ settings: "abc" }, /settings must be an object of what determines the numbers, got "abc"/],
    [{ settings: null }, /settings must be an object .* got null/],
    [{ settings: [1] }, /settings must be an object .* got an array/],
    [{ settings: { a: [{ b: () => 1 }] } }, /settings.a\[0\].b is a Function; settings are plain/],
    [{ settings: { a: 1n } }, /settings.a is 1; settings are plain/],
    [{ settings: { a: new Map() } }, /settings.a is a Map/],
  ])("%o are rejected", async (wrong, message) => {
    await expect(openRunDirectory(directory, wrong as never)).rejects.toThrow(message);
  });
});
