/**
 * The page that aligns trains in Chromium the adapter that `align` trains in Node, stops and goes on, and says what is wrong
 * with pairs. The trained model is read from `../shared/golden/models` where that is there.
 */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AlignChoices, optionsOf } from "../../docs/playground/alignProtocol.js";
import { buildPlayground } from "../../docs/playground/build.js";
import type { PageDevice } from "../../docs/playground/devices.js";
import {
  align,
  loadAdapter,
  loadModel,
  readPreferences,
  readRun,
  setDevice,
  treeLeaves,
} from "../../src/index.js";
import { TINY, tinyFiles, writeFiles } from "../models/tinyCheckpoint.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";
import { launch, open } from "./chromium.js";
import { type Site, serve } from "./server.js";

const TRAINED = new URL("../../../shared/golden/models/gsm-llama/", import.meta.url).pathname;

const directory = mkdtempSync(join(tmpdir(), "prefgrad-align-"));
const tiny = join(directory, "tiny");
const pairs = join(directory, "pairs.jsonl");
/** Of which one is held out. */
const fewPairs = join(directory, "few.jsonl");
let browser: Browser;
let site: Site;
let url: string;

beforeAll(async () => {
  const config = { ...TINY.gpt2, vocab_size: 257, eos_token_id: 256, n_positions: 40, n_layer: 1 };
  await writeFiles(tiny, {
    ...(await tinyFiles(config)),
    ...tokenizerFiles(byteLevel({ added: [{ content: "<end>" }] }), { eos_token: "<end>" }),
  });
  // All of one length: a GPU makes its kernels once.
  const sums = Array.from({ length: 24 }, (_, i) => ({
    prompt: `${10 + i} and 3 make `,
    chosen: `${13 + i}.`,
    rejected: `${14 + i + (i % 3)}?`,
  }));
  const lines = sums.map((row) => `${JSON.stringify(row)}\n`);
  writeFileSync(pairs, lines.join(""));
  writeFileSync(fewPairs, lines.slice(0, 9).join(""));
  await buildPlayground(join(directory, "site"));
  site = await serve(join(directory, "site"));
  url = `${site.origin}/align.html`;
  browser = await launch();
  // A page that is not cross-origin isolated has one thread.
  await setDevice("wasm", { threads: 1 });
});
afterAll(async () => {
  await browser?.close();
  site?.close();
  rmSync(directory, { recursive: true, force: true });
});

const CHOICES: AlignChoices = {
  loss: "dpo",
  spo: false,
  rank: 4,
  steps: 6,
  batchSize: 4,
  learningRate: 0.01,
  maxLength: 200,
};

/** The files of a model directory, as a page gets them. */
const filesOf = (path: string) =>
  Object.fromEntries(
    readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => [name, new Uint8Array(readFileSync(join(path, name)))]),
  );

async function choose(page: Page, choices: Partial<AlignChoices>): Promise<void> {
  for (const [name, value] of Object.entries(choices)) {
    const field = page.locator(`[name=${name}]`);
    if (typeof value === "boolean") await field.setChecked(value);
    else if (name === "loss") await field.selectOption(String(value));
    else await field.fill(String(value));
  }
}

async function pick(page: Page, model: string, data: string, device?: PageDevice): Promise<void> {
  await page.setInputFiles("#directory", model);
  await page.setInputFiles("#pairs", data);
  if (device) await page.check(`input[value=${device}]`);
}

/** Waits until the run is over, and says how it ended. */
async function ending(page: Page): Promise<string> {
  await page.locator("#status", { hasText: /^(Done|Stopped|Failed)$/ }).waitFor();
  const parts = ["#status", "#failure"].map((id) => page.locator(id).innerText());
  return (await Promise.all(parts)).filter((text) => text !== "").join(": ");
}

/** Waits until what was clicked has saved a file of that name, and gives it. */
async function saved(page: Page, click: () => Promise<void>, names: readonly string[]) {
  const files: Record<string, Uint8Array> = {};
  const all = new Promise<void>((resolve) => {
    page.on("download", async (download) => {
      files[download.suggestedFilename()] = new Uint8Array(readFileSync(await download.path()));
      if (names.every((name) => name in files)) resolve();
    });
  });
  await click();
  await all;
  page.removeAllListeners("download");
  return files;
}

const ADAPTER = ["adapter_model.safetensors", "adapter_config.json"];

/** The adapter as it is saved where there is no choice of a directory. */
async function savedAdapter(page: Page): Promise<Record<string, Uint8Array>> {
  await page.evaluate(() => Object.assign(window, { showDirectoryPicker: undefined }));
  return saved(page, () => page.click("#save"), ADAPTER);
}

