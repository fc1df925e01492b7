/**
 * `prefgrad prompt` against a server on this machine: what it writes, how it goes on, and that no key gets anywhere.
 */

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Exchange } from "../../src/methods/index.js";
import { type Asked, fails, says, served } from "../methods/loopback.js";
import { echo, RULES, rulesJudge } from "../methods/scripted.js";
import { TINY, tinyFiles, writeFiles } from "../models/tinyCheckpoint.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";
import { bundled, started } from "./run.js";

const [KEY, JUDGE_KEY] = ["model-key-0123456789", "judge-key-0123456789"];

let folder: string;
let main: string;
let server: Awaited<ReturnType<typeof served>>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-prompt-"));
  main = await bundled(folder);
  await writeFile(join(folder, "queries.txt"), "one?\n\ntwo?\ntwo?\nthree?\n");
});
afterAll(() => rm(folder, { recursive: true, force: true }));
beforeEach(async () => {
  vi.stubEnv("PREFGRAD_API_KEY", KEY);
  vi.stubEnv("PREFGRAD_JUDGE_API_KEY", JUDGE_KEY);
  server = await served(async (response, asked) => {
    const { model, messages } = asked.body;
    const scripted = model === "judge" ? rulesJudge : echo;
    says(await scripted(messages, { seed: asked.body.seed as number }))(response, asked);
  });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.close();
});

/** Arguments of a short search. */
const search = (output: string, ...more: readonly string[]): string[] => [
  ...["prompt", "--queries", join(folder, "queries.txt"), "--output", join(folder, output)],
  ...["--depth", "5", "--examples", "2", "--seed", "3", "--prompt", "answer", ...more],
];
const atServer = (output: string, ...more: readonly string[]): string[] => {
  const { url } = server;
  const judge = ["--judge", "judge", "--judge-endpoint", `${url}/judge?secret=query-secret`];
  return search(output, "--model", "m", "--endpoint", url, ...judge, ...more);
};

/** Everything that a run left. */
async function filesOf(output: string): Promise<string> {
  const names = await readdir(join(folder, output));
  const texts = names.map((name) => readFile(join(folder, output, name), "utf8"));
  return (await Promise.all(texts)).join("\n");
}

const exchangesOf = async (output: string): Promise<Exchange[]> => {
  const text = await readFile(join(folder, output, "transcript.jsonl"), "utf8");
  return text
    .split("\n")
    .slice(1, -1)
    .map((line) => JSON.parse(line));
};
const question = ({ messages, seed }: { messages: unknown; seed?: unknown }): string =>
  JSON.stringify([messages, seed ?? null]);

/** What can be compared of two runs. */
async function resultOf(output: string): Promise<object> {
  const text = await readFile(join(folder, output, "result.json"), "utf8");
  const { settings: _, counts, ...rest } = JSON.parse(text);
  return rest;
}

