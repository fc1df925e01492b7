/**
 * Models behind endpoints, of the AI SDK and loaded ones; how they are asked, and what is noted of it.
 */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type RequestOptions, requestsOf } from "../../src/methods/chat/requests.js";
import {
  type AiSdkCall,
  aiSdkModel,
  type ChatModel,
  type ChatTurn,
  endpointModel,
  localModel,
  openTranscript,
} from "../../src/methods/index.js";
import { generate, loadModel } from "../../src/models/index.js";
import { writeTinyModel } from "../cli/run.js";
import { fails, fakeClock, type Handler, says, served, servedInTurn } from "./loopback.js";

const KEY = "sk-test-Zq81-verysecret/+=";
const HELLO: readonly ChatTurn[] = [
  { role: "system", content: "S" },
  { role: "user", content: "Hello" },
];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-chat-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const servers: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

/** A server, and a model behind it that is asked with limits. */
async function behind(
  handlers: readonly Handler[],
  options: RequestOptions = {},
  own: object = {},
) {
  const server = await servedInTurn(...handlers);
  servers.push(server);
  const model = endpointModel({ url: server.url, model: "m", apiKey: KEY, ...own });
  const { clock, slept } = fakeClock();
  const requests = requestsOf("test", { clock, ...options });
  return { ...server, model, slept, requests, ask: requests.of("model", model) };
}

/** What a promise is rejected with. */
const failure = (promise: Promise<unknown>): Promise<Error & Record<string, unknown>> =>
  promise.then(
    () => expect.unreachable(),
    (error) => error,
  );

