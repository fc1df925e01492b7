/**
 * `prefgrad sample`: what it writes, that it ends with the same bytes however it was stopped, and what each reward gives.
 */

import { existsSync } from "node:fs";
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import {
  bestWorst,
  firstRoundRank,
  generate,
  initLora,
  type LoadedModel,
  loadModel,
  logSoftmax,
  matmul,
  type Pairing,
  readPreferences,
  rejectionSample,
  saveAdapter,
  type Tokenizer,
  tensor,
  tournament,
  treeMap,
  withLora,
} from "../../src/index.js";
import type { DecoderParameters } from "../../src/models/decoder.js";
import { fails, says, served } from "../methods/loopback.js";
import { TINY, tinyFiles, tinyTensors, writeFiles } from "../models/tinyCheckpoint.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";
import { bundled, type Outcome, started } from "./run.js";

const TEMPLATE =
  "{% for message in messages %}{{ message.role + ':' + message.content + '<end>' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";
const PROMPTS = ["ab", "Hello", "x y z", "2+2=", "né"];
const KEY = "judge-key-0123456789";

let folder: string;
let main: string;
let lm: LoadedModel & { tokenizer: Tokenizer };
const at = (name: string): string => join(folder, name);
const textIn = (name: string): Promise<string> => readFile(at(name), "utf8");
const linesIn = async (name: string) =>
  (await textIn(name))
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-sample-"));
  main = await bundled(folder);
  const json = byteLevel({ added: [{ content: "<end>" }] });
  const own = tokenizerFiles(json, { eos_token: "<end>" }, TEMPLATE);
  const config = { ...TINY.qwen3, vocab_size: 257, eos_token_id: 256 };
  await writeFiles(at("model"), { ...(await tinyFiles(config)), ...own });
  await writeFiles(at("other"), {
    ...(await tinyFiles(config, tinyTensors(config, "other"))),
    ...own,
  });
  await writeFiles(at("small"), await tinyFiles(TINY.qwen3));
  const { tokenizer, ...rest } = await loadModel(at("model"));
  lm = { ...rest, tokenizer: tokenizer! };
  const lines = PROMPTS.map((prompt) => JSON.stringify({ prompt, answer: "4" }));
  await writeFile(at("prompts.jsonl"), `${lines.join("\n")}\n`);
  // Rewards: a checker, one that takes its time, and some that are none.
  await writeFile(
    at("bytes.mjs"),
    "export default (prompt, completions) => completions.map((text) => Buffer.byteLength(text) + prompt.length / 100);",
  );
  await writeFile(
    at("slow.mjs"),
    'import { setTimeout } from "node:timers/promises";\n' +
      "export default async (_, completions) => { await setTimeout(300); return completions.map(({ length }) => length); };",
  );
  await writeFile(at("none.mjs"), "export const reward = 3;");
  await writeFile(at("few.mjs"), "export default () => [1];");
  await writeFile(at("throws.mjs"), "export default () => { undefined.length; };");
  await writeFile(at("syntax.mjs"), "export default (");
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(() => {
  vi.unstubAllEnvs();
});

const SHORT = ["--max-new-tokens", "6", "--samples", "4"];
const args = (output: string, ...more: readonly string[]): string[] => [
  ...["sample", "--model", at("model"), "--data", at("prompts.jsonl"), "--output", at(output)],
  ...SHORT,
  ...(more.includes("--reward") ? [] : ["--reward", at("bytes.mjs")]),
  ...more,
];
const sampled = (...given: Parameters<typeof args>): Promise<Outcome> =>
  started(main, args(...given));

/** Runs it; it must succeed. */
async function done(...given: Parameters<typeof args>): Promise<Outcome> {
  const outcome = await sampled(...given);
  expect([outcome.code, outcome.output]).toEqual([0, `${at(given[0])}\n`]);
  return outcome;
}

/** What is asserted of a run without a limit of processes: everything that it left. */
async function filesOf(output: string): Promise<string> {
  const names = await readdir(at(`${output}.state`), { recursive: true });
  const texts = names
    .filter((name) => name.endsWith("jsonl"))
    .map((name) => textIn(`${output}.state/${name}`));
  return [await textIn(output), ...(await Promise.all(texts))].join("\n");
}

