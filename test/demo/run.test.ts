import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { arithmeticTask } from "../../bench/demo/arithmeticTask.js";
import { readCheckpoint } from "../../bench/demo/checkpoint.js";
import { checkReplaceable } from "../../bench/demo/directory.js";
import { metricsPath, readMetrics } from "../../bench/demo/metrics.js";
import { run } from "../../bench/demo/run.js";
import { modelOf, type Observer } from "../../bench/demo/train.js";
import { type AdamWState, type GptParameters, loadTree, tensor } from "../../src/index.js";
import { temporaryDirectory, tinySettings } from "./tiny.js";

const settings = tinySettings();
const task = arithmeticTask(settings);
const PHASES = ["sft", "sft-chosen", "dpo", "dpo+spo"];
const TOTAL_STEPS = settings.sftSteps + 3 * settings.steps;

/** A run that calls `at` after each step with the number of steps made so far. */
async function runInto(
  directory: string,
  at: (steps: number) => void,
  rest: { signal?: AbortSignal; resume?: boolean } = {},
) {
  let steps = 0;
  const observer: Observer = { step: () => at(++steps) };
  return run({
    settings,
    task,
    directory,
    observer,
    ...(rest.signal && { signal: rest.signal }),
    ...(rest.resume && { checkpoint: await readCheckpoint(directory) }),
  });
}

/** Everything a run leaves that is determined by its settings. */
function traces(directory: string): Record<string, string> {
  const files = PHASES.map((phase) => `${phase}.safetensors`);
  return Object.fromEntries(
    [...files, "metrics.jsonl"].map((name) => [
      name,
      readFileSync(join(directory, name)).toString("base64"),
    ]),
  );
}

async function stateOf(directory: string): Promise<unknown> {
  const { snapshot } = await readCheckpoint(directory);
  const { tokenEmbedding } = snapshot.parameters;
  return [
    snapshot.phase,
    snapshot.step,
    (snapshot.optimizer as AdamWState).step,
    await tokenEmbedding.weight.data(),
  ];
}

const uninterrupted = temporaryDirectory();

beforeAll(async () => {
  const { finished } = await runInto(uninterrupted, () => {});
  expect(finished).toBe(true);
});