describe("endpointModel", () => {
  it("sends a chat completion, and gives the text and the tokens", async () => {
    const { asked, model } = await behind([says("Hi")], {}, { body: { top_p: 0.5 } });
    const used: unknown[] = [];
    const answer = await model(HELLO, {
      temperature: 0.3,
      maxTokens: 9,
      seed: 4,
      onUsage: (usage) => used.push(usage),
    });
    expect(answer).toBe("Hi");
    expect(used).toEqual([{ prompt: 30, completion: 12 }]);
    expect(asked).toHaveLength(1);
    expect(asked[0]!.path).toBe("/v1/chat/completions");
    expect(asked[0]!.headers.authorization).toBe(`Bearer ${KEY}`);
    expect(asked[0]!.body).toEqual({
      model: "m",
      messages: HELLO,
      temperature: 0.3,
      max_tokens: 9,
      seed: 4,
      stream: false,
      top_p: 0.5,
    });
  });

  it("leaves out what is not given, and fields that the body sets to undefined", async () => {
    const body = { max_tokens: undefined, max_completion_tokens: 5 };
    const { asked, model } = await behind([says("Hi")], {}, { apiKey: undefined, body });
    await model(HELLO, { maxTokens: 9 });
    expect(asked[0]!.headers).not.toHaveProperty("authorization");
    expect(asked[0]!.body).toEqual({
      model: "m",
      messages: HELLO,
      stream: false,
      max_completion_tokens: 5,
    });
  });

  it("takes a refusal for the answer, parts for one text, and nothing for an empty answer", async () => {
    const parts = [{ type: "text", text: "a" }, { type: "image" }, { type: "text", text: "b" }];
    const handlers = [says(null, { refusal: "I can't help." }), says(parts), says(null)];
    const { model } = await behind(handlers);
    expect(await model(HELLO, {})).toBe("I can't help.");
    expect(await model(HELLO, {})).toBe("ab");
    expect(await model(HELLO, {})).toBe("");
  });

  it("says whether a failure may pass, and when", async () => {
    const handlers = [
      fails(429, "slow down", { "retry-after": "7" }),
      fails(503, "later", { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }),
      fails(503, "later", { "retry-after": "Fri, 31 Dec 9999 23:59:59 GMT" }),
      fails(503, "later", { "retry-after": "soon" }),
      fails(401, "no key"),
    ];
    const { model, url } = await behind(handlers);
    const place = `${url}/chat/completions`;
    const found = [];
    for (const _ of handlers) {
      const { message, status, retryable, retryAfter } = await failure(model(HELLO, {}));
      found.push([message, status, retryable, retryAfter]);
    }
    expect(found).toEqual([
      [`${place}: status 429: slow down`, 429, true, 7],
      [`${place}: status 503: later`, 503, true, 0],
      [`${place}: status 503: later`, 503, true, 86_400],
      [`${place}: status 503: later`, 503, true, undefined],
      [`${place}: status 401: no key`, 401, false, undefined],
    ]);
  });

  it("rejects what is no chat completion", async () => {
    const wrong = ["{", "[]", '"text"', "null", '{"choices": []}', '{"choices": [{"message": 3}]}'];
    const send =
      (text: string): Handler =>
      (response) =>
        response.end(text);
    const { model } = await behind([...wrong, '{"error": {"message": "overloaded"}}'].map(send));
    for (const _ of wrong) {
      expect(await failure(model(HELLO, {}))).toMatchObject({
        message: expect.stringMatching(/: the response is no chat completion$/),
        retryable: true,
      });
    }
    expect((await failure(model(HELLO, {}))).message).toMatch(/: overloaded$/);
  });

  it("reads no more than maxBytes, however much comes", async () => {
    let sent = 0;
    const endless: Handler = (response) => {
      response.on("error", () => {});
      const more = (): void => {
        if (response.destroyed) return;
        sent += 65_536;
        response.write("x".repeat(65_536), () => setImmediate(more));
      };
      more();
    };
    const { model } = await behind([endless], {}, { maxBytes: 100_000 });
    const error = await failure(model(HELLO, {}));
    expect(error.message).toMatch(/longer than 100000 bytes \(maxBytes\)$/);
    expect(error.retryable).toBe(false);
    expect(sent).toBeGreaterThan(0);
  });

  it("follows no redirect, which could take the key elsewhere", async () => {
    const other = await served(says("stolen"));
    servers.push(other);
    const leads = (status: number) => (response: ServerResponse) =>
      response.writeHead(status, { location: `${other.url}/chat/completions` }).end();
    for (const status of [301, 302, 307, 308]) {
      // It would be refused every time: it is asked once.
      const { ask, asked } = await behind([leads(status)]);
      const error = await failure(ask(HELLO, {}));
      expect(error.message).toMatch(/it redirects, which is refused; give the address that it/);
      expect(error).toMatchObject({ retryable: false, status });
      expect(asked).toHaveLength(1);
    }
    // As a browser tells it: without a status.
    const opaque = { type: "opaqueredirect", status: 0, ok: false, body: null };
    const fetch = async () => ({ ...opaque, headers: new Headers() }) as never;
    const { model } = await behind([], {}, { fetch });
    expect((await failure(model(HELLO, {}))).message).toMatch(/it redirects, which is refused/);
    expect(other.asked).toEqual([]);
  });

  it("says so where what was thrown is nothing", async () => {
    for (const nothing of [null, undefined]) {
      const fetch = () => Promise.reject(nothing);
      const { model } = await behind([], {}, { fetch });
      const error = await failure(model(HELLO, {}));
      expect(error).toMatchObject({ name: "ChatError", retryable: true });
      expect(error.message).toMatch(new RegExp(`cannot be reached: ${nothing}$`));
      const ask = requestsOf("test", {}).of("judge", () => Promise.reject(nothing));
      expect(await failure(ask(HELLO, {}))).toMatchObject({
        ...{ name: "ChatError", retryable: false },
        message: `judge: ${nothing}`,
      });
    }
  });

  it("keeps secrets out of errors and answers", async () => {
    const secret = "other-secret-value";
    const query = "query-secret-value";
    const token = "a-proxys-token-value";
    const divided = `${KEY.slice(0, 5)}\x07${KEY.slice(5)}`;
    const echo = `${KEY} ${encodeURIComponent(KEY)} Bearer ${KEY} ${secret} ${query} ${token} ${divided} sk-somebodyelses123456`;
    const headers = { "api-key": secret, "proxy-authorization": `Basic ${token}` };
    const send = (url: string, handlers: readonly Handler[]) =>
      behind(handlers, {}, { headers, url: `${url}?api_key=${query}` });
    const server = await servedInTurn(says(echo), fails(401, `wrong key: ${echo}\x1b[31m\nline`));
    servers.push(server);
    const { model } = await send(server.url, []);
    const answer = await model(HELLO, {});
    const error = await failure(model(HELLO, {}));
    const shown = [answer, error.message, error.stack, JSON.stringify(error), String(error.cause)];
    expect(server.asked[0]!.headers["api-key"]).toBe(secret);
    expect(server.asked[0]!.path).toContain(query);
    for (const text of shown) {
      for (const own of [KEY, encodeURIComponent(KEY), secret, query, token])
        expect(text).not.toContain(own);
    }
    expect(error.message).toContain("[redacted]");
    expect(error.message).not.toContain("sk-somebodyelses");
    expect(error.message).not.toMatch(/\p{Cc}/u);
  });

  it("names a server that cannot be reached, and nothing secret", async () => {
    const model = endpointModel({
      url: "http://127.0.0.1:1/v1?key=abcdefgh",
      model: "m",
      apiKey: KEY,
    });
    const error = await failure(model(HELLO, {}));
    expect(error.retryable).toBe(true);
    expect(error.message).toMatch(
      /^http:\/\/127\.0\.0\.1:1\/v1\/chat\/completions: cannot be reached: /,
    );
  });

  it("refuses addresses and keys that cannot be used, without showing them", () => {
    const make = (own: object) => () =>
      endpointModel({ url: "http://a.test/v1", model: "m", ...own });
    expect(make({ url: "nonsense" })).toThrow(/url must be an address/);
    expect(make({ url: "ftp://a.test" })).toThrow(/url must begin with https/);
    expect(make({ url: "https://user:hunter22@a.test" })).toThrow(
      /no user and password; give apiKey/,
    );
    expect(make({ url: "https://user:hunter22@a.test" })).not.toThrow(/hunter22/);
    expect(make({ apiKey: `${KEY}\n` })).toThrow(/apiKey must be a text of printable ASCII/);
    expect(make({ apiKey: `${KEY}\n` })).not.toThrow(/verysecret/);
    expect(make({ apiKey: "" })).toThrow(/apiKey must be/);
    expect(make({ model: "" })).toThrow(/model must be a name/);
    expect(make({ maxBytes: 0 })).toThrow(/maxBytes must be an integer ≥ 1/);
    expect(make({ apikey: KEY })).toThrow(/no option `apikey`; did you mean `apiKey`/);
  });
});

