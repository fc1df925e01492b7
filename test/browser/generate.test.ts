/**
 * The page that loads a model directory writes what Node writes, on the processor and on a GPU, and refuses
 * what is no model. The trained model is read from `../shared/golden/models` where that is there.
 */

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildPlayground } from "../../docs/playground/build.js";
import { generate, loadModel } from "../../src/index.js";
import { TINY, tinyFiles, writeFiles } from "../models/tinyCheckpoint.js";
import { byteLevel, tokenizerFiles } from "../models/tinyTokenizer.js";
import { launch, open } from "./chromium.js";
import { type Site, serve } from "./server.js";

const TRAINED = new URL("../../../shared/golden/models/gsm-llama/", import.meta.url).pathname;

const directory = mkdtempSync(join(tmpdir(), "prefgrad-generate-"));
/** A model of bytes that writes on and on. */
const tiny = join(directory, "tiny");
let browser: Browser;
let site: Site;
let url: string;

beforeAll(async () => {
  const config = { ...TINY.qwen3, vocab_size: 256, max_position_embeddings: 4096 };
  const template =
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}";
  await writeFiles(tiny, {
    ...(await tinyFiles(config)),
    ...tokenizerFiles(byteLevel(), {}, template),
  });
  // A directory below holds files of the same names.
  mkdirSync(join(tiny, "onnx"));
  writeFileSync(join(tiny, "onnx", "config.json"), "{}");
  await buildPlayground(join(directory, "site"));
  site = await serve(join(directory, "site"));
  url = `${site.origin}/generate.html`;
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  site?.close();
  rmSync(directory, { recursive: true, force: true });
});

const PROMPT = "Question: Paul has 3 apples and buys 4 more. How many apples has he?\nAnswer:\n";

/** The likeliest continuation of the prompt, as Node computes it. */
async function textInNode(path: string, isChat: boolean, maxNewTokens: number): Promise<string> {
  const { model, parameters, tokenizer, generationConfig } = await loadModel(path);
  const messages = [{ role: "user", content: PROMPT }];
  const ids = isChat
    ? tokenizer!.applyChatTemplate(messages, { addGenerationPrompt: true, tokenize: true })
    : tokenizer!.encode(PROMPT);
  const stopTokens = generationConfig.eosTokenIds;
  const [written] = await generate(model, parameters, [ids], { maxNewTokens, stopTokens });
  return tokenizer!.decode(written!, { skipSpecialTokens: true });
}

async function textInPage(page: Page, isChat: boolean, maxNewTokens: number): Promise<string> {
  await page.fill("[name=prompt]", PROMPT);
  await page.setChecked("[name=chat]", isChat);
  await page.fill("[name=maxNewTokens]", String(maxNewTokens));
  await page.click("#start");
  expect(await ending(page, /^(Done|Stopped|Failed)$/)).toBe("Done");
  return (await page.locator("#answer").textContent())!;
}

/** Waits for a status, and gives it with what went wrong. */
async function ending(page: Page, words: RegExp): Promise<string> {
  await page.locator("#status", { hasText: words }).waitFor();
  return (await page.locator("#status, #failure:not([hidden])").allInnerTexts()).join(": ");
}

async function pick(page: Page, path: string): Promise<string> {
  await page.setInputFiles("#directory", path);
  return ending(page, /^(Ready|Failed)$/);
}

const models = [["of random weights", tiny, "qwen3"] as const];
const trained = [["that was trained", TRAINED, "llama"] as const].filter(([, path]) =>
  existsSync(path),
);

describe.each([...models, ...trained])("a model %s", (_, path, family) => {
  it.each(["wasm", "webgpu", "webgl2"])("writes on %s what it writes in Node", async (device) => {
    const { page, complaints } = await open(browser, url);
    await page.check(`input[value=${device}]`);
    expect(await pick(page, path)).toBe("Ready");
    expect(await page.locator("#family").innerText()).toBe(family);
    expect(await page.locator("#size").innerText()).toMatch(/parameters, \d layers of width \d+/);
    expect(await page.locator("#backend").innerText()).toBe(device);
    expect(await textInPage(page, false, 32)).toBe(await textInNode(path, false, 32));
    expect(await page.locator("#pace").innerText()).toMatch(/^\d+\.\d$/);
    expect(await textInPage(page, true, 16)).toBe(await textInNode(path, true, 16));
    expect(complaints).toEqual([]);
    await page.close();
  });
});

