/**
 * `prefgrad align`, `sft`, `score` and `compare` on a small model: files, what is shown, Ctrl-C and what is refused.
 */

import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { warningOf } from "../../src/cli/train.js";
import {
  fullPolicy,
  loadModel,
  readPreferences,
  readRun,
  saveModel,
  withReferences,
} from "../../src/index.js";
import { bundled, started, writeTinyModel } from "./run.js";

let folder: string;
let main: string;
let model: string;
let data: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-train-"));
  main = await bundled(folder);
  [model, data] = [join(folder, "model"), join(folder, "pairs.jsonl")];
  await writeTinyModel(model);
  const rows = Array.from({ length: 20 }, (_, i) => ({
    prompt: `${String.fromCharCode(97 + i)}?`,
    chosen: `yes ${i % 4}`,
    rejected: i === 5 ? `yes ${i % 4}` : `no ${i % 3}`,
  }));
  await writeFile(data, rows.map((row) => JSON.stringify(row)).join("\n"));
  process.env.XDG_CACHE_HOME = join(folder, "cache");
});
afterAll(async () => {
  delete process.env.XDG_CACHE_HOME;
  await rm(folder, { recursive: true, force: true });
});

const at = (name: string): string => join(folder, name);
/** Arguments of a short run. */
const short = (output: string, ...more: readonly string[]): string[] =>
  `--model ${model} --data ${data} --output ${at(output)} --batch-size 4 --max-steps 6 --log-every 2 --eval-every 3 --learning-rate 1e-2`
    .split(" ")
    .concat(more);

describe("a run that may not fit", () => {
  it("names all that would make it smaller and is not done", () => {
    expect(warningOf({ memory: 2 ** 50, frozen: 0, checkpointing: false }, "wasm")).toMatch(
      /^this may not fit into \d.* GB: lower --max-length, --batch-size, --lora, --gradient-checkpointing\n$/,
    );
    const least = warningOf({ memory: 2 ** 50, frozen: 1, checkpointing: true }, "wasm");
    expect(least).toMatch(/--max-length, --batch-size\n$/);
  });

  it("is warned of only then", () => {
    expect(warningOf({ memory: 1e6, frozen: 0, checkpointing: true }, "wasm")).toBe("");
  });
});

describe("score", () => {
  it("writes a line for each row, the skipped ones too, and a summary for people", async () => {
    const { code, output, errors } = await started(main, [
      "score",
      "--model",
      model,
      "--data",
      data,
    ]);
    expect(code).toBe(0);
    const lines = output
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ row }) => row)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(lines[5]).toEqual({ row: 5, skipped: "chosen and rejected are identical" });
    const lm = await loadModel(model);
    const { rows } = await readPreferences(data, lm.tokenizer!);
    const scored = await withReferences(rows, { policy: fullPolicy(lm) });
    const [first] = await scored.rows.read([0]);
    expect(lines[0]).toEqual({
      row: 0,
      chosen_logp: expect.closeTo(first!.referenceChosen!, 4),
      rejected_logp: expect.closeTo(first!.referenceRejected!, 4),
      chosen_tokens: 6,
      rejected_tokens: 5,
    });
    const kept = lines.filter(({ skipped }) => skipped === undefined);
    const right = kept.filter((line) => line.chosen_logp > line.rejected_logp).length;
    expect(errors).toContain("rows      20 read, 19 scored\n");
    expect(errors).toContain(`accuracy  ${(right / 19).toFixed(4)}\n`);
  });
});