describe("prompt", () => {
  it("writes the best prompt, and how it was found", async () => {
    const { output, errors, code } = await started(main, atServer("run"));
    expect([code, output]).toEqual([0, await readFile(join(folder, "run", "prompt.txt"), "utf8")]);
    for (const rule of RULES) expect(output).toContain(rule);
    const result = JSON.parse(await readFile(join(folder, "run", "result.json"), "utf8"));
    expect(result).toMatchObject({
      settings: {
        model: "m",
        endpoint: server.url,
        judge: "judge",
        judgeEndpoint: `${server.url}/judge`,
      },
      search: { rewrites: 3, beam: 2, depth: 5, queriesPerStep: 4, examples: 2, seed: 3 },
      prompt: output.trimEnd(),
      reward: 4,
      end: "depth",
      counts: { requests: server.asked.length },
    });
    expect(result.path).toHaveLength(6);
    expect(result.examples).toHaveLength(2);
    expect((await readdir(join(folder, "run"))).sort()).toEqual([
      "prompt.txt",
      "result.json",
      "transcript.jsonl",
    ]);
    const lines = errors.trimEnd().split("\n");
    expect(lines).toContainEqual(
      expect.stringMatching(/^example 2\/2 {2}\d+ requests, [\d,]+ tokens$/),
    );
    expect(lines).toContainEqual(
      expect.stringMatching(/^round 5\/5 {2}mean score 4\.00 {2}\d+ requests/),
    );
    expect(lines.at(-1)).toMatch(/^mean score 4\.00 of 5; \d+ requests, [\d,]+ tokens$/);
    // Once more: all is known.
    const before = server.asked.length;
    const again = await started(main, atServer("run", "--resume"));
    expect([again.output, server.asked.length]).toEqual([output, before]);
  });

  it("sends each key where it belongs, and writes none", async () => {
    const { output, errors } = await started(main, atServer("secret"));
    const keys = (path: RegExp) =>
      new Set(
        server.asked.filter((own) => path.test(own.path)).map((own) => own.headers.authorization),
      );
    expect(keys(/^\/v1\/chat\/completions$/)).toEqual(new Set([`Bearer ${KEY}`]));
    expect(keys(/^\/v1\/judge\/chat\/completions\?secret=query-secret$/)).toEqual(
      new Set([`Bearer ${JUDGE_KEY}`]),
    );
    const left = [output, errors, await filesOf("secret")].join("\n");
    for (const secret of [KEY, JUDGE_KEY, "query-secret"]) expect(left).not.toContain(secret);
    // The judge's server is another one: the model's key is not for it.
    vi.stubEnv("PREFGRAD_JUDGE_API_KEY", undefined);
    const other = await served(fails(401, `wrong: ${KEY}`));
    const args = search("other", "--model", "m", "--endpoint", server.url, "--retries", "0");
    const judged = [...args, "--judge", "j", "--judge-endpoint", other.url];
    const { code, errors: said } = await started(main, judged);
    await other.close();
    expect(code).toBe(1);
    expect(said).toMatch(/judge: http:.*: status 401: wrong: /);
    expect(other.asked.map(({ headers }) => headers.authorization)).toContain(undefined);
    expect(other.asked.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });

  it("goes on after it was killed, without asking what is known", async () => {
    await started(main, atServer("whole"));
    const whole = new Set(server.asked.map(({ body }) => question(body)));
    server.asked.length = 0;
    const killed = await started(main, atServer("killed"), {
      onErrors: (child, text) => {
        if (text.includes("round 2/5")) child.kill("SIGKILL");
      },
    });
    expect(killed.signal).toBe("SIGKILL");
    const known = await exchangesOf("killed");
    expect(known.length).toBeGreaterThan(20);
    server.asked.length = 0;
    const { code } = await started(main, atServer("killed", "--resume"));
    expect(code).toBe(0);
    const asked = new Set(server.asked.map(({ body }: Asked) => question(body)));
    const before = known.map(({ messages, options }) => question({ messages, ...options }));
    expect(before.filter((own) => asked.has(own))).toEqual([]);
    expect(new Set([...asked, ...before])).toEqual(whole);
    expect(await resultOf("killed")).toEqual(await resultOf("whole"));
  });

  it("stops at Ctrl-C and at the budget with the best so far", async () => {
    const { code, errors } = await started(main, atServer("stopped"), {
      onErrors: (child, text) => {
        if (text.includes("round 1/5")) child.kill("SIGINT");
      },
    });
    expect(code).toBe(130);
    expect(errors).toMatch(/interrupted; .*prompt\.txt is the best so far: --resume goes on/);
    expect(await readFile(join(folder, "stopped", "prompt.txt"), "utf8")).toMatch(/^answer; /);
    server.asked.length = 0;
    const short = await started(main, atServer("short", "--max-requests", "60"));
    expect([short.code, server.asked.length]).toEqual([0, 60]);
    expect(short.errors).toMatch(/the budget is spent: --resume with a larger one goes on/);
  });

  it("searches for the prompt of a model that is loaded here", async () => {
    const directory = join(folder, "model");
    const template = "{% for m in messages %}{{ m.role[0] + m.content + '|' }}{% endfor %}";
    const files = await tinyFiles({ ...TINY.qwen3, vocab_size: 257, eos_token_id: 256 });
    const tokens = tokenizerFiles(byteLevel({ added: [{ content: "<end>" }] }), {}, template);
    await writeFiles(directory, { ...files, ...tokens });
    const judge = ["--judge", "judge", "--judge-endpoint", server.url];
    const few = ["--depth", "1", "--examples", "0", "--max-new-tokens", "4"];
    const args = search("local", "--model", directory, ...judge, ...few);
    const { code, errors } = await started(main, args);
    expect([errors.split("\n").at(-2), code]).toEqual([
      expect.stringMatching(/^mean score 1\.00 of 5; /),
      0,
    ]);
    const own = (await exchangesOf("local")).filter(({ who }) => who === "model");
    expect(own.length).toBeGreaterThan(5);
    expect(own.every(({ answer }) => typeof answer === "string")).toBe(true);
    expect(server.asked.every(({ body }) => body.model === "judge")).toBe(true);
  });

  it("refuses what cannot be used, with exit code 2", async () => {
    await writeFile(join(folder, "bad.jsonl"), '"one"\n{"query": 3}\n');
    await writeFile(join(folder, "cut.jsonl"), '"one"\n{"que\n');
    await writeFile(join(folder, "none.txt"), "\n");
    await writeFile(join(folder, "key.yaml"), `api_key: ${KEY}\n`);
    await started(main, atServer("there", "--depth", "0", "--examples", "0"));
    const { url } = server;
    const cases: [string[], RegExp][] = [
      [
        search("x", "--model", "m", "--judge-endpoint", url),
        /--judge-endpoint is of another judge/,
      ],
      [atServer("x", "--adapter", "a"), /--adapter is of a model that is loaded here/],
      [
        atServer("x", "--queries", join(folder, "bad.jsonl")),
        /bad\.jsonl:2: must be a text, or an/,
      ],
      [atServer("x", "--queries", join(folder, "cut.jsonl")), /cut\.jsonl:2: no JSON/],
      [atServer("x", "--queries", join(folder, "none.txt")), /none\.txt holds no query/],
      [atServer("x", "--queries", join(folder, "absent")), /--queries: ENOENT/],
      [atServer("x", "--endpoint", "https://user:hunter22@a.test"), /url must hold no user and/],
      [atServer("x", "--beam", "0"), /--beam must be an integer, at least 1/],
      [atServer("x", "--config", join(folder, "key.yaml")), /api_key is no option/],
      [atServer("there"), /holds a transcript; set resume \(--resume\)/],
      [[...atServer("there", "--resume"), "--judge", "other"], /is of other models \(judge was/],
      [["prompt", "--model", "m", "--output", "x"], /prompt needs --queries <file>/],
    ];
    for (const [args, message] of cases) {
      const { code, errors, output } = await started(main, args);
      expect.soft([code, output]).toEqual([2, ""]);
      expect.soft(errors).toMatch(message);
      expect.soft(errors).not.toMatch(/hunter22|model-key/);
    }
    // JSON lines of each kind.
    await writeFile(join(folder, "good.jsonl"), '"one"\n{"query": "two"}\n\n{"prompt": "three"}\n');
    const args = atServer("json", "--depth", "0", "--examples", "0");
    await started(main, [...args, "--queries", join(folder, "good.jsonl")]);
    const asked = (await exchangesOf("json")).filter(({ who }) => who === "model");
    expect(asked.map(({ messages }) => messages.at(-1)!.content).sort()).toEqual([
      "one",
      "three",
      "two",
    ]);
  });
});
