/**
 * Models of the hub, from a server on this machine that answers as the hub does, and with its faults.
 */

import { createHash } from "node:crypto";
import {
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { loadAdapter, loadModel, loadTokenizer } from "../../src/index.js";
import { hasFile, modelFiles, readJson } from "../../src/models/modelFiles.js";
import { TINY, tinyFiles } from "./tinyCheckpoint.js";

const SHA = "0123456789abcdef0123456789abcdef01234567";
const ID = "org/tiny";
const TOKEN = "hf_secret";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
const listening = (handler: Handler): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer(handler).listen(0, "127.0.0.1", () => resolve(server));
  });
const addressOf = (server: Server, host = "127.0.0.1") =>
  `http://${host}:${(server.address() as AddressInfo).port}`;

let files: Record<string, Uint8Array>;
let hub: Server;
let store: Server;
let cache: string;
/** What was asked for: method, path, range, whether with a token. */
let asked: string[];
/** A fault that answers in place of the hub, if it returns true. */
let fault: (request: IncomingMessage, response: ServerResponse) => boolean;

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const gitSha = (bytes: Uint8Array) =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

function send(request: IncomingMessage, response: ServerResponse, bytes?: Uint8Array): void {
  if (!bytes) {
    response.writeHead(404).end();
    return;
  }
  const [, first = "0", last] = /^bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "") ?? [];
  const [from, to] = [Number(first), last ? Number(last) + 1 : bytes.length];
  if (request.headers.range) {
    response.statusCode = 206;
    response.setHeader("content-range", `bytes ${from}-${to - 1}/${bytes.length}`);
  }
  response.setHeader("content-length", to - from);
  response.end(request.method === "HEAD" ? undefined : bytes.subarray(from, to));
}

const note = (host: string, { method, url, headers }: IncomingMessage) =>
  asked.push(
    [host, method, url, headers.range, headers.authorization && "token"].filter(Boolean).join(" "),
  );

beforeAll(async () => {
  files = {
    ...(await tinyFiles(TINY.qwen3)),
    "pytorch_model.bin": new Uint8Array(9),
    "README.md": new Uint8Array(9),
  };
  hub = await listening((request, response) => {
    note("hub", request);
    if (fault(request, response)) return;
    const { url = "" } = request;
    if (url === `/api/models/${ID}/revision/main`) {
      const siblings = Object.keys(files).map((rfilename) => ({ rfilename }));
      response.end(JSON.stringify({ sha: SHA, siblings }));
      return;
    }
    const name = url.startsWith(`/${ID}/resolve/${SHA}/`) ? url.split("/").at(-1)! : "";
    const bytes = files[name];
    if (!bytes) {
      response.writeHead(404).end();
    } else if (name.endsWith(".safetensors")) {
      // Large files are elsewhere.
      response.writeHead(302, {
        location: `${addressOf(store, "localhost")}/${name}`,
        "x-linked-etag": `"${sha256(bytes)}"`,
        "x-linked-size": bytes.length,
      });
      response.end();
    } else {
      response.setHeader("etag", `"${gitSha(bytes)}"`);
      send(request, response, bytes);
    }
  });
  store = await listening((request, response) => {
    note("store", request);
    if (fault(request, response)) return;
    send(request, response, files[request.url!.slice(1)]);
  });
});
afterAll(() => {
  for (const server of [hub, store]) server.close();
});
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "prefgrad-hub-"));
  asked = [];
  fault = () => false;
  vi.stubEnv("HF_ENDPOINT", addressOf(hub));
  vi.stubEnv("HF_HUB_CACHE", cache);
  vi.stubEnv("HF_HUB_OFFLINE", "");
  vi.stubEnv("HF_TOKEN", TOKEN);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(cache, { recursive: true, force: true });
});

const weights = "model.safetensors";
const onWeights = (request: IncomingMessage) =>
  request.method === "GET" && request.url === `/${weights}`;

