/**
 * Loads a model and writes with it, in a worker, so that the page never waits.
 * @module
 */

import { generateStream, loadModel, loadTokenizer, treeLeaves } from "../../src/index.js";
import { turn } from "../../src/training/turn.js";
import { findDevices, type PageDevice, useDevice } from "./devices.js";
import type { Report, Request, Wish } from "./generateProtocol.js";

/** Text is told, and a stop is heard, this often at most, ms: tokens can be faster than that. */
const TELL_INTERVAL = 50;

type Loaded = Awaited<ReturnType<typeof load>>;

let loaded: Loaded | null = null;
let stopping = new AbortController();

function tell(report: Report): void {
  postMessage(report);
}

globalThis.onmessage = async ({ data }: MessageEvent<Request>) => {
  try {
    if (data.kind === "find devices") tell({ kind: "devices", obstacles: await findDevices() });
    if (data.kind === "load") loaded = await load(data.device, data.files);
    if (data.kind === "write") await write(loaded!, data.wish);
    if (data.kind === "stop") stopping.abort();
  } catch (error) {
    tell({ kind: "failure", message: error instanceof Error ? error.message : String(error) });
  }
};

/** A worker has one device and one model all its life. */
async function load(device: PageDevice, files: readonly File[]) {
  tell({ kind: "backend", backend: await useDevice(device) });
  // First: it is small, and what it lacks is known before weights are read.
  const tokenizer = await loadTokenizer(files);
  const { model, parameters, generationConfig, modelType } = await loadModel(files, {
    tokenizer: false,
    onProgress: (progress) => tell({ kind: "loading", ...progress }),
  });
  const { layers, width, contextLength, vocabularySize } = model.config;
  tell({
    kind: "loaded",
    facts: {
      family: modelType,
      parameters: treeLeaves(parameters).reduce((sum, { size }) => sum + size, 0),
      layers: layers.length,
      width,
      contextLength,
      vocabularySize,
      hasChatTemplate: tokenizer.chatTemplates.size > 0,
      temperature: generationConfig.doSample ? generationConfig.temperature : 0,
      topP: generationConfig.topP,
    },
  });
  return { model, parameters, tokenizer, stopTokens: generationConfig.eosTokenIds };
}

async function write(
  { model, parameters, tokenizer, stopTokens }: Loaded,
  { prompt, chat, ...options }: Wish,
): Promise<void> {
  stopping = new AbortController();
  const { signal } = stopping;
  const ids = chat
    ? tokenizer.applyChatTemplate([{ role: "user", content: prompt }], {
        addGenerationPrompt: true,
        tokenize: true,
      })
    : tokenizer.encode(prompt);
  const decode = (tokens: number[]) => tokenizer.decode(tokens, { skipSpecialTokens: true });
  const stream = generateStream(model, parameters, [ids], {
    ...options,
    stopTokens,
    tokenizer: { decode },
  });
  let [text, tokens, first, last, told] = ["", 0, 0, 0, 0];
  const tellText = (): void => {
    const perSecond = tokens > 1 ? ((tokens - 1) / (last - first)) * 1000 : null;
    tell({ kind: "text", text, tokens, perSecond });
    text = "";
    told = last;
  };
  for await (const piece of stream) {
    last = performance.now();
    if (tokens++ === 0) first = last;
    text += piece.text;
    if (last - told < TELL_INTERVAL) continue;
    tellText();
    await turn();
    if (signal.aborted) break;
  }
  tellText();
  tell({ kind: "end", finished: !signal.aborted });
}