describe("align", () => {
  it("says what it will do, how it goes and what came of it", async () => {
    const args = short("lora", "--use_peft", "true", "--lora_r", "2", "--spo", "penalty");
    const { code, output, errors } = await started(main, ["align", ...args]);
    expect(code).toBe(0);
    expect(errors).toMatch(
      /^parameters {3}1,\d+ trained, [\d,]+ frozen\nrows {9}18 to train on, 1 held out\ndropped {6}1 chosen and rejected are identical\n/,
    );
    expect(errors).toContain("6 steps of 4 rows, 5 an epoch\n");
    expect(errors).toMatch(/^step 2\/6 {2}loss .* spo\/gap .* grad_norm [\d.]+ {2}\d.* s left$/m);
    expect(errors).toMatch(/^step 6\/6 {2}loss .* grad_norm [\d.]+$/m);
    expect(errors).toMatch(/^step 6\/6 {2}eval_loss /m);
    expect(output).toMatch(/held-out pairs are told apart .*\n.*log-probability of chosen.*\n/);
    expect(output.trimEnd().endsWith(join(at("lora"), "report.html"))).toBe(true);
    const { settings } = await readRun(at("lora"), "lora");
    expect(settings).toMatchObject({
      command: "align",
      loss: "sigmoid",
      loraRank: 2,
      spo: "penalty",
    });
    const generated = await started(main, [
      "generate",
      "--model",
      model,
      "--adapter",
      at("lora"),
      "--max-new-tokens",
      "2",
      "a?",
    ]);
    expect(generated.code).toBe(0);
  });

  it("trains an adapter beside bfloat16 matrices as beside their widened numbers, and nothing else", async () => {
    const rounded = at("rounded");
    await saveModel(rounded, await loadModel(model), { dtype: "bfloat16" });
    const run = async (name: string, ...more: string[]) => {
      const args = short(name, ...more).map((arg) => (arg === model ? rounded : arg));
      return started(main, ["align", ...args]);
    };
    for (const dtype of ["float32", "bfloat16"])
      expect((await run(dtype, "--lora", "--dtype", dtype)).code).toBe(0);
    const [wide, narrow] = await Promise.all(
      ["float32", "bfloat16"].map((name) => readFile(join(at(name), "adapter_model.safetensors"))),
    );
    expect(narrow!.equals(wide!)).toBe(true);
    const { code, errors } = await run("whole", "--dtype", "bfloat16");
    expect(code).toBe(2);
    expect(errors).toMatch(/bfloat16 is for weights that are not trained: train an adapter/);
  });

  it("is stopped by Ctrl-C with a checkpoint, refuses the directory, and goes on", async () => {
    const args = short("stopped", "--max-steps", "200", "--save-every", "50");
    let isTold = false;
    const stopped = await started(main, ["align", ...args], {
      onErrors(child, text) {
        if (isTold || !text.includes("step 4/200")) return;
        isTold = true;
        child.kill("SIGINT");
      },
    });
    expect(stopped.code).toBe(130);
    expect(stopped.errors).toMatch(
      /stopping after this step.*\n(.*\n)*interrupted; .*checkpoint-\d+ is written: --resume goes on\n$/,
    );
    const again = await started(main, ["align", ...args]);
    expect(again.code).toBe(2);
    expect(again.errors).toMatch(
      /holds this run, not finished; set resume \(--resume\) to go on with it, overwrite \(--overwrite\) to delete it/,
    );
    const other = await started(main, ["align", ...args, "--resume", "--learning-rate", "1e-3"]);
    expect([other.code, other.errors]).toEqual([
      2,
      expect.stringContaining("learningRate was 0.01, now 0.001"),
    ]);
    const whole = await started(main, [
      "align",
      ...short("stopped", "--max-steps", "200", "--save-every", "50", "--resume"),
    ]);
    expect(whole.code).toBe(0);
    expect(whole.errors).toMatch(/200 steps of 4 rows, 5 an epoch, from step \d+ on\n/);
    expect(whole.errors).toContain("the reference's log-probabilities were in the cache\n");
  });

  it("shows a page while it runs, to this machine alone", async () => {
    const pages: Promise<readonly [number, string]>[] = [];
    const { code } = await started(
      main,
      ["align", ...short("live", "--live", "--max-steps", "60")],
      {
        onErrors(_, text) {
          const url = /http:\/\/127\.0\.0\.1:\d+\//.exec(text)?.[0];
          if (url === undefined || pages.length > 0) return;
          pages.push(
            page(url),
            page(url, "elsewhere.example"),
            page(`${url}events`),
            page(`${url}none`),
          );
        },
      },
    );
    expect(code).toBe(0);
    const [own, foreign, events, none] = await Promise.all(pages);
    expect(own).toEqual([200, expect.stringContaining("new EventSource")]);
    expect(own![1]).not.toMatch(/(src|href)="?http/);
    expect(foreign![0]).toBe(403);
    expect(none![0]).toBe(404);
    const shown = events![1].split("\n\n").filter(Boolean);
    expect(shown.length).toBeGreaterThan(1);
    expect(JSON.parse(shown[1]!.replace(/^data: /, ""))).toContain("Running: step");
    const [, last] = /^event: end\ndata: (.*)$/s.exec(shown.at(-1)!)!;
    expect(JSON.parse(last!)).toMatch(/<figure>.*<h2>Answers/s);
  });

  it.each([
    [["--loss", "kto", "--max-steps", "1"], 0, ""],
    [["--loss", "tdpo2", "--loss-options", "alpha=0.3", "--max-steps", "1"], 0, ""],
    [["--loss", "sgdpo", "--loss-options", "chosenRatio=0.7", "--max-steps", "1"], 0, ""],
    [["--loss", "aspo", "--lora", "--spo", "--max-steps", "1"], 0, ""],
    [["--loss", "dmpo"], 2, "dmpo takes squared denoising errors of a diffusion model"],
    [["--loss", "sigmoyd"], 2, 'did you mean "sigmoid"?'],
    [["--lora-rank", "4"], 2, "--lora-rank is part of --lora: give --lora, too"],
    [["--resume", "--overwrite"], 2, "resume keeps the run that is there, overwrite deletes it"],
    [["--columns", "prompt=question"], 2, "pairs.jsonl:1: "],
    [["--spo", "lookahead"], 2, "alpha must be a number > 0"],
    [["--loss", "kto", "--spo"], 2, "align: spo is for losses of pairs, not for kto"],
  ])("%j ends with %i", async (more, code, message) => {
    const ran = await started(main, ["align", ...short(`with-${more.join("")}`, ...more)]);
    expect(ran.code).toBe(code);
    expect(ran.errors).toContain(message);
    if (code > 0) expect(existsSync(at(`with-${more.join("")}`))).toBe(false);
  });
});

it("a run is not written where its model or its adapter is", async () => {
  await started(main, ["align", ...short("own", "--lora", "--max-steps", "1")]);
  const before = await readFile(join(at("own"), "adapter_model.safetensors"));
  for (const [flag, where] of [
    ["--adapter", "own"],
    ["--reference-model", "../model"],
  ] as const) {
    const path = join(folder, where === "own" ? "own" : "model");
    const args = short(where === "own" ? "own" : "model", flag, path, "--overwrite");
    const { code, errors } = await started(main, ["align", ...args]);
    expect(code).toBe(2);
    expect(errors).toMatch(/^--output is the directory of --(adapter|model), which would be lost/);
  }
  expect(await readFile(join(at("own"), "adapter_model.safetensors"))).toEqual(before);
});

it("sft and compare: two runs on one page, and their figures", async () => {
  const texts = at("texts.jsonl");
  await writeFile(
    texts,
    Array.from({ length: 8 }, (_, i) => JSON.stringify({ prompt: "a", completion: `b${i}` })).join(
      "\n",
    ),
  );
  for (const [name, rate] of [
    ["one", "1e-2"],
    ["two", "1e-3"],
  ] as const) {
    const args = ["--data", texts, "--evalData", texts, "--learning-rate", rate].map((own) =>
      own.replace("evalData", "eval-data"),
    );
    const { code } = await started(main, ["sft", ...short(name), ...args]);
    expect(code).toBe(0);
  }
  const report = at("both.html");
  const ran = await started(main, ["compare", at("one"), at("two"), "--report", report]);
  expect([ran.code, ran.errors]).toEqual([0, ""]);
  expect(ran.output).toMatch(/^ +one +two\neval_loss +[\d.]+ +[\d.]+\n/);
  const html = await readFile(report, "utf8");
  expect(html).toContain("one training");
  expect(html).toContain("two held out");
  const none = await started(main, ["compare", folder]);
  expect([none.code, none.errors]).toEqual([2, expect.stringContaining("there is no run in")]);
});

/** What a server answers, until it ends. */
function page(url: string, host?: string): Promise<readonly [number, string]> {
  return new Promise((resolve) => {
    get(url, { headers: host === undefined ? {} : { host } }, (response) => {
      let text = "";
      const end = () => resolve([response.statusCode!, text]);
      response.setEncoding("utf8").on("data", (piece) => {
        text += piece;
      });
      response.on("end", end).on("error", end);
    });
  });
}