describe("sample", () => {
  it("writes each prompt's candidates, whose draws follow from seed, row and place", async () => {
    const { errors } = await done("all.jsonl", "--pairs", "none", "--seed", "7", "--top-k", "40");
    const lines = await linesIn("all.jsonl");
    expect(lines.map(({ row, prompt }) => [row, prompt])).toEqual([...PROMPTS.entries()]);
    for (const { row, prompt, candidates } of lines) {
      const ids = await generate(
        lm.model,
        lm.parameters,
        [0, 1, 2, 3].map(() => lm.tokenizer.encode(prompt)),
        {
          ...{ maxNewTokens: 6, temperature: 1, topK: 40, stopTokens: 256 },
          seed: [0, 1, 2, 3].map((k) => `7 ${row} ${k}`),
        },
      );
      const own = ids.map((one) => {
        const text = lm.tokenizer.decode(one, { skipSpecialTokens: true });
        const score = Buffer.byteLength(text) + prompt.length / 100;
        return { text, score, tokens: one.length, ended: one.at(-1) === 256 };
      });
      expect(candidates).toEqual(own);
    }
    const scores = lines.flatMap(({ candidates }) => candidates.map(({ score }: never) => score));
    const mean = scores.reduce((sum, score) => sum + score, 0) / 20;
    const cut = lines.flatMap(({ candidates }) => candidates).filter(({ ended }) => !ended).length;
    expect(errors).toMatch(/^prompt 5\/5 {2}mean score /);
    expect(errors).toMatch(/\nprompts +5 of 5\n/);
    expect(errors).toContain(`20, ${cut} of them cut at 6 tokens\n`);
    expect(errors).toMatch(new RegExp(`\nmean score +${Number(mean.toPrecision(4))}\n$`));
  });

  it("gives the same bytes whatever is sampled together, and others for another seed", async () => {
    await done("together.jsonl");
    const bytes = await textIn("together.jsonl");
    for (const size of ["1", "3", "8"]) {
      await done(`by${size}.jsonl`, "--sampling-batch-size", size);
      expect(await textIn(`by${size}.jsonl`)).toBe(bytes);
    }
    await done("seeded.jsonl", "--seed", "43");
    expect(await textIn("seeded.jsonl")).not.toBe(bytes);
    // The first rows do not depend on those behind them.
    await done("first.jsonl", "--limit", "2");
    expect(bytes.startsWith(await textIn("first.jsonl"))).toBe(true);
  });

  it.each([
    ["best-worst", [], bestWorst],
    ["first-round", [], firstRoundRank],
    ["tournament", [], tournament],
    ["tournament", ["--accepted", "3", "--accepted-beta", "2"], tournament],
  ] as const)("makes pairs as %s does, with %j", async (pairs, more, pairing: Pairing) => {
    const name = `${pairs}${more.length}.jsonl`;
    if (!existsSync(at("candidates.jsonl"))) await done("candidates.jsonl", "--pairs", "none");
    await done(name, "--pairs", pairs, ...more);
    const wanted = (await linesIn("candidates.jsonl")).flatMap(({ row, prompt, candidates }) => {
      const scores: number[] = candidates.map(({ score }: { score: number }) => score);
      const kept =
        more.length === 0
          ? [0, 1, 2, 3]
          : rejectionSample(scores, { count: 3, beta: 2, seed: `42 ${row} accepted` });
      return pairing(kept, scores, { seed: `42 ${row} pairs` })
        .filter(({ chosen, rejected }) => scores[chosen] !== scores[rejected])
        .map(({ chosen: i, rejected: k }) => ({
          ...{ prompt, chosen: candidates[i].text, rejected: candidates[k].text },
          ...{ score_chosen: scores[i], score_rejected: scores[k], row },
        }));
    });
    expect(wanted.length).toBeGreaterThan(3);
    expect(await linesIn(name)).toEqual(wanted);
  });

  it("writes what align trains on", async () => {
    await done("pairs.jsonl", "--pairs", "tournament");
    const pairs = await linesIn("pairs.jsonl");
    const run = [
      ...["align", "--model", at("model"), "--data", at("pairs.jsonl"), "--output", at("run")],
      ...["--lora", "--epochs", "1", "--batch-size", "4", "--eval-share", "0"],
    ];
    const { code, errors } = await started(main, run);
    expect(errors).toContain(`rows         ${pairs.length} to train on, 0 held out`);
    expect([code, existsSync(at("run/adapter_model.safetensors"))]).toEqual([0, true]);
    // And the adapter scores the next candidates against the model without it.
    await done("next.jsonl", "--adapter", at("run"), "--reward", "implicit");
    expect((await linesIn("next.jsonl")).length).toBeGreaterThan(2);
  });

  it("answers conversations, as align reads them", async () => {
    const messages = [{ role: "user", content: "ab" }];
    const rows = [
      { prompt: messages },
      { question: 1, prompt: [{ role: "system", content: "S" }, ...messages] },
    ];
    await writeFile(at("chats.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    await writeFile(
      at("seen.mjs"),
      'import { appendFileSync } from "node:fs";\n' +
        `export default (prompt, completions) => { appendFileSync(${JSON.stringify(at("seen.txt"))}, JSON.stringify(prompt) + "\\n"); ` +
        "return completions.map((text) => Buffer.byteLength(text)); };",
    );
    const reward = ["--reward", at("seen.mjs"), "--system", "T"];
    await done("answers.jsonl", "--data", at("chats.jsonl"), ...reward, "--pairs", "first-round");
    const lines = await linesIn("answers.jsonl");
    const system = (content: string) => ({ role: "system", content });
    expect(lines.filter(({ row }) => row === 0)[0]).toMatchObject({
      prompt: [system("T"), ...messages],
      chosen: [{ role: "assistant", content: expect.any(String) }],
      rejected: [{ role: "assistant", content: expect.any(String) }],
    });
    expect(lines.filter(({ row }) => row === 1)[0].prompt).toEqual([system("S"), ...messages]);
    // Rewards see prompts as the data has them.
    expect(await textIn("seen.txt")).toBe(
      rows.map(({ prompt }) => `${JSON.stringify(prompt)}\n`).join(""),
    );
    const { rows: read, summary } = await readPreferences(at("answers.jsonl"), lm.tokenizer);
    expect([summary.conversations, summary.kept]).toEqual([lines.length, lines.length]);
    const [first] = await read.read([0]);
    const ids = lm.tokenizer.applyChatTemplate(lines[0].prompt, {
      ...{ addGenerationPrompt: true, tokenize: true },
    });
    expect(Array.from(first!.promptIds)).toEqual(ids);
    // A text is a user's message with --chat: the same tokens, so the same candidates.
    await writeFile(at("text.jsonl"), '{"prompt": "ab"}\n');
    const chat = ["--data", at("text.jsonl"), "--chat", "--system", "T", "--pairs", "first-round"];
    await done("chat.jsonl", ...chat, "--reward", at("seen.mjs"));
    expect((await linesIn("chat.jsonl"))[0]).toEqual(lines[0]);
    expect((await textIn("seen.txt")).split("\n").at(-2)).toBe('"ab"');
  });

  it("carries tools and variables of templates to what trains on the pairs", async () => {
    const said = { tools: [{ name: "f" }], chat_template_kwargs: { enable_thinking: false } };
    const row = { prompt: [{ role: "user", content: "ab" }], ...said };
    await writeFile(at("tools.jsonl"), JSON.stringify(row));
    await done("called.jsonl", "--data", at("tools.jsonl"));
    expect((await linesIn("called.jsonl"))[0]).toMatchObject(said);
  });
});

describe("pairs", () => {
  const short = [
    "--max-new-tokens",
    "1",
    "--samples",
    "256",
    "--pairs",
    "tournament",
    "--limit",
    "1",
  ];

  it("have no empty answers of the assistant, which align refuses, but empty texts", async () => {
    await writeFile(
      at("blank.mjs"),
      "export default (_, completions) => completions.map((text, i) => (text.trim() === '' ? 1e6 : i));",
    );
    const reward = ["--reward", at("blank.mjs")];
    await done("texts.jsonl", ...short, ...reward);
    const isBlank = (text: string) => text.trim() === "";
    expect((await linesIn("texts.jsonl")).some(({ chosen }) => isBlank(chosen))).toBe(true);
    await done("messages.jsonl", ...short, ...reward, "--chat");
    const lines = await linesIn("messages.jsonl");
    expect(lines.length).toBeGreaterThan(10);
    for (const { chosen, rejected } of lines) {
      expect([chosen, rejected].map(([{ content }]) => isBlank(content))).toEqual([false, false]);
    }
    await done("kept.jsonl", ...short, ...reward, "--chat", "--pairs", "none");
    const [{ candidates }] = await linesIn("kept.jsonl");
    expect(candidates.some(({ text }: { text: string }) => isBlank(text))).toBe(true);
  });

  it("have two texts, also where equal ones have different scores", async () => {
    // Bytes that are no characters are read as one and the same.
    const implicit = ["--reward", "implicit", "--reference-model", at("other")];
    await done("tokens.jsonl", ...short, ...implicit, "--pairs", "none");
    const [{ candidates }] = await linesIn("tokens.jsonl");
    const scores = new Map<string, Set<number>>();
    for (const { text, score } of candidates) {
      scores.set(text, (scores.get(text) ?? new Set()).add(score));
    }
    expect(Math.max(...[...scores.values()].map(({ size }) => size))).toBeGreaterThan(1);
    await done("distinct.jsonl", ...short, ...implicit);
    const lines = await linesIn("distinct.jsonl");
    expect(lines.length).toBeGreaterThan(10);
    for (const { chosen, rejected } of lines) expect(chosen).not.toBe(rejected);
  });
});

describe("a run that was stopped", () => {
  const slow = ["--reward", "SLOW", "--sampling-batch-size", "4", "--pairs", "tournament"];
  const slowly = (output: string, ...more: string[]) =>
    args(output, ...slow.map((own) => (own === "SLOW" ? at("slow.mjs") : own)), ...more);
  let whole: string;
  beforeAll(async () => {
    expect((await started(main, slowly("whole.jsonl"))).code).toBe(0);
    whole = await textIn("whole.jsonl");
  });

  /** Sends a signal when there are some lines. */
  async function stopped(output: string, signal: "SIGKILL" | "SIGINT"): Promise<Outcome> {
    const child: { kill?: ((signal: NodeJS.Signals) => void) | undefined } = {};
    const timer = setInterval(async () => {
      const lines = await textIn(`${output}.state/progress.jsonl`).catch(() => "");
      if (lines.split("\n").length <= 3) return;
      clearInterval(timer);
      child.kill?.(signal);
      child.kill = undefined;
    }, 20);
    const outcome = await started(main, slowly(output), {
      onStart: (own) => {
        child.kill = (name) => own.kill(name);
      },
    });
    clearInterval(timer);
    return outcome;
  }

  it("has whole lines, and goes on to the same bytes after SIGKILL", async () => {
    expect((await stopped("killed.jsonl", "SIGKILL")).signal).toBe("SIGKILL");
    const before = await textIn("killed.jsonl");
    expect(before.length).toBeLessThan(whole.length);
    expect(whole.startsWith(before)).toBe(true);
    // What a process leaves that is killed while it writes.
    await appendFile(at("killed.jsonl"), '{"prompt":"x');
    await appendFile(at("killed.jsonl.state/progress.jsonl"), '{"prom');
    const { code, errors } = await started(main, slowly("killed.jsonl", "--resume"));
    expect(code).toBe(0);
    expect(errors).toMatch(/progress\.jsonl: its last line was not whole, and is left out/);
    expect(await textIn("killed.jsonl")).toBe(whole);
    expect(await filesOf("killed.jsonl")).toBe(await filesOf("whole.jsonl"));
  });

  it("ends at Ctrl-C with whole lines, and goes on to the same bytes", async () => {
    const { code, errors } = await stopped("stopped.jsonl", "SIGINT");
    expect(code).toBe(130);
    expect(errors).toMatch(
      /interrupted; .*stopped\.jsonl has [1-4] of 5 prompts: --resume goes on/,
    );
    const before = await textIn("stopped.jsonl");
    expect(before.endsWith("\n") && whole.startsWith(before)).toBe(true);
    expect((await started(main, slowly("stopped.jsonl", "--resume"))).code).toBe(0);
    expect(await textIn("stopped.jsonl")).toBe(whole);
    // What is done is not done again.
    const { errors: again } = await started(main, slowly("stopped.jsonl", "--resume"));
    expect(again).not.toMatch(/^prompt /);
    expect(await textIn("stopped.jsonl")).toBe(whole);
  });

  it("has its output to itself", async () => {
    const refused: Promise<Outcome>[] = [];
    const first = await started(main, slowly("locked.jsonl"), {
      onErrors: () => {},
      onStart: () => {
        const timer = setInterval(async () => {
          if (!existsSync(at("locked.jsonl.state/progress.jsonl"))) return;
          clearInterval(timer);
          refused.push(started(main, slowly("locked.jsonl", "--resume")));
        }, 20);
      },
    });
    const { code, errors } = await refused[0]!;
    expect([first.code, code]).toEqual([0, 2]);
    expect(errors).toMatch(/sample: a run in .*locked\.jsonl\.state goes on in process \d+; wait/);
    expect(await textIn("locked.jsonl")).toBe(whole);
  });

  it("goes on with the same settings only, and says which option differs", async () => {
    await done("settled.jsonl");
    await writeFile(at("more.jsonl"), `${await textIn("prompts.jsonl")}{"prompt": "c"}\n`);
    await writeFile(at("bytes2.mjs"), `${await textIn("bytes.mjs")} `);
    const others: [string[], RegExp][] = [
      [["--temperature", "0.7"], /--temperature was 1, now 0\.7/],
      [["--samples", "5"], /--samples was 4, now 5/],
      [["--max-new-tokens", "7"], /--max-new-tokens was 6, now 7/],
      [["--seed", "1"], /--seed was 42, now 1/],
      [["--pairs", "none"], /--pairs was "best-worst", now "none"/],
      [["--top-p", "0.9"], /--top-p was not set, now 0\.9/],
      [["--accepted", "2"], /--accepted was not set, now 2; --accepted-beta was not set, now 0\.5/],
      [["--model", at("other")], /\(--model was "\w+", now "\w+"\)/],
      [["--data", at("more.jsonl")], /\(--data was "\w+", now "\w+"\)/],
      [["--chat"], /\(--chat was false, now true; --data was "\w+", now "\w+"\)/],
      [["--limit", "3"], /\(--data was "\w+", now "\w+"; --limit was not set, now 3\)/],
      [["--reward", at("bytes2.mjs")], /\(--reward was "a file \w+", now "a file \w+"\)/],
      [["--dtype", "float64"], /--dtype was "float32", now "float64"/],
    ];
    const before = await filesOf("settled.jsonl");
    for (const [more, message] of others) {
      const { code, errors } = await sampled("settled.jsonl", ...more, "--resume");
      expect.soft(code).toBe(2);
      expect.soft(errors).toMatch(message);
    }
    expect(await filesOf("settled.jsonl")).toBe(before);
    // What changes no result may differ; --overwrite begins anew.
    await done("settled.jsonl", "--resume", "--sampling-batch-size", "2", "--threads", "1");
    await done("settled.jsonl", "--overwrite", "--seed", "1");
    expect(await textIn("settled.jsonl")).not.toBe(before.split("\n\n")[0]);
    // What somebody shortened is not gone on with.
    await writeFile(at("settled.jsonl"), "");
    const { code, errors } = await sampled("settled.jsonl", "--resume", "--seed", "1");
    expect(code).toBe(2);
    expect(errors).toMatch(/settled\.jsonl has 0 bytes, and its run wrote \d+: it was changed/);
  });

  it("keeps what came before a reward that fails", async () => {
    await writeFile(
      at("third.mjs"),
      'export default (prompt, completions) => { if (prompt === "x y z") throw new Error("no idea"); return completions.map(({ length }) => length); };',
    );
    const { code, errors } = await sampled(
      "failed.jsonl",
      "--reward",
      at("third.mjs"),
      "--pairs",
      "none",
    );
    expect(code).toBe(1);
    expect(errors).toMatch(/^--reward: .*third\.mjs: Error: no idea\n +at /m);
    expect((await linesIn("failed.jsonl")).map(({ prompt }) => prompt)).toEqual(["ab", "Hello"]);
  });
});

describe("the implicit reward", () => {
  /** log p of a completion after a prompt, in nats, from all logits. */
  async function logProb(parameters: DecoderParameters, prompt: number[], ids: number[]) {
    const all = tensor([[...prompt, ...ids]], { dtype: "int32" });
    const states = lm.model.hidden(parameters, all);
    const logits = matmul(states, lm.model.headWeight(parameters).transpose());
    const [found] = (await logSoftmax(logits).array()) as number[][][];
    return ids.reduce((sum, id, t) => sum + found![prompt.length + t - 1]![id]!, 0);
  }

  it("is β times the log-ratio to the model without its adapter, or to another", async () => {
    const adapter = initLora(lm, { rank: 2, alpha: 4, targets: "all-linear", seed: 1 });
    const moved = treeMap((t) => t.add(0.05), adapter.parameters);
    await saveAdapter(at("adapter"), lm, { ...adapter, parameters: moved });
    const parameters = withLora(lm, { ...adapter, parameters: moved });
    const other = await loadModel(at("other"));
    const cases = [
      [["--adapter", at("adapter")], parameters, lm.parameters, 0.1],
      [["--reference-model", at("other"), "--beta", "0.5"], lm.parameters, other.parameters, 0.5],
    ] as const;
    for (const [i, [more, policy, reference, beta]] of cases.entries()) {
      await done(`implicit${i}.jsonl`, "--reward", "implicit", "--pairs", "none", ...more);
      let seen = 0;
      for (const { row, prompt, candidates } of await linesIn(`implicit${i}.jsonl`)) {
        const promptIds = lm.tokenizer.encode(prompt);
        const ids = await generate(
          lm.model,
          policy,
          candidates.map(() => promptIds),
          {
            ...{ maxNewTokens: 6, temperature: 1, stopTokens: 256 },
            seed: [0, 1, 2, 3].map((k) => `42 ${row} ${k}`),
          },
        );
        for (const [k, { score }] of candidates.entries()) {
          const own = await logProb(policy, promptIds, ids[k]!);
          const base = await logProb(reference, promptIds, ids[k]!);
          expect(score).toBeCloseTo(beta * (own - base), 4);
          expect(Math.abs(own - base)).toBeGreaterThan(1e-3);
          seen++;
        }
      }
      expect(seen).toBe(20);
    }
  });
});

describe("a judge behind an endpoint", () => {
  /** A judge that counts letters of an answer. */
  const letters = (text: string): string => {
    const [, answer = ""] = /\[begin answer #\d+\]\n([\s\S]*)\n\[end answer/.exec(text) ?? [];
    return JSON.stringify(1 + (answer.length % 5));
  };
  const judge = () =>
    served((response, asked) => {
      const [first, second] = asked.body.messages;
      if (first!.content.startsWith("You choose")) {
        says('{"aspects": ["clarity", "depth"]}')(response, asked);
        return;
      }
      const score = letters(second!.content);
      says(`{"scores": {"clarity": ${score}, "depth": ${score}}, "feedback": "${KEY}"}`)(
        response,
        asked,
      );
    });
  const judged = (url: string) => ["--reward", `${url}?secret=query-secret`, "--judge", "j"];

  it("scores candidates; its key is in the request and nowhere else", async () => {
    vi.stubEnv("PREFGRAD_JUDGE_API_KEY", KEY);
    vi.stubEnv("PREFGRAD_API_KEY", "model-key-0123456789");
    const server = await judge();
    const { errors } = await done("judged.jsonl", ...judged(server.url), "--pairs", "none");
    const lines = await linesIn("judged.jsonl");
    expect(lines).toHaveLength(5);
    for (const { candidates } of lines) {
      for (const { text, score } of candidates) {
        // Control characters do not reach the judge.
        if (!/\p{Cc}/u.test(text)) expect(score).toBe(1 + (text.length % 5));
        expect([1, 2, 3, 4, 5]).toContain(score);
      }
    }
    expect(errors).not.toContain("unread verdicts");
    expect(new Set(server.asked.map(({ headers }) => headers.authorization))).toEqual(
      new Set([`Bearer ${KEY}`]),
    );
    const left = (await filesOf("judged.jsonl")) + errors;
    for (const secret of [KEY, "model-key", "query-secret"]) expect(left).not.toContain(secret);
    expect(left).toContain("[redacted]");
    // Nothing is asked twice.
    const before = server.asked.length;
    await done("judged.jsonl", ...judged(server.url), "--pairs", "none", "--resume");
    expect(server.asked.length).toBe(before);
    const otherJudge = ["--reward", server.url, "--judge", "k", "--pairs", "none", "--resume"];
    const { code, errors: said } = await sampled("judged.jsonl", ...otherJudge);
    await server.close();
    expect([code, said]).toEqual([2, expect.stringContaining('--judge was "j", now "k"')]);
  });

  it("stops at the budget with whole lines, and goes on with a larger one to the same bytes", async () => {
    const server = await judge();
    await done("rich.jsonl", ...judged(server.url));
    const all = server.asked.length;
    server.asked.length = 0;
    const { errors } = await done("poor.jsonl", ...judged(server.url), "--max-requests", "12");
    expect(server.asked.length).toBe(12);
    expect(errors).toMatch(/prompts +[12] of 5\n/);
    expect(errors).toMatch(/the budget is spent: --resume with a larger one goes on\n$/);
    await done("poor.jsonl", ...judged(server.url), "--resume", "--max-requests", "1000");
    expect(await textIn("poor.jsonl")).toBe(await textIn("rich.jsonl"));
    expect(server.asked.length).toBe(all);
    await server.close();
  });

  it("fails with what the server says, in a line without keys, and keeps the lines", async () => {
    vi.stubEnv("PREFGRAD_JUDGE_API_KEY", KEY);
    const server = await served(fails(401, `wrong key ${KEY}\u001b[2J`));
    const { code, errors } = await sampled("denied.jsonl", ...judged(server.url));
    await server.close();
    expect(code).toBe(1);
    expect(errors).toMatch(/judge: http:\S+: status 401: wrong key \[redacted\]/);
    for (const own of ["\u001b", "judge-key", "query-secret"]) expect(errors).not.toContain(own);
    expect(await textIn("denied.jsonl")).toBe("");
    // One that is not understood makes no pairs.
    const vague = await served(says("It depends."));
    const { errors: said } = await done("vague.jsonl", ...judged(vague.url));
    await vague.close();
    expect(said).toMatch(/\npairs +0\nunread verdicts +20, which scored 0\n$/);
    // One that never answers is given up after its time.
    const silent = await served(() => {});
    const patience = ["--timeout", "0.2", "--retries", "0"];
    const late = await sampled("late.jsonl", ...judged(silent.url), ...patience);
    await silent.close();
    expect([late.code, late.errors]).toEqual([1, expect.stringContaining("within 0.2 seconds")]);
  });
});

it("refuses what cannot be used, with exit code 2 and before it writes anything", async () => {
  await writeFile(at("bad.jsonl"), '{"prompt": "a"}\n{"question": "b"}\n{"prompt": 3}\nx\n');
  await writeFile(at("long.jsonl"), JSON.stringify({ prompt: "x".repeat(60) }));
  await writeFile(at("empty.jsonl"), "");
  await writeFile(at("mine.jsonl"), "mine");
  const implicit = ["--reward", "implicit"];
  const cases: [string[], RegExp][] = [
    [
      ["--data", at("bad.jsonl")],
      /has 3 problems\n.*bad\.jsonl:2: prompt is missing; the row has question: the option columns says/,
    ],
    [
      ["--data", at("long.jsonl")],
      /long\.jsonl:1: the prompt has 60 tokens, at most 58 leave room for 6 new ones \(--max-new-tokens\)/,
    ],
    [["--data", at("empty.jsonl")], /has no rows/],
    [["--data", at("absent.jsonl")], /absent\.jsonl/],
    [
      ["--system", "S"],
      /no prompt is a conversation, so there is none for the option system to begin/,
    ],
    [["--reward", at("absent.mjs")], /--reward: ENOENT/],
    [["--reward", at("none.mjs")], /none\.mjs must export a function by default/],
    [["--reward", at("syntax.mjs")], /--reward: .*syntax\.mjs cannot be loaded: /],
    [implicit, /--reward implicit: the policy would be its own reference, .*; give --adapter/],
    [
      [...implicit, "--reference-model", at("small")],
      /--reference-model: it has 40 tokens and --model 257/,
    ],
    [["--beta", "1"], /--beta is of --reward implicit/],
    [["--judge", "j"], /--judge is the name of a model at the address of --reward/],
    [["--reward", "http://localhost:1/v1"], /one needs the other/],
    [
      ["--reward", "https://user:hunter22@a.test", "--judge", "j"],
      /url must hold no user and password/,
    ],
    [["--temperature", "0"], /--temperature 0 makes all candidates of a prompt the same/],
    [["--samples", "1"], /a pair takes two candidates/],
    [["--accepted", "5"], /--accepted must be at most --samples, 4, got 5/],
    [["--accepted-beta", "1"], /--accepted-beta is part of --accepted/],
    [["--pairs", "none", "--accepted", "2"], /--pairs none makes none/],
    [["--pairs", "best"], /--pairs must be one of best-worst, first-round, tournament, none/],
    [["--output", at("prompts.jsonl")], /--output is the file of --data, which would be lost/],
    [["--output", at("bytes.mjs")], /--output is the file of --reward, which would be lost/],
    [["--output", at("model")], /model is no file: give one such as pairs\.jsonl/],
    [["--output", at("mine.jsonl")], /mine\.jsonl is there, and not known to be of a run/],
    [["--resume", "--overwrite"], /resume keeps the run that is there, overwrite deletes it/],
    [["--model", at("small")], /small has no tokenizer\.json/],
  ];
  for (const [more, message] of cases) {
    const { code, errors, output } = await sampled("refused.jsonl", ...more);
    expect.soft([code, output], more.join(" ")).toEqual([2, ""]);
    expect.soft(errors).toMatch(message);
    expect.soft(errors).not.toContain("hunter22");
  }
  expect(existsSync(at("refused.jsonl"))).toBe(false);
  expect(await textIn("mine.jsonl")).toBe("mine");
  // Node's own making of directories never ends there.
  if (existsSync("/proc/self")) {
    const nowhere = await sampled("x", "--output", "/proc/foo/pairs.jsonl");
    expect(nowhere).toMatchObject({
      ...{ code: 1, output: "" },
      errors: expect.stringMatching(/^\/proc\/foo\/?: no directory can be made there\n$/),
    });
  }
  // A reward that gives what is none is found out at the first prompt.
  const few = await sampled("few.jsonl", "--reward", at("few.mjs"));
  expect([few.code, few.errors]).toEqual([
    2,
    expect.stringContaining(
      'it must give 4 numbers, one for each completion, got 1 for the prompt "ab"',
    ),
  ]);
  const bug = await sampled("bug.jsonl", "--reward", at("throws.mjs"));
  expect([bug.code, bug.errors]).toEqual([
    1,
    expect.stringMatching(/throws\.mjs: TypeError: .*\n +at /),
  ]);
});