describe("a run", () => {
  test("leaves a model per phase, a checkpoint, metrics and a report", () => {
    expect(readdirSync(uninterrupted).sort()).toEqual([
      "checkpoint.safetensors",
      "dpo+spo.safetensors",
      "dpo.safetensors",
      "metrics.jsonl",
      "report.html",
      "sft-chosen.safetensors",
      "sft.safetensors",
    ]);
  });

  test("records every step and evaluates at intervals and at each phase's end", () => {
    const rows = readMetrics(uninterrupted);
    const stepsOf = (kind: string, phase: string): number[] =>
      rows.flatMap((row) =>
        row.kind === kind && row.kind !== "run" && row.phase === phase ? [row.step] : [],
      );
    expect(rows[0]).toEqual({ kind: "run", settings });
    expect(stepsOf("step", "sft")).toEqual([1, 2, 3, 4, 5, 6]);
    expect(stepsOf("step", "sft-chosen")).toEqual([1, 2, 3, 4, 5]);
    expect(stepsOf("step", "dpo")).toEqual([1, 2, 3, 4, 5]);
    expect(stepsOf("step", "dpo+spo")).toEqual([1, 2, 3, 4, 5]);
    expect(stepsOf("evaluation", "sft")).toEqual([3, 6]);
    expect(stepsOf("evaluation", "sft-chosen")).toEqual([2, 4, 5]);
    expect(stepsOf("evaluation", "dpo")).toEqual([2, 4, 5]);
    expect(stepsOf("evaluation", "dpo+spo")).toEqual([2, 4, 5]);
  });

  test("starts both preference runs from the SFT model, on the same batches", () => {
    const first = readMetrics(uninterrupted).filter(
      (row) => row.kind === "step" && row.phase.startsWith("dpo") && row.step === 1,
    );
    expect(first.length).toBe(2);
    const [dpo, spo] = first.map((row) => ("logps/chosen" in row ? row["logps/chosen"] : null));
    expect(dpo).toBeTypeOf("number");
    expect(dpo).toBe(spo);
  });

  test("starts DPO at ln 2: the reference is the model itself", () => {
    const first = readMetrics(uninterrupted).find(
      (row) => row.kind === "step" && row.phase === "dpo",
    );
    expect(first && "loss" in first && first.loss).toBeCloseTo(Math.LN2, 5);
  });

  test("writes a report that needs nothing else and has all curves", () => {
    const html = readFileSync(join(uninterrupted, "report.html"), "utf8");
    expect(html).not.toMatch(/(src|href)=/);
    expect(html).not.toMatch(/@import|url\(/);
    expect(html.includes("not finished")).toBe(false);
    const charts = JSON.parse(/id="data">(.*)<\/script>/.exec(html)![1]!) as {
      title: string;
      steps: number[];
      curves: { name: string; values: (number | null)[] }[];
    }[];
    expect(charts.map(({ title }) => title)).toContain("left both");
    for (const { title, steps, curves } of charts) {
      for (const { values } of curves) {
        expect(values.length).toBe(steps.length);
        // A reward is a comparison with the model at step 0.
        const expected = title === "reward accuracy" ? values.slice(1) : values;
        expect(expected.every(Number.isFinite)).toBe(true);
      }
    }
  });

  test("replaces the files of an earlier run, and leaves others alone", async () => {
    const directory = temporaryDirectory();
    cpSync(uninterrupted, directory, { recursive: true });
    writeFileSync(metricsPath(directory), "old\n");
    for (const name of ["notes.txt", "mine.safetensors"]) writeFileSync(join(directory, name), "");
    const stop = new AbortController();
    await runInto(directory, () => stop.abort(), { signal: stop.signal });
    expect(readFileSync(metricsPath(directory), "utf8")).not.toContain("old");
    expect(readdirSync(directory).sort()).toEqual([
      "checkpoint.safetensors",
      "metrics.jsonl",
      "mine.safetensors",
      "notes.txt",
      "report.html",
    ]);
  });

  test("has the answers of all models to the samples, and the verdict, in its report", () => {
    const html = readFileSync(join(uninterrupted, "report.html"), "utf8");
    const answers = readMetrics(uninterrupted).filter((row) => row.kind === "samples");
    expect(answers.map(({ phase }) => phase)).toEqual(PHASES);
    expect(task.samples.length).toBe(4);
    for (const { prompt } of task.samples) expect(html).toContain(`>${prompt}</span>`);
    for (const row of answers) expect(row.answers.length).toBe(task.samples.length);
    expect(html).toMatch(/class="verdict">DPO answers \d+% of the held-out problems right/);
  });
});

test("a phase's model is a file of its parameters, for loadTree", async () => {
  const path = join(uninterrupted, "dpo+spo.safetensors");
  const parameters = await loadTree<GptParameters>(path);
  const { snapshot } = await readCheckpoint(uninterrupted);
  expect(await parameters.head!.weight.data()).toEqual(
    await snapshot.parameters.head!.weight.data(),
  );
  const ids = tensor([[1, 2]], { dtype: "int32" });
  expect(modelOf(settings, task).apply(parameters, ids).shape).toEqual([1, 2, 15]);
});

describe("an interrupted run", () => {
  test.each([1, 3, 6, 11, 13, 18])(
    "stopped after step %i of 21 leaves a readable state and continues bit for bit",
    async (last) => {
      const directory = temporaryDirectory();
      const stop = new AbortController();
      const stopped = await runInto(directory, (steps) => steps === last && stop.abort(), {
        signal: stop.signal,
      });
      expect(stopped.finished).toBe(false);
      const rows = readMetrics(directory);
      expect(rows.filter(({ kind }) => kind === "step").length).toBe(last);
      const { snapshot } = await readCheckpoint(directory);
      const phase = PHASES.indexOf(snapshot.phase);
      const before = phase === 0 ? 0 : settings.sftSteps + (phase - 1) * settings.steps;
      expect(before + snapshot.step).toBe(last);
      expect(readFileSync(join(directory, "report.html"), "utf8")).toContain("not finished");

      let continued = 0;
      const { finished } = await runInto(directory, () => continued++, { resume: true });
      expect([finished, continued]).toEqual([true, TOTAL_STEPS - last]);
      expect(traces(directory)).toEqual(traces(uninterrupted));
      expect(await stateOf(directory)).toEqual(await stateOf(uninterrupted));
    },
  );

  test("that was killed between checkpoints continues bit for bit from the last one", async () => {
    const killed = temporaryDirectory();
    const stop = new AbortController();
    const scratch = temporaryDirectory();
    await runInto(
      scratch,
      (steps) => {
        if (steps !== 14) return;
        cpSync(scratch, killed, { recursive: true });
        stop.abort();
      },
      { signal: stop.signal },
    );
    expect((await readCheckpoint(killed)).snapshot).toMatchObject({ phase: "dpo", step: 2 });
    // The line that was being written.
    writeFileSync(metricsPath(killed), '{"kind":"step","phase":"dp', { flag: "a" });
    const { finished } = await runInto(killed, () => {}, { resume: true });
    expect(finished).toBe(true);
    expect(traces(killed)).toEqual(traces(uninterrupted));
  });

  test("that was finished gives its figures again without a step", async () => {
    const before = traces(uninterrupted);
    const result = await runInto(uninterrupted, () => expect.unreachable(), { resume: true });
    expect(result.finished).toBe(true);
    expect([...result.figures.keys()]).toEqual(PHASES);
    expect(traces(uninterrupted)).toEqual(before);
  });
});

describe("SPO with dual γ", () => {
  const dual = tinySettings({ gamma: "dual", learningRate: 1e-2 });
  /** Gaps of a run's steps with SPO. */
  const gapsIn = (directory: string) =>
    readMetrics(directory).flatMap((row) =>
      row.kind === "step" && "spo/gap" in row ? [row["spo/gap"]] : [],
    );

  test("starts outside the safe region of the optimum, and at the edge of the reference's", async () => {
    const [optimum, reference] = [temporaryDirectory(), temporaryDirectory()];
    await run({ settings: dual, task, directory: optimum });
    await run({ settings: { ...dual, floor: "reference" }, task, directory: reference });
    expect(gapsIn(reference)[0]).toBeCloseTo(0, 5);
    expect(gapsIn(optimum)[0]).toBeGreaterThan(0.05);
  });

  test("that was stopped while v* was sought continues bit for bit", async () => {
    const [whole, stopped] = [temporaryDirectory(), temporaryDirectory()];
    await run({ settings: dual, task, directory: whole });
    const stop = new AbortController();
    const observer: Observer = { optimum: (done) => done === 2 && stop.abort() };
    const options = { settings: dual, task, directory: stopped };
    expect((await run({ ...options, observer, signal: stop.signal })).finished).toBe(false);
    const checkpoint = await readCheckpoint(stopped);
    expect(checkpoint.snapshot).toMatchObject({ phase: "dpo", step: dual.steps });
    expect((await run({ ...options, checkpoint })).finished).toBe(true);
    expect(traces(stopped)).toEqual(traces(whole));
  });
});

test("a run in a directory that cannot be created says so and writes nothing", async () => {
  const file = join(temporaryDirectory(), "file");
  writeFileSync(file, "");
  await expect(runInto(join(file, "out"), () => {})).rejects.toThrow(/--out .*cannot be created/);
  expect(existsSync(join(file, "out"))).toBe(false);
});

describe("an output directory", () => {
  const withEarlier = (spoil: (directory: string) => void = () => {}): string => {
    const directory = temporaryDirectory();
    cpSync(uninterrupted, directory, { recursive: true });
    spoil(directory);
    return directory;
  };
  const check = (directory: string, own = settings) => checkReplaceable(directory, own, null);

  test("that is empty, absent, or holds the same finished run may be written", async () => {
    await check(temporaryDirectory());
    await check(join(temporaryDirectory(), "absent"));
    await check(withEarlier());
  });

  test("that holds a different run is refused, naming the difference and what to do", async () => {
    const directory = withEarlier();
    await expect(check(directory, { ...settings, gamma: 2 })).rejects.toThrow(
      `--out ${directory}: holds another run (gamma was 1, now 2); --resume goes on with it, ` +
        "--overwrite replaces it, or name another directory",
    );
    await expect(checkReplaceable(directory, settings, "a digest")).rejects.toThrow(
      "holds a run on other",
    );
  });

  test("that holds an unfinished run is refused, with a checkpoint or without", async () => {
    const directory = temporaryDirectory();
    const stop = new AbortController();
    await runInto(directory, (steps) => steps === 8 && stop.abort(), { signal: stop.signal });
    await expect(check(directory)).rejects.toThrow("holds an unfinished run; --resume");
    rmSync(join(directory, "checkpoint.safetensors"));
    await expect(check(directory)).rejects.toThrow("holds an unfinished run; --resume");
  });

  test("that holds a checkpoint of something else is refused", async () => {
    const directory = withEarlier((at) => writeFileSync(join(at, "checkpoint.safetensors"), "?"));
    await expect(check(directory)).rejects.toThrow("holds a checkpoint that cannot be read");
  });
});