describe("the page of models", () => {
  it("takes a dropped directory, stops, and draws the same text from the same seed", async () => {
    const { page, complaints } = await open(browser, url);
    await page.locator("input[name=device]:checked").waitFor();
    const box = (await page.locator("#drop").boundingBox())!;
    const session = await page.context().newCDPSession(page);
    for (const type of ["dragEnter", "dragOver", "drop"] as const) {
      await session.send("Input.dispatchDragEvent", {
        type,
        x: box.x + box.width / 2,
        y: box.y + 10,
        data: { items: [], files: [tiny], dragOperationsMask: 1 },
      });
    }
    expect(await ending(page, /^(Ready|Failed)$/)).toBe("Ready");

    await page.fill("[name=prompt]", "Once");
    await page.fill("[name=maxNewTokens]", "4000");
    await page.click("#start");
    await page.locator("#answer", { hasText: /./ }).waitFor();
    await page.click("#stop");
    expect(await ending(page, /^(Done|Stopped|Failed)$/)).toBe("Stopped");
    expect(Number(await page.locator("#tokens").innerText())).toBeLessThan(4000);

    await page.fill("[name=temperature]", "1");
    const texts: string[] = [];
    for (const seed of ["1", "1", "2"]) {
      await page.fill("[name=seed]", seed);
      texts.push(await textInPage(page, false, 16));
    }
    expect(texts[1]).toBe(texts[0]);
    expect(texts[2]).not.toBe(texts[0]);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it("says what a directory lacks, what is wrong with a file, and takes another one then", async () => {
    const { page, complaints } = await open(browser, url);
    const wrong = join(directory, "wrong");
    mkdirSync(wrong);
    writeFileSync(join(wrong, "config.json"), "{}");
    expect(await pick(page, wrong)).toMatch(
      /^Failed: .*tokenizer\.json and model\.safetensors are missing/,
    );
    expect(await page.locator("#start").isDisabled()).toBe(true);

    await writeFiles(wrong, tokenizerFiles(byteLevel()));
    writeFileSync(join(wrong, "model.safetensors"), "");
    expect(await pick(page, wrong)).toMatch(/^Failed: .*model_type/);
    expect(await pick(page, tiny)).toBe("Ready");

    // Longer than the context: the model is still there.
    await page.fill("[name=prompt]", "Once");
    await page.fill("[name=maxNewTokens]", "4095");
    await page.setChecked("[name=chat]", false);
    await page.click("#start");
    expect(await ending(page, /^(Done|Failed)$/)).toMatch(/^Failed: .*exceed the context of 4096/);
    expect((await textInPage(page, false, 4)).length).toBeGreaterThan(0);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it.each([390, 1280])("fits a window of %i pixels and names all its fields", async (width) => {
    const { page } = await open(browser, url);
    await page.setViewportSize({ width, height: 900 });
    await pick(page, tiny);
    await textInPage(page, false, 64);
    const found = await page.evaluate(() => ({
      beyond: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      unnamed: Array.from(document.querySelectorAll("input, textarea, button"))
        .filter((field) => !(field.closest("label") ?? field).textContent?.trim())
        .map((field) => field.outerHTML),
    }));
    expect(found).toEqual({ beyond: 0, unnamed: [] });
    await page.close();
  });

  it("is not loaded by the playground", async () => {
    const { page } = await open(browser, `${site.origin}/index.html`);
    await page.locator("input[name=device]:checked").waitFor();
    const loaded = await page.evaluate(() =>
      performance.getEntriesByType("resource").map(({ name }) => new URL(name).pathname),
    );
    expect(loaded).toContain("/main.js");
    expect(loaded.filter((path) => path.includes("generate"))).toEqual([]);
    await page.close();
  });
});