/** The rows of `metrics.jsonl`, by its link. */
async function savedRows(page: Page): Promise<Record<string, number>[]> {
  const name = "metrics.jsonl";
  const files = await saved(page, () => page.click(`#kept-files a[download="${name}"]`), [name]);
  return linesOf(files[name]!);
}

const linesOf = (bytes: Uint8Array) =>
  new TextDecoder()
    .decode(bytes)
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, number>);

const valuesOf = async (tree: unknown) =>
  (await Promise.all(treeLeaves(tree).map((leaf) => leaf.data()))).flatMap((data) => [...data]);

/** Of two lists: the norm of their difference by the norm of the second. */
function distance(found: readonly number[], wanted: readonly number[]): number {
  const norm = (values: readonly number[]) => Math.hypot(...values);
  return norm(found.map((value, i) => value - wanted[i]!)) / norm(wanted);
}

/** On the GPU few pairs and steps: in software each of its kernels takes long to be made. */
const cases = [
  ["of random weights", "wasm", tiny, pairs, CHOICES, 1e-5],
  ["of random weights", "webgpu", tiny, fewPairs, { ...CHOICES, batchSize: 8, steps: 2 }, 1e-3],
  ["that was trained", "wasm", TRAINED, pairs, { ...CHOICES, spo: true, steps: 3 }, 1e-5],
] as const;

describe("an adapter in a page", () => {
  it.each(cases.filter(([, , path]) => path === tiny || existsSync(path)))(
    "for a model %s is on %s what Node makes of the same",
    async (_, device, path, data, choices, tolerance) => {
      const { page, complaints } = await open(browser, url);
      await choose(page, choices);
      await pick(page, path, data, device);
      await page.click("#start");
      expect(await ending(page)).toBe("Done");
      expect(await page.locator("#backend").innerText()).toBe(device);

      const lm = await loadModel(filesOf(path));
      const { maxLength } = choices;
      const read = await readPreferences(data, lm.tokenizer!, { maxLength });
      const output = join(directory, `${device} ${choices.steps}`);
      await align({ ...optionsOf(choices), lm, pairs: read, output });

      const files = await savedAdapter(page);
      const config = readFileSync(join(output, "adapter_config.json"));
      expect(Buffer.from(files["adapter_config.json"]!)).toEqual(config);
      const [inPage, inNode] = await Promise.all(
        [files, output].map(async (from) => valuesOf((await loadAdapter(from, lm)).parameters)),
      );
      expect(distance(inPage!, inNode!)).toBeLessThan(tolerance);

      const { rows, answers } = await readRun(output, "run");
      const found = await savedRows(page);
      expect(found.map(Object.keys)).toEqual(rows.map(Object.keys));
      const losses = (of: readonly Readonly<Record<string, unknown>>[]) =>
        of.map((row) => (row.loss ?? row.eval_loss) as number);
      expect(distance(losses(found), losses(rows))).toBeLessThan(tolerance);

      const shown = await page
        .locator(".answer")
        .evaluateAll((cards) =>
          cards.map((card) =>
            Array.from(card.querySelectorAll("p, dd"), (part) => part.textContent),
          ),
        );
      expect(shown.map(([prompt, before]) => [prompt, before])).toEqual(
        answers.map(({ prompt, before }) => [prompt, before]),
      );
      expect(shown.some(([, before, after]) => before !== after)).toBe(true);
      expect(complaints).toEqual([]);
      await page.close();
    },
  );
});

