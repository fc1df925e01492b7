import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { checkResume, parseCommandLine } from "../../bench/demo/commandLine.js";
import { metricsPath, readMetrics } from "../../bench/demo/metrics.js";
import { settingsFor } from "../../bench/demo/settings.js";
import { temporaryDirectory, tinySettings } from "./tiny.js";

const MAIN = fileURLToPath(new URL("../../bench/demo/main.ts", import.meta.url));

interface Outcome {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs the demo as a user does; `onErrors` sees the process at each output on stderr. */
function demo(
  args: readonly string[],
  onErrors: (child: ChildProcess, errors: string) => void = () => {},
): Promise<Outcome> {
  const child = spawn(process.execPath, ["--import", "tsx", MAIN, ...args]);
  let output = "";
  let errors = "";
  child.stdout.on("data", (text) => {
    output += text;
  });
  child.stderr.on("data", (text) => {
    errors += text;
    onErrors(child, errors);
  });
  return new Promise((resolve) => {
    child.on("close", (code) => resolve({ code, output, errors }));
  });
}

describe("parseCommandLine", () => {
  test("keeps what was given and nothing else", () => {
    expect(parseCommandLine([])).toEqual({
      chosen: {},
      directory: "demo-output",
      resume: false,
      overwrite: false,
    });
    const args = ["--gamma", "0", "--hinge", "--drop-long", "--sft-steps", "7", "--out", "x"];
    expect(parseCommandLine([...args, "--resume"])).toEqual({
      chosen: { gamma: 0, hinge: true, dropLong: true, sftSteps: 7 },
      directory: "x",
      resume: true,
      overwrite: false,
    });
  });

  test("γ is a number or dual; with dual, v* is the optimum unless it is named", () => {
    const settings = (...args: string[]) => settingsFor(parseCommandLine(args).chosen);
    expect(settings()).toMatchObject({ gamma: 1, floor: "reference" });
    expect(settings("--gamma", "dual")).toMatchObject({ gamma: "dual", floor: "optimum" });
    expect(settings("--gamma", "dual", "--floor", "reference").floor).toBe("reference");
  });

  test.each([
    [["--speed", "9"], "unknown option '--speed'"],
    [["fast"], "too many arguments"],
    [["--gamma", "-1"], "It must be a number, at least 0, or one of dual."],
    [["--floor", "zero"], "It must be one of reference, optimum."],
    [["--beta", "0"], "It must be a number above 0."],
    [["--steps", "1.5"], "It must be an integer, at least 1."],
    [["--steps", "0"], "It must be an integer, at least 1."],
    [["--seed", "one"], "It must be an integer, at least 0."],
    [["--seed", "-1"], "It must be an integer, at least 0."],
    [["--data"], "argument missing"],
    [["--task", "sums"], "It must be one of writers, clean, diffusion."],
    [["--task", "clean", "--data", "x"], "--task is what to generate, --data what to read"],
    [["--resume", "--overwrite"], "pass one of them"],
  ])("%j is an error", (args, message) => {
    expect(() => parseCommandLine(args)).toThrow(message);
  });
});

describe("checkResume", () => {
  const checkpoint = (settings = tinySettings()) =>
    ({ settings, dataDigest: "of another content" }) as Parameters<typeof checkResume>[1];

  test("options may be left out, or be the run's own", () => {
    checkResume({}, checkpoint());
    checkResume({ gamma: 1, base: "dpo" }, checkpoint());
  });

  test("an option that differs is named", () => {
    expect(() => checkResume({ gamma: 2 }, checkpoint())).toThrow(
      "--resume: --gamma is 2, but the run was started with 1",
    );
    expect(() => checkResume({ learningRate: 1 }, checkpoint())).toThrow("--learning-rate is 1");
    expect(() => checkResume({ dropLong: true }, checkpoint())).toThrow(
      "--resume: --drop-long is true, but the run was started without it",
    );
  });

  test("a data file that changed is named", () => {
    const data = join(temporaryDirectory(), "pairs.jsonl");
    writeFileSync(data, "");
    expect(() => checkResume({}, checkpoint(tinySettings({ data })))).toThrow(
      `--resume: --data ${data} has changed`,
    );
  });
});

describe("the command", () => {
  test("an unknown loss names the nearest; exit code 2, nothing written", async () => {
    const out = join(temporaryDirectory(), "out");
    const { code, errors } = await demo(["--base", "dppo", "--out", out]);
    expect(errors).toMatch(/--base dppo: .*did you mean "dpo"/);
    expect(errors.trim().split("\n").length).toBe(1);
    expect([code, existsSync(out)]).toEqual([2, false]);
  });

  test.each([
    ["sft", /every run starts with it/],
    ["spo", /what every run adds to its base loss/],
    ["dmpo", /errors of a diffusion model/],
  ])("--base %s is refused with the reason", async (base, reason) => {
    const { code, errors } = await demo(["--base", base, "--out", temporaryDirectory()]);
    expect([code, errors]).toEqual([2, expect.stringMatching(reason)]);
  });

  test("a bad line is one message with file and line; exit code 2, nothing written", async () => {
    const directory = temporaryDirectory();
    const [data, out] = [join(directory, "pairs.jsonl"), join(directory, "out")];
    writeFileSync(data, '{"prompt": "a", "chosen": "b", "rejected": "c"}\nnonsense\n');
    const { code, output, errors } = await demo(["--data", data, "--out", out]);
    expect(errors).toMatch(
      /^readPreferences: the data has a problem\n {2}.*pairs\.jsonl:2: is not JSON.*\n$/,
    );
    expect([code, output, existsSync(out)]).toEqual([2, "", false]);
  });

  test("--resume without a run is an error", async () => {
    const out = join(temporaryDirectory(), "out");
    const { code, errors } = await demo(["--resume", "--out", out]);
    expect(errors).toBe(`--resume: ${out} has no checkpoint; start the run without --resume\n`);
    expect(code).toBe(2);
  });

  /** The directory of a run that was interrupted and finished. */
  const finished = join(temporaryDirectory(), "out");

  test("an interrupt leaves a checkpoint and readable metrics; --resume finishes the run", async () => {
    const out = finished;
    const steps = ["--sft-steps", "12", "--steps", "2"];
    let sent = false;
    const stopped = await demo(["--quick", ...steps, "--out", out], (child) => {
      if (!sent) child.kill("SIGINT");
      sent = true;
    });
    expect(stopped.code).toBe(130);
    expect(stopped.errors).toContain(`continue with: npm run demo -- --resume --out ${out}`);
    expect(readdirSync(out).sort()).toEqual([
      "checkpoint.safetensors",
      "metrics.jsonl",
      "report.html",
    ]);
    const made = readMetrics(out).length;
    expect(made).toBeGreaterThan(1);
    expect(made).toBeLessThan(12);

    const resumed = await demo(["--resume", "--out", out]);
    expect(resumed.code).toBe(0);
    expect(resumed.output).toMatch(/^DPO\+SPO .*\d/m);
    expect(resumed.output).toMatch(/^DPO answers \d+% of the held-out problems right/m);
    const rows = readMetrics(out).filter(({ kind }) => kind === "step");
    expect(rows.length).toBe(12 + 3 * 2);
  });

  test("a run in a directory that holds another is refused before anything is written", async () => {
    const before = readFileSync(metricsPath(finished), "utf8");
    const other = ["--quick", "--sft-steps", "2", "--steps", "1", "--out", finished];
    const refused = await demo(other);
    expect([refused.code, refused.output]).toEqual([2, ""]);
    expect(refused.errors).toMatch(
      /holds another run \(steps was 2, now 1; sftSteps was 12, now 2\); --resume goes on with it, --overwrite replaces it/,
    );
    expect(readFileSync(metricsPath(finished), "utf8")).toBe(before);
    expect((await demo([...other, "--overwrite"])).code).toBe(0);
  });
});
