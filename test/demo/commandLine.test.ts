import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { checkResume, parseCommandLine } from "../../bench/demo/commandLine.js";
import { readMetrics } from "../../bench/demo/metrics.js";
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
    });
    const args = ["--gamma", "0", "--hinge", "--drop-long", "--sft-steps", "7", "--out", "x"];
    expect(parseCommandLine([...args, "--resume"])).toEqual({
      chosen: { gamma: 0, hinge: true, dropLong: true, sftSteps: 7 },
      directory: "x",
      resume: true,
    });
  });

  test.each([
    [["--speed", "9"], "unknown option '--speed'"],
    [["fast"], "too many arguments"],
    [["--gamma", "-1"], "Must be at least 0."],
    [["--beta", "0"], "Must be greater than 0."],
    [["--steps", "1.5"], "Not an integer."],
    [["--steps", "0"], "Must be at least 1."],
    [["--seed", "one"], "Not a number."],
    [["--data"], "argument missing"],
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
  test("an unknown loss lists the known ones; exit code 2, nothing written", async () => {
    const out = join(temporaryDirectory(), "out");
    const { code, errors } = await demo(["--base", "dppo", "--out", out]);
    expect(errors).toMatch(/--base dppo: .*simpo/);
    expect(errors.trim().split("\n").length).toBe(1);
    expect([code, existsSync(out)]).toEqual([2, false]);
  });

  test("a bad line is one message with file and line; exit code 2, nothing written", async () => {
    const directory = temporaryDirectory();
    const [data, out] = [join(directory, "pairs.jsonl"), join(directory, "out")];
    writeFileSync(data, '{"prompt": "a", "chosen": "b", "rejected": "c"}\nnonsense\n');
    const { code, output, errors } = await demo(["--data", data, "--out", out]);
    expect(errors).toMatch(/^.*pairs\.jsonl:2: the line is not JSON.*\n$/);
    expect([code, output, existsSync(out)]).toEqual([2, "", false]);
  });

  test("--resume without a run is an error", async () => {
    const out = join(temporaryDirectory(), "out");
    const { code, errors } = await demo(["--resume", "--out", out]);
    expect(errors).toBe(`--resume: ${out} has no checkpoint; start the run without --resume\n`);
    expect(code).toBe(2);
  });

  test("an interrupt leaves a checkpoint and readable metrics; --resume finishes the run", async () => {
    const out = join(temporaryDirectory(), "out");
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

    const finished = await demo(["--resume", "--out", out]);
    expect(finished.code).toBe(0);
    expect(finished.output).toMatch(/^DPO\+SPO .*\d/m);
    const rows = readMetrics(out).filter(({ kind }) => kind === "step");
    expect(rows.length).toBe(12 + 2 * 2);
  });
});
