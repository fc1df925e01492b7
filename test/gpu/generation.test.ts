/**
 * Generation on WebGPU in Node: what WebAssembly writes.
 */

import { afterAll, describe, expect, it } from "vitest";
import { generate, setDevice } from "../../src/index.js";
import { FAMILY_DECODERS } from "../models/tinyFamilies.js";
import { expectWebGpu } from "./platform.js";

await expectWebGpu();

describe("WebGPU in Node", () => {
  afterAll(() => setDevice("wasm"));

  it("writes with a cache what WebAssembly writes, past 64 positions", async () => {
    const model = FAMILY_DECODERS.gemma2!;
    const parameters = model.init(0, { std: 0.3 });
    const prompts = [Array.from({ length: 62 }, (_, i) => (7 * i) % 40), [3, 1, 4]];
    const options = { maxNewTokens: 4 };
    await setDevice("wasm");
    const wanted = await generate(model, parameters, prompts, options);
    await setDevice("gpu", { backend: "webgpu" });
    expect(await generate(model, parameters, prompts, options)).toEqual(wanted);
  });
});