describe("aiSdkModel", () => {
  const call = (specificationVersion: string, usage: unknown) => {
    const calls: AiSdkCall[] = [];
    const model = aiSdkModel({
      specificationVersion,
      provider: "p",
      modelId: "id",
      doGenerate: async (own) => {
        calls.push(own);
        const content = [
          { type: "reasoning", text: "hm" },
          { type: "text", text: "Hi" },
          { type: "file" },
        ];
        return { content, usage, finishReason: "stop" };
      },
    });
    return { calls, model };
  };

  it("asks models of versions 2 to 4, and reads texts and tokens", async () => {
    const nested = { inputTokens: { total: 5 }, outputTokens: { total: 2 } };
    const cases = [
      ["v2", { inputTokens: 5, outputTokens: 2 }],
      ["v3", nested],
      ["v4", nested],
    ] as const;
    for (const [version, usage] of cases) {
      const { calls, model } = call(version, usage);
      const used: unknown[] = [];
      const { signal } = new AbortController();
      const turns = [...HELLO, { role: "assistant", content: "A" }] as const;
      const how = { temperature: 0, maxTokens: 7, seed: 3, signal };
      expect(await model(turns, { ...how, onUsage: (own) => used.push(own) })).toBe("Hi");
      expect(used).toEqual([{ prompt: 5, completion: 2 }]);
      expect(calls).toEqual([
        {
          prompt: [
            { role: "system", content: "S" },
            { role: "user", content: [{ type: "text", text: "Hello" }] },
            { role: "assistant", content: [{ type: "text", text: "A" }] },
          ],
          temperature: 0,
          maxOutputTokens: 7,
          seed: 3,
          abortSignal: signal,
        },
      ]);
    }
  });

  it("tells the SDK's errors as ours, and leaves others as they are", async () => {
    const failing = (error: unknown) =>
      aiSdkModel({
        specificationVersion: "v3",
        provider: "p",
        modelId: "id",
        doGenerate: () => Promise.reject(error),
      });
    const known = { statusCode: 429, isRetryable: true, responseHeaders: { "retry-after": "3" } };
    const error = Object.assign(new Error("no: sk-abcdefghijklmnop"), known);
    expect(await failure(failing(error)(HELLO, {}))).toMatchObject({
      name: "ChatError",
      message: "p id: no: [redacted]",
      status: 429,
      retryable: true,
      retryAfter: 3,
    });
    const other = new TypeError("mistake");
    expect(await failure(failing(other)(HELLO, {}))).toBe(other);
    for (const nothing of [null, undefined]) {
      expect(await failure(failing(nothing)(HELLO, {}))).toBe(nothing);
    }
  });

  it("refuses what is no model of the SDK", () => {
    expect(() => aiSdkModel("gpt-4o" as never)).toThrow(/expected a language model of the AI SDK/);
    const { doGenerate } = { doGenerate: () => expect.unreachable() };
    const old = { specificationVersion: "v1", provider: "p", modelId: "id", doGenerate };
    expect(() => aiSdkModel(old)).toThrow(/specificationVersion must be one of "v2", "v3", "v4"/);
  });
});