describe("the page that aligns", () => {
  it("stops, and goes on when it is opened again, to the end of a run that never stopped", async () => {
    const { page, complaints } = await open(browser, url);
    // So many that the run is under way when it is told to stop.
    const choices = { ...CHOICES, steps: 150 };
    await choose(page, choices);
    await pick(page, tiny, pairs, "wasm");
    await page.click("#start");
    expect(await ending(page)).toBe("Done");
    const whole = { ...(await savedAdapter(page)), rows: await savedRows(page) };

    await page.evaluate(() => {
      const status = document.getElementById("status")!;
      const stop = document.getElementById("stop") as HTMLButtonElement;
      new MutationObserver(() => {
        if (/^Step /.test(status.textContent!)) stop.click();
      }).observe(status, { childList: true });
    });
    await page.click("#start");
    expect(await ending(page)).toBe("Stopped");
    expect((await savedRows(page)).length).toBeLessThan(whole.rows.length);
    expect(await page.locator("#save").isDisabled()).toBe(true);

    await page.reload();
    expect(await page.locator("[name=steps]").inputValue()).toBe("150");
    await pick(page, tiny, pairs, "wasm");
    await page.click("#resume");
    expect(await ending(page)).toBe("Done");
    expect({ ...(await savedAdapter(page)), rows: await savedRows(page) }).toEqual(whole);
    // The curves are those of the whole run.
    const steps = await page.locator("#charts .u-legend .u-value").first().textContent();
    expect(steps).toBe("150");

    // Where a directory can be picked, both files are written into it.
    const written = await page.evaluate(async (names) => {
      const picked = await navigator.storage.getDirectory();
      const isWritten = async (name: string) => {
        const file = await picked.getFileHandle(name).then((handle) => handle.getFile());
        return file.size > 0;
      };
      Object.assign(window, { showDirectoryPicker: async () => picked });
      document.getElementById("save")!.click();
      for (;;) {
        const found = await Promise.all(names.map(isWritten)).catch(() => [false]);
        if (found.every(Boolean)) return true;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }, ADAPTER);
    expect(written).toBe(true);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it("says what is wrong with pairs and models, and begins nothing", async () => {
    const { page, complaints } = await open(browser, url);
    const wrong = join(directory, "wrong.jsonl");
    writeFileSync(
      wrong,
      '{"prompt":"a","chosen":"b","rejected":"c"}\n{"prompt":"a","chosen":"b"}\n',
    );
    await page.setInputFiles("#files", [join(tiny, "config.json"), join(tiny, "tokenizer.json")]);
    expect(await page.locator("#failure").innerText()).toMatch(/model\.safetensors is missing/);
    expect(await page.locator("#start").isDisabled()).toBe(true);

    await pick(page, tiny, wrong, "wasm");
    await page.click("#start");
    expect(await ending(page)).toMatch(
      /^Failed: readPreferences: the data has a problem\s+wrong\.jsonl:2: rejected is missing; the row has/,
    );
    expect(await page.locator("#kept").isHidden()).toBe(true);
    expect(await page.locator("#resume").isDisabled()).toBe(true);

    // Another tab that trains.
    await page.evaluate(() => {
      navigator.locks.request("prefgrad run", () => new Promise(() => {}));
    });
    await pick(page, tiny, pairs);
    await page.click("#start");
    expect(await ending(page)).toMatch(/^Failed: Another tab/);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it("trains the arithmetic model first, and aligns it", async () => {
    const { page, complaints } = await open(browser, url);
    await page.evaluate(() => {
      // Fewer of its steps than it takes to add.
      const { postMessage } = Worker.prototype;
      Worker.prototype.postMessage = function (this: Worker, request: { kind: string }) {
        const sent = request.kind === "learn" ? { ...request, steps: 3 } : request;
        postMessage.call(this, sent);
      } as Worker["postMessage"];
    });
    await page.click("#learn");
    expect(await ending(page)).toBe("Done");
    expect(await page.locator("#taken").innerText()).toMatch(/4 files.*additions\.jsonl/s);
    await choose(page, { steps: 2, batchSize: 4 });
    await page.click("#start");
    expect(await ending(page)).toBe("Done");
    const prompts = await page.locator(".answer p").allInnerTexts();
    expect(prompts).toHaveLength(8);
    for (const prompt of prompts) expect(prompt).toMatch(/^\d\d\+\d\d=$/);
    expect(Object.keys(await savedAdapter(page)).sort()).toEqual([...ADAPTER].sort());
    expect(complaints).toEqual([]);
    await page.close();
  });

  it("takes a model and pairs that are dropped together, fits narrow windows and names all its fields", async () => {
    const { page, complaints } = await open(browser, url);
    await choose(page, { ...CHOICES, steps: 2 });
    const session = await page.context().newCDPSession(page);
    for (const type of ["dragEnter", "dragOver", "drop"] as const) {
      await session.send("Input.dispatchDragEvent", {
        type,
        x: 100,
        y: 100,
        data: { items: [], files: [tiny, pairs], dragOperationsMask: 1 },
      });
    }
    await page.click("#start");
    expect(await ending(page)).toBe("Done");
    for (const width of [390, 1280]) {
      await page.setViewportSize({ width, height: 900 });
      const found = await page.evaluate(() => ({
        beyond: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        unnamed: Array.from(document.querySelectorAll("input, select, button"))
          .filter((field) => !(field.closest("label") ?? field).textContent?.trim())
          .map((field) => field.outerHTML),
      }));
      expect(found).toEqual({ beyond: 0, unnamed: [] });
    }
    expect(complaints).toEqual([]);
    await page.close();
  });
});
