/**
 * The page under test, and the worker it starts at `?worker`: runs a suite by its name.
 * @module
 */

import { suites } from "../../conformance/suites.js";
import { computeUntilLost, failures, loseDevice, refuseCommand } from "./faults.js";
import { longAxes, textureMemory } from "./textures.js";
import { whatComputed } from "./witness.js";

const known = {
  ...suites,
  computeUntilLost,
  failures,
  longAxes,
  loseDevice,
  refuseCommand,
  textureMemory,
  whatComputed: async () => whatComputed(),
};

/** Runs a suite. */
export type RunSuite = (name: keyof typeof known, values: unknown[]) => Promise<unknown>;

const here: RunSuite = (name, values) =>
  (known[name] as (...values: unknown[]) => Promise<unknown>)(...values);

/** Runs suites in a worker, one at a time. */
function inWorker(): RunSuite {
  const worker = new Worker(import.meta.url, { type: "module" });
  return (name, values) =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data: { result, error } }) => {
        if (error === undefined) resolve(result);
        else reject(new Error(error));
      };
      worker.onerror = ({ message }) => reject(new Error(`the worker failed: ${message}`));
      worker.postMessage({ name, values });
    });
}

if (typeof document === "undefined") {
  globalThis.onmessage = ({ data: { name, values } }) =>
    here(name, values).then(
      (result) => postMessage({ result }),
      (error) => postMessage({ error: String(error) }),
    );
} else {
  Object.assign(globalThis, { runSuite: location.search === "?worker" ? inWorker() : here });
}
