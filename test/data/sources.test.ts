/**
 * Where rows come from: JSON in every form, Parquet, directories, addresses, the hub.
 */

import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { DataError, type DataSource, readPreferences, readUnpaired } from "../../src/data/index.js";
import { jsonRecords } from "../../src/data/json.js";
import parquet from "./parquet.json" with { type: "json" };
import { all, tiny } from "./tiny.js";

const rowOf = (name: string) => ({ prompt: name, chosen: "b", rejected: "c" });
const lines = (...names: string[]) => names.map((name) => JSON.stringify(rowOf(name))).join("\n");

/** The prompts of a source, in order. */
async function promptsOf(source: DataSource, options = {}): Promise<string[]> {
  const tokenizer = await tiny();
  const { rows } = await readPreferences(source, tokenizer, options);
  return (await all(rows)).map(({ promptIds }) => tokenizer.decode(Array.from(promptIds)));
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-data-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("JSON", () => {
  it("is lines, with any ends and a byte order mark, and empty ones between", async () => {
    const text = `\ufeff${lines("a")}\r\n\r\n${lines("ä", "🎉")}\n \n`;
    expect(await promptsOf(new Blob([text]))).toEqual(["a", "ä", "🎉"]);
  });

  it("is an array, of one line or of many", async () => {
    const rows = ['[{"\\"', "]}", "\\\\", "{[,"].map(rowOf);
    const prompts = rows.map(({ prompt }) => prompt);
    for (const indent of [undefined, 2]) {
      const bytes = new TextEncoder().encode(` ${JSON.stringify(rows, null, indent)}\n`);
      expect(await promptsOf(bytes)).toEqual(prompts);
    }
  });

  it("is what JSON.parse says, however its bytes come", async () => {
    const isRecord = (value: unknown) => JSON.stringify(value) !== undefined;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.jsonValue().filter(isRecord), { minLength: 1 }),
        fc.constantFrom("lines", 0, 2),
        fc.integer({ min: 1, max: 9 }),
        async (values, form, size) => {
          const plain = JSON.parse(JSON.stringify(values)) as unknown[];
          // A first line that is an array would be taken for the whole.
          if (form === "lines" && Array.isArray(plain[0])) plain[0] = {};
          const text =
            form === "lines"
              ? plain.map((value) => JSON.stringify(value)).join("\n")
              : JSON.stringify(plain, null, form);
          const bytes = new TextEncoder().encode(text);
          async function* pieces() {
            for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
          }
          const found: unknown[] = [];
          for await (const { value } of jsonRecords(pieces())) found.push(value);
          expect(found).toEqual(plain);
        },
      ),
    );
  });

  it("may be compressed by gzip", async () => {
    expect(await promptsOf(gzipSync(lines("a", "b")))).toEqual(["a", "b"]);
  });

  it("is no single record of any size", async () => {
    async function* endless() {
      for (;;) yield new Uint8Array(2 ** 24).fill(0x20);
    }
    const read = async () => {
      for await (const _ of jsonRecords(endless())) expect.unreachable();
    };
    await expect(read()).rejects.toThrow(/the record has more than 256 MiB/);
  });
});

describe("Parquet", () => {
  it.each(Object.entries(parquet))("is read with %s", async (_, base64) => {
    const tokenizer = await tiny();
    const source = Buffer.from(base64, "base64");
    const { rows } = await readUnpaired(new Uint8Array(source), tokenizer);
    const found = (await all(rows)).map(({ completionIds, desirable }) => [
      tokenizer.decode(Array.from(completionIds)),
      desirable,
    ]);
    // Of two row groups.
    expect(found).toEqual([
      ["Hello<e>", true],
      ["No<e>", false],
      ["Yes<e>", true],
    ]);
  });
});

describe("a file that is damaged", () => {
  const problemsOf = (source: DataSource) =>
    promptsOf(source).then(
      () => expect.unreachable("the data was read"),
      (error) => {
        expect(error).toBeInstanceOf(DataError);
        return (error as DataError).problems.map(({ file, message }) => [
          file?.split("/").at(-1),
          message.replace(/\(.*\)/, "(…)"),
        ]);
      },
    );
  const message = "cannot be read (…); see that it is there and whole, or fetch it again";

  it("is told with its name, beside what is wrong with others", async () => {
    const base = join(folder, "damaged");
    await mkdir(base);
    const whole = gzipSync(lines("a", "b"));
    await writeFile(join(base, "0.jsonl.gz"), whole.subarray(0, -9));
    await writeFile(join(base, "1.jsonl.gz"), Buffer.from(whole).fill(0xff, 12, 20));
    await writeFile(join(base, "2.jsonl"), "{}");
    const problems = await problemsOf(base);
    expect(problems.slice(0, 2)).toEqual([
      ["0.jsonl.gz", message],
      ["1.jsonl.gz", message],
    ]);
    expect(problems.slice(2).map(([name]) => name)).toEqual(["2.jsonl", "2.jsonl"]);
  });

  it("may be Parquet", async () => {
    const [base64] = Object.values(parquet);
    const whole = Buffer.from(base64!, "base64");
    const damaged = Buffer.from(whole).fill(0xff, 4, 200);
    for (const bytes of [whole.subarray(0, -20), whole.subarray(0, 4), damaged]) {
      const source = Object.assign(new Blob([bytes]), { name: "pairs.parquet" });
      expect(await problemsOf(source)).toContainEqual(["pairs.parquet", message]);
    }
  });
});

