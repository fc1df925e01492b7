/**
 * Runs a bundled module, and the chunks it imports, in a context that has what a page and a worker
 * share and nothing of Node: no `process`, no `require`, no `Buffer`, no built-in modules.
 * Usage: node --experimental-vm-modules page.js BUNDLE
 * @module
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { createContext, SourceTextModule } from "node:vm";

const SHARED_WITH_PAGES = [
  "AbortController",
  "AbortSignal",
  "atob",
  "Blob",
  "btoa",
  "clearInterval",
  "clearTimeout",
  "console",
  "crypto",
  "DOMException",
  "Event",
  "EventTarget",
  "fetch",
  "MessageChannel",
  "performance",
  "queueMicrotask",
  "setInterval",
  "setTimeout",
  "structuredClone",
  "TextDecoder",
  "TextEncoder",
  "URL",
];

const page = createContext(
  Object.fromEntries(SHARED_WITH_PAGES.map((name) => [name, globalThis[name]])),
);
const modules = new Map();

function load(path) {
  if (!modules.has(path)) {
    const source = readFileSync(path, "utf8");
    modules.set(
      path,
      new SourceTextModule(source, {
        context: page,
        identifier: path,
        importModuleDynamically: (specifier) => evaluate(link(specifier, { identifier: path })),
      }),
    );
  }
  return modules.get(path);
}

function link(specifier, { identifier }) {
  if (!/^\.{0,2}\//.test(specifier)) throw new Error(`a page cannot import "${specifier}"`);
  return load(resolve(dirname(identifier), specifier));
}

async function evaluate(module) {
  if (module.status === "unlinked") await module.link(link);
  await module.evaluate();
  return module;
}

const path = process.argv[2];
if (path === undefined) throw new Error("usage: page.js BUNDLE");
const { namespace } = await evaluate(load(resolve(path)));
await namespace.done;