describe("localModel", () => {
  const chatTemplate = "{% for m in messages %}{{ m.role[0] + m.content + '|' }}{% endfor %}";

  it("answers as the library writes after the chat template, one request after the other", async () => {
    const directory = join(folder, "model");
    await writeTinyModel(directory);
    const lm = await loadModel(directory);
    const model = localModel(lm, { chatTemplate, maxTokens: 6 });
    const used: unknown[] = [];
    const onUsage = (own: unknown) => used.push(own);
    const [one, two] = await Promise.all([model(HELLO, { onUsage }), model(HELLO, {})]);
    const { parameters, tokenizer, generationConfig } = lm;
    const ids = tokenizer!.encode("sS|uHello|");
    const how = { maxNewTokens: 6, generationConfig };
    const [written] = await generate(lm.model, parameters, [ids], how);
    expect(one).toBe(tokenizer!.decode(written!, { skipSpecialTokens: true }));
    expect(two).toBe(one);
    expect(used).toEqual([{ prompt: ids.length, completion: written!.length }]);
    const draw = { temperature: 2, seed: 1 };
    expect(await model(HELLO, draw)).toBe(await model(HELLO, draw));
    expect(await model(HELLO, draw)).not.toBe(one);
    await expect(model([{ role: "user", content: "x".repeat(99) }], {})).rejects.toThrow(
      /leaves no room in the context of 64/,
    );
    await expect(model(HELLO, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
    // A request that failed does not stop those after it.
    expect(await model(HELLO, {})).toBe(one);
    expect(() => localModel(lm)).toThrow(/has no chat template; give one as chatTemplate/);
    expect(() => localModel({ ...lm, tokenizer: null })).toThrow(/has no tokenizer/);
  });
});

describe("requests", () => {
  it("are made again after the time that the server or the back-off says", async () => {
    const handlers = [
      fails(500, "oops"),
      fails(429, "slow", { "retry-after": "20" }),
      (response: Parameters<Handler>[0]) => void response.end("broken"),
      says("Hi"),
    ];
    const { ask, asked, slept, requests } = await behind(handlers);
    expect(await ask(HELLO, {})).toBe("Hi");
    expect(asked).toHaveLength(4);
    expect(slept).toHaveLength(3);
    expect(slept[0]).toBeGreaterThan(0.7);
    expect(slept[0]).toBeLessThanOrEqual(1);
    expect(slept[1]).toBe(20);
    expect(slept[2]).toBeGreaterThan(3 * 0.99);
    expect(slept[2]).toBeLessThanOrEqual(4);
    expect(requests.spent).toEqual({ requests: 4, tokens: 42 });
  });

  it("fail after the last try, at once where trying is of no use, and where the server asks for too much", async () => {
    const all = await behind([fails(500, "oops")], { retries: 2 });
    await expect(all.ask(HELLO, {})).rejects.toThrow(/^model: http.*: status 500: oops$/);
    expect(all.asked).toHaveLength(3);
    const once = await behind([fails(404, "no such model")]);
    await expect(once.ask(HELLO, {})).rejects.toThrow(/status 404: no such model/);
    expect(once.asked).toHaveLength(1);
    const long = await behind([fails(429, "quota", { "retry-after": "3600" })]);
    await expect(long.ask(HELLO, {})).rejects.toThrow(/quota; it asks to wait 3600 seconds$/);
    expect(long.slept).toEqual([]);
    // After a failure nothing more is asked.
    await expect(long.ask([HELLO[1]!], {})).rejects.toThrow(/quota/);
    expect(long.asked).toHaveLength(1);
  });

  it("count as failed after their time, and the server is left", async () => {
    let arrived: () => void = () => {};
    let left: () => void = () => {};
    const arrival = new Promise<void>((resolve) => (arrived = resolve));
    const leaving = new Promise<void>((resolve) => (left = resolve));
    const silent: Handler = (response) => {
      response.on("close", left);
      arrived();
    };
    const server = await servedInTurn(silent);
    servers.push(server);
    const { clock } = fakeClock(3, arrival);
    const how = { clock, timeout: 3, retries: 0 };
    const model = endpointModel({ url: server.url, model: "m" });
    const ask = requestsOf("test", how).of("judge", model);
    await expect(ask(HELLO, {})).rejects.toThrow(/^judge: no answer within 3 seconds \(timeout\)/);
    await leaving;
  });

  it("are no more than concurrency at a time", async () => {
    let running = 0;
    let most = 0;
    const open: (() => void)[] = [];
    const model: ChatModel = async ([turn]) => {
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => open.push(resolve));
      running--;
      return turn!.content;
    };
    const ask = requestsOf("test", { concurrency: 3 }).of("model", model);
    const answers = Promise.all(
      Array.from({ length: 10 }, (_, i) => ask([{ role: "user", content: `${i}` }], {})),
    );
    for (let answered = 0; answered < 10; ) {
      await new Promise(setImmediate);
      expect(running).toBe(Math.min(3, 10 - answered));
      open.shift()!();
      answered++;
    }
    expect(await answers).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`));
    expect(most).toBe(3);
  });

  it("that are equal are made once", async () => {
    const { ask, asked, requests, model } = await behind([says("Hi")]);
    const judge = requests.of("judge", model);
    await Promise.all([ask(HELLO, {}), ask(HELLO, {}), ask(HELLO, { seed: 1 }), judge(HELLO, {})]);
    expect(asked).toHaveLength(3);
  });

  it("end at the budget, of requests and of tokens", async () => {
    const question = (i: number): ChatTurn[] => [{ role: "user", content: `${i}` }];
    const few = await behind([fails(500, "x"), says("Hi")], { budget: { requests: 3 } });
    await few.ask(question(0), {});
    await few.ask(question(1), {});
    await expect(few.ask(question(2), {})).rejects.toMatchObject({ reason: "budget" });
    expect(few.asked).toHaveLength(3);
    const short = await behind([says("Hi")], { budget: { tokens: 43 } });
    await short.ask(question(0), {});
    await short.ask(question(1), {});
    await expect(short.ask(question(2), {})).rejects.toMatchObject({ reason: "budget" });
    expect(short.requests.spent).toEqual({ requests: 2, tokens: 84 });
    // A model that does not tell: a quarter of the characters.
    const silent = requestsOf("test", {});
    await silent.of("model", async () => "x".repeat(95))(HELLO, {});
    expect(silent.spent.tokens).toBe(Math.ceil((95 + 6) / 4));
  });

  it("end with the signal, also those on their way and those that wait", async () => {
    const controller = new AbortController();
    const never: ChatModel = () => new Promise(() => {});
    const { signal } = controller;
    const ask = requestsOf("test", { signal, concurrency: 1 }).of("model", never);
    const two = [ask(HELLO, {}), ask([HELLO[1]!], {})].map(failure);
    controller.abort();
    for (const error of await Promise.all(two)) expect(error).toMatchObject({ reason: "signal" });
  });

  it("cut answers that are too long, and mend what is no text", async () => {
    const long = requestsOf("test", { maxAnswer: 4 }).of("model", async () => "abc😀def");
    expect(await long(HELLO, {})).toBe("abc\ufffd");
    const odd = requestsOf("test", {}).of("model", async () => "a\x1b[31m\r\n\tb\x00");
    expect(await odd(HELLO, {})).toBe("a[31m\n\tb");
    const none = requestsOf("test", {}).of("model", (async () => 3) as never);
    await expect(none(HELLO, {})).rejects.toThrow(/a model must answer with a text, got 3/);
  });

  it("refuse options out of range", () => {
    const make = (own: object) => () => requestsOf("test", own);
    expect(make({ concurrency: 0 })).toThrow(/concurrency must be an integer ≥ 1/);
    expect(make({ timeout: 0 })).toThrow(/timeout must be a number of seconds > 0/);
    expect(make({ timeout: 1e9 })).toThrow(/timeout must be/);
    expect(make({ retries: -1 })).toThrow(/retries must be/);
    expect(make({ maxDelay: Number.NaN })).toThrow(/maxDelay must be/);
    expect(make({ maxAnswer: 0.5 })).toThrow(/maxAnswer must be/);
    expect(make({ budget: { request: 3 } })).toThrow(/did you mean `requests`/);
    expect(make({ budget: { tokens: -1 } })).toThrow(/budget.tokens must be/);
    expect(() => requestsOf("test", {}).of("judge", "gpt" as never)).toThrow(
      /judge: expected a function/,
    );
  });
});

describe("openTranscript", () => {
  const settings = { model: "m" };
  const path = (name: string): string => join(folder, name, "transcript.jsonl");

  it("notes every exchange, and what stands in it is not asked again", async () => {
    const directory = join(folder, "resumed");
    const transcript = await openTranscript(directory, { settings });
    const first = await behind([says("Hi"), fails(500, "x"), says("Hi 2")], { transcript });
    await first.ask(HELLO, { temperature: 0 });
    await first.ask(HELLO, { temperature: 1, seed: 3 });
    const lines = (await readFile(path("resumed"), "utf8")).trim().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { format: "prefgrad transcript 1", settings },
      {
        who: "model",
        messages: HELLO,
        options: { temperature: 0 },
        answer: "Hi",
        requests: 1,
        tokens: 42,
      },
      {
        who: "model",
        messages: HELLO,
        options: { temperature: 1, seed: 3 },
        answer: "Hi 2",
        requests: 2,
        tokens: 42,
      },
    ]);
    await transcript.close();
    const again = await openTranscript(directory, { settings, resume: true });
    const second = await behind([says("never")], { transcript: again });
    expect(await second.ask(HELLO, { temperature: 0 })).toBe("Hi");
    expect(await second.ask(HELLO, { temperature: 1, seed: 3 })).toBe("Hi 2");
    expect(second.asked).toEqual([]);
    expect(second.requests.spent).toEqual({ requests: 3, tokens: 84 });
  });

  it("notes failures without secrets, and asks again for what failed", async () => {
    const directory = join(folder, "failed");
    const transcript = await openTranscript(directory);
    const first = await behind([fails(401, `wrong key ${KEY}`)], { transcript });
    await failure(first.ask(HELLO, {}));
    const text = await readFile(path("failed"), "utf8");
    expect(text).not.toContain("verysecret");
    expect(JSON.parse(text.split("\n")[1]!)).toMatchObject({
      answer: null,
      error: expect.stringMatching(/status 401: wrong key \[redacted\]/),
      requests: 1,
    });
    await transcript.close();
    const again = await openTranscript(directory, { resume: true });
    const second = await behind([says(`key: ${KEY}`)], { transcript: again });
    expect(await second.ask(HELLO, {})).toBe("key: [redacted]");
    expect(await readFile(path("failed"), "utf8")).not.toContain("verysecret");
  });

  it("leaves out a last line that is cut, wherever it is", async () => {
    const directory = join(folder, "cut");
    const whole = await openTranscript(directory, { settings });
    const first = await behind([says("Grüße")], { transcript: whole });
    await first.ask(HELLO, {});
    await first.ask([HELLO[1]!], {});
    await whole.close();
    const bytes = await readFile(path("cut"));
    const ends = [...bytes.entries()].filter(([, byte]) => byte === 10).map(([i]) => i + 1);
    for (const [known, from] of [0, ...ends].entries()) {
      for (let cut = from; cut < (ends[known] ?? from + 1); cut += 7) {
        await writeFile(path("cut"), bytes.subarray(0, cut));
        const found = await openTranscript(directory, { settings, resume: true });
        expect(found.exchanges).toHaveLength(Math.max(0, known - 1));
        expect(found.notices).toHaveLength(cut > from ? 1 : 0);
        const next = await behind([says("Grüße")], { transcript: found });
        await next.ask(HELLO, {});
        await next.ask([HELLO[1]!], {});
        expect(next.asked).toHaveLength(2 - found.exchanges.length);
        expect(await readFile(path("cut"))).toEqual(bytes);
        await found.close();
      }
    }
  });

  it("refuses what it would lose, other models, and damage", async () => {
    const directory = join(folder, "refused");
    await (await openTranscript(directory, { settings })).close();
    const open = (options: object) => openTranscript(directory, options);
    await expect(open({ settings })).rejects.toThrow(/holds a transcript; set resume/);
    await expect(open({ settings: { model: "n" }, resume: true })).rejects.toThrow(
      /is of other models \(model was "m", now "n"\)/,
    );
    await expect(open({ resume: true, overwrite: true })).rejects.toThrow(/resume keeps/);
    await expect(open({ resume: 1 })).rejects.toThrow(/resume must be true or false/);
    const text = await readFile(path("refused"), "utf8");
    await writeFile(path("refused"), `${text}{"who": \n{}\n`);
    await expect(open({ settings, resume: true })).rejects.toThrow(
      /transcript\.jsonl:2 is damaged/,
    );
    await writeFile(path("refused"), '{"format": "other"}\n');
    await expect(open({ settings, resume: true })).rejects.toThrow(
      /no transcript that this version/,
    );
    // What refuses leaves the directory to others.
    expect((await open({ overwrite: true })).exchanges).toEqual([]);
  });

  it("has its directory to itself until it is closed, or its process has ended", async () => {
    const directory = join(folder, "locked");
    const open = () => openTranscript(directory, { settings, resume: true });
    const first = await open();
    await expect(open()).rejects.toThrow(
      /^openTranscript: a run in .*locked goes on in this process; wait for its end, stop it, or/,
    );
    const held = JSON.parse(await readFile(join(folder, "locked", "run.lock"), "utf8"));
    const writing = first.add({
      ...{ who: "model", messages: HELLO, options: {}, answer: "Hi", requests: 1, tokens: 1 },
    });
    await first.close();
    // What was being written is written.
    const second = await open();
    expect(second.exchanges).toHaveLength(1);
    await Promise.all([writing, second.close()]);
    // The lock of another process holds as long as it lives.
    const lock = (holder: object) =>
      writeFile(join(folder, "locked", "run.lock"), JSON.stringify({ ...held, ...holder }));
    const start = await readFile(`/proc/${process.ppid}/stat`, "utf8").catch(() => "");
    const since = start.slice(start.lastIndexOf(")") + 2).split(" ")[19] ?? null;
    await lock({ pid: process.ppid, start: since });
    await expect(open()).rejects.toThrow(`goes on in process ${process.ppid}`);
    await lock({ pid: 2 ** 30, start: null });
    await (await open()).close();
  });
});