describe("a path", () => {
  it("of one slash that ends as a file is none of the hub", async () => {
    await expect(promptsOf("nowhere/pairs.jsonl")).rejects.toThrow(
      /there is no file nowhere\/pairs\.jsonl/,
    );
  });

  it("of a directory leaves out what tells about data, and has files of one kind", async () => {
    const base = join(folder, "kinds");
    await mkdir(base);
    for (const name of ["dataset_infos.json", "dataset_info.json", "config.json"]) {
      await writeFile(join(base, name), "{}");
    }
    await writeFile(join(base, "a.jsonl"), lines("1"));
    expect(await promptsOf(base)).toEqual(["1"]);
    await writeFile(join(base, "b.parquet"), "PAR1");
    await expect(promptsOf(base)).rejects.toThrow(
      /kinds has Parquet and JSON of the split "train", as b\.parquet and a\.jsonl; give the path/,
    );
  });

  it("is one of a file, also as an address", async () => {
    const path = join(folder, "pairs.json");
    await writeFile(path, lines("a"));
    expect(await promptsOf(path)).toEqual(["a"]);
    expect(await promptsOf(pathToFileURL(path))).toEqual(["a"]);
    await expect(promptsOf(path, { split: "test" })).rejects.toThrow(/pairs\.json is one file/);
  });

  it("of a directory has the files of a split", async () => {
    const base = join(folder, "set");
    for (const [name, prompt] of Object.entries({
      "harmless/train.jsonl.gz": "1",
      "data/train-00001-of-00002.jsonl": "2",
      "data/train-00000-of-00002.jsonl": "3",
      "data/test.jsonl": "4",
      "dev.json": "5",
      "extra.jsonl": "6",
      ".hidden/train.jsonl": "7",
      "trainer.jsonl": "8",
    })) {
      const path = join(base, name);
      await mkdir(join(path, ".."), { recursive: true });
      await writeFile(path, name.endsWith(".gz") ? gzipSync(lines(prompt)) : lines(prompt));
    }
    expect(await promptsOf(base)).toEqual(["3", "2", "1"]);
    expect(await promptsOf(base, { split: "test" })).toEqual(["4"]);
    expect(await promptsOf(base, { split: "validation" })).toEqual(["5"]);
    expect(await promptsOf(base, { split: "extra" })).toEqual(["6"]);
    await expect(promptsOf(base, { split: "nothing" })).rejects.toThrow(
      /set has no data files of the split "nothing"; it has .*data\/test\.jsonl/,
    );
    const plain = join(folder, "plain");
    await mkdir(plain);
    await expect(promptsOf(plain)).rejects.toThrow(/it has no \.jsonl, \.json or \.parquet/);
    await writeFile(join(plain, "pairs.jsonl"), lines("9"));
    expect(await promptsOf(plain)).toEqual(["9"]);
  });
});

describe("an address", () => {
  let server: Server;
  let asked: string[];
  const files: Record<string, string> = {};
  beforeAll(async () => {
    server = createServer(({ url = "", method, headers }, response) => {
      asked.push(`${method} ${url}`);
      const text = files[decodeURI(url)];
      if (text === undefined) return response.writeHead(404).end();
      const bytes = Buffer.from(text);
      const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "");
      const [from, to] = range
        ? [Number(range[1]), Number(range[2] || bytes.length - 1) + 1]
        : [0, bytes.length];
      response.writeHead(range ? 206 : 200, {
        etag: `"${Buffer.from(url).toString("hex")}"`,
        "content-length": to - from,
        ...(range && { "content-range": `bytes ${from}-${to - 1}/${bytes.length}` }),
      });
      return response.end(method === "HEAD" ? undefined : bytes.subarray(from, to));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));
  afterEach(() => {
    vi.unstubAllEnvs();
  });
  const base = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  it("is read in ranges", async () => {
    asked = [];
    files["/pairs.jsonl"] = lines("a", "b");
    expect(await promptsOf(`${base()}/pairs.jsonl`)).toEqual(["a", "b"]);
    expect(await promptsOf(new URL(`${base()}/pairs.jsonl`))).toEqual(["a", "b"]);
    await expect(promptsOf(`${base()}/none.jsonl`)).rejects.toThrow(
      /none\.jsonl: does not exist; check its address/,
    );
  });

  it("of the hub is an id, whose files are kept where Python keeps them", async () => {
    asked = [];
    const sha = "0123456789abcdef0123456789abcdef01234567";
    const names = ["README.md", "data/train-0.jsonl", "data/test-0.jsonl", "../train.jsonl"];
    const siblings = names.map((rfilename) => ({ rfilename }));
    const info = JSON.stringify({ sha, siblings });
    files["/api/datasets/org/pairs/revision/main"] = info;
    files["/api/datasets/org/pairs/revision/v2"] = info;
    files[`/datasets/org/pairs/resolve/${sha}/data/train-0.jsonl`] = lines("x", "y");
    const cache = join(folder, "hub");
    vi.stubEnv("HF_ENDPOINT", base());
    vi.stubEnv("HF_HUB_CACHE", cache);
    vi.stubEnv("HF_TOKEN", "");
    expect(await promptsOf("org/pairs")).toEqual(["x", "y"]);
    expect(await promptsOf("org/pairs", { revision: "v2" })).toEqual(["x", "y"]);
    const snapshot = join(cache, "datasets--org--pairs", "snapshots", sha);
    expect(await readdir(join(snapshot, "data"))).toEqual(["train-0.jsonl"]);
    expect(asked.some((one) => one.includes(".."))).toBe(false);
    asked = [];
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect(await promptsOf("org/pairs")).toEqual(["x", "y"]);
    expect(asked).toEqual([]);
  });
});
