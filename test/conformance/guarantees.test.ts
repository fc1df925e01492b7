/**
 * What the documentation says of the numbers of `wasm`.
 */

import { describe } from "vitest";
import { describeGuarantees } from "./describeDevice.js";
import { suites } from "./suites.js";

describe("wasm", () => {
  describeGuarantees({ title: "wasm", name: "wasm", floats: ["float32"] }, (name, values) =>
    (suites[name] as (...values: unknown[]) => Promise<unknown>)(...values),
  );
});
