import { describe, expect, it } from "vitest";
import { setDevice, storeAs, tensor } from "../../src/index.js";
import { toBFloat16, widened } from "../../src/kernels/dtype.js";
import { describeBFloat16, pair } from "./bfloat16.js";

describe("bfloat16s", () => {
  it("are the nearest of 8 bits, of two the even", () => {
    const unit = 2 ** -7;
    const values = [1, 1 + unit / 2, 1 + 1.5 * unit, 1 + unit / 2 + 2 ** -20, -1 - unit / 4, 0, -0];
    const rounded = [1, 1, 1 + 2 * unit, 1 + unit, -1, 0, -0];
    expect(widened(toBFloat16(Float32Array.from(values)))).toEqual(Float32Array.from(rounded));
  });

  it("keep NaN and infinities, and are infinite beyond the largest", () => {
    const values = Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, -3.4e38, 2 ** -133);
    const rounded = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** -133];
    const largest = widened(Uint16Array.of(0x7f7f))[0]!;
    expect([...widened(toBFloat16(values))]).toEqual(rounded);
    expect(widened(toBFloat16(Float32Array.of(largest)))[0]).toBe(largest);
  });
});

describeBFloat16("interpreter", {});
describeBFloat16("wasm", { threads: 1 });

it("stays bfloat16 on another device", async () => {
  await setDevice("interpreter");
  const { narrow, wide } = await pair([3, 4]);
  await setDevice("wasm");
  expect(await narrow.add(1).data()).toEqual(await wide.add(1).data());
  expect(narrow.storage).toBe("bfloat16");
});

it("knows no other storage", async () => {
  await expect(storeAs("float16" as never, tensor([1]))).rejects.toThrow(
    /storage must be one of "bfloat16", "float32"/,
  );
});