describe("a model of the hub", () => {
  it("is loaded, and kept where Python looks for it", async () => {
    const { modelType } = await loadModel(ID);
    expect(modelType).toBe("qwen3");
    const folder = join(cache, "models--org--tiny");
    expect(await readFile(join(folder, "refs/main"), "utf8")).toBe(SHA);
    const blobs = [sha256(files[weights]!), gitSha(files["config.json"]!)].sort();
    expect((await readdir(join(folder, "blobs"))).sort()).toEqual(blobs);
    const link = join(folder, "snapshots", SHA, weights);
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readlink(link)).toBe(`../../blobs/${sha256(files[weights]!)}`);
    expect(await readdir(join(folder, "snapshots", SHA))).toEqual(["config.json", weights]);
  });

  it("is asked for once, and offline not at all", async () => {
    await loadModel(ID);
    asked = [];
    await loadModel(ID);
    expect(asked).toEqual([`hub GET /api/models/${ID}/revision/main token`]);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    asked = [];
    await loadModel(ID);
    expect(asked).toEqual([]);
    await expect(loadModel("org/other")).rejects.toThrow(
      /org\/other \(main\) is neither a directory here nor in .*HF_HUB_OFFLINE/,
    );
  });

  it("comes from the cache where the hub cannot be reached", async () => {
    await loadModel(ID);
    vi.stubEnv("HF_ENDPOINT", "http://127.0.0.1:9");
    await loadModel(ID);
    await loadModel(ID, { revision: SHA });
    await expect(loadModel(ID, { revision: "v2" })).rejects.toThrow(/\(v2\) is neither/);
    await expect(loadTokenizer(ID, { revision: "v2" })).rejects.toThrow(/\(v2\) is neither/);
    const lm = await loadModel(ID);
    await expect(loadAdapter(ID, lm, { revision: "v2" })).rejects.toThrow(/\(v2\) is neither/);
  });

  it("a directory of the same name beats it", async () => {
    const before = process.cwd();
    await mkdir(join(cache, ID), { recursive: true });
    await writeFile(join(cache, ID, "config.json"), '{"local": true}');
    process.chdir(cache);
    try {
      expect(await readJson(await modelFiles(ID), "config.json")).toEqual({ local: true });
    } finally {
      process.chdir(before);
    }
    expect(asked).toEqual([]);
  });

  it("pickles are seen and not fetched", async () => {
    expect(await hasFile(await modelFiles(ID), "pytorch_model.bin")).toBe(true);
    expect(asked).toHaveLength(1);
  });

  it("the token goes to the hub, not to where it redirects", async () => {
    await loadModel(ID);
    expect(
      asked.filter((line) => line.startsWith("hub")).every((line) => line.endsWith("token")),
    ).toBe(true);
    expect(asked.filter((line) => line.startsWith("store"))).toEqual([`store GET /${weights}`]);
  });
});

describe("when", () => {
  it("a transfer breaks, it goes on from there", async () => {
    const blobs = join(cache, "models--org--tiny/blobs");
    const incomplete = join(blobs, `${sha256(files[weights]!)}.incomplete`);
    let broken = 0;
    fault = (request, response) => {
      if (!onWeights(request) || broken++ > 0) return false;
      const bytes = files[weights]!;
      response.writeHead(200, { "content-length": bytes.length });
      response.write(bytes.subarray(0, 1000));
      const arrived = setInterval(async () => {
        const file = await stat(incomplete).catch(() => null);
        if (file?.size !== 1000) return;
        clearInterval(arrived);
        response.destroy();
      }, 5);
      return true;
    };
    await loadModel(ID);
    expect(asked).toContain(`store GET /${weights} bytes=1000-`);
  });

  it.each<[string, (bytes: Uint8Array) => Uint8Array, RegExp]>([
    ["a file is shorter", (bytes) => bytes.subarray(0, 100), /has \d+ bytes, of which 100 arrived/],
    ["a file is longer", (bytes) => new Uint8Array([...bytes, 1]), /the hub sends more/],
    [
      "a file is another",
      (bytes) => bytes.map((byte, i) => (i === 500 ? byte ^ 1 : byte)),
      /arrived damaged/,
    ],
  ])("%s, it is refused", async (_, change, why) => {
    fault = (request, response) => {
      if (!onWeights(request)) return false;
      const range = request.headers.range;
      const bytes = change(files[weights]!);
      if (range) response.writeHead(206).end();
      else response.writeHead(200, { "content-length": bytes.length }).end(bytes);
      return true;
    };
    await expect(loadModel(ID)).rejects.toThrow(why);
    const blobs = await readdir(join(cache, "models--org--tiny/blobs"));
    expect(blobs).not.toContain(sha256(files[weights]!));
  });

  it.each<[number, Record<string, string>, RegExp]>([
    [401, {}, /does not exist, or is private: set HF_TOKEN/],
    [
      403,
      { "x-error-code": "GatedRepo" },
      /is gated: accept its terms at .*org\/tiny, then set HF_TOKEN/,
    ],
    [404, {}, /does not exist, and there is no directory of that name/],
    [429, { "retry-after": "3600" }, /too many requests; try again in 3600 seconds|is neither/],
  ])(
    "the hub answers %d, the error says what to do, and no token",
    async (status, headers, why) => {
      fault = (_, response) => {
        response.writeHead(status, headers).end();
        return true;
      };
      const error = await loadModel(ID).catch((caught: Error) => caught);
      expect(String(error)).toMatch(why);
      expect(String((error as Error).stack)).not.toContain(TOKEN);
    },
  );

  it("the hub is busy, it is asked again", async () => {
    let refusals = 0;
    fault = (_, response) => {
      if (refusals++ > 1) return false;
      response.writeHead(429, { "retry-after": "0" }).end();
      return true;
    };
    await loadModel(ID);
    expect(refusals).toBeGreaterThan(2);
  });

  it.each(["../up", "a/../../b", "", "/x"])(
    "the revision is %j, it is refused",
    async (revision) => {
      await expect(loadModel(ID, { revision })).rejects.toThrow(/a revision is a branch/);
    },
  );
});

describe("an address", () => {
  it("is read in ranges", async () => {
    const { modelType } = await loadModel(addressOf(store));
    expect(modelType).toBe("qwen3");
    expect(asked.some((line) => / bytes=\d+-\d+$/.test(line))).toBe(true);
  });
});

it("a folder that was dropped is read from where its config.json is", async () => {
  const dropped = Object.entries(files).map(
    ([name, bytes]) => new File([bytes as Uint8Array<ArrayBuffer>], `models/tiny/${name}`),
  );
  expect((await loadModel(dropped)).modelType).toBe("qwen3");
});
