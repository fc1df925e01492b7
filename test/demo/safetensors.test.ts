import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeSafetensors, encodeSafetensors } from "../../bench/demo/safetensors.js";

const file = {
  metadata: { phase: "sft", text: "naïve" },
  arrays: new Map([
    ["a.b", { shape: [2, 2], values: Float32Array.of(1, -0, Number.NaN, 1e-45) }],
    ["empty", { shape: [0, 3], values: new Float32Array(0) }],
    ["scalar", { shape: [], values: Float32Array.of(Number.NEGATIVE_INFINITY) }],
  ]),
};

test("what was written is read, bit for bit", () => {
  expect(decodeSafetensors(encodeSafetensors(file))).toEqual(file);
});

test("the bytes are the format's: length, JSON, elements", () => {
  const bytes = encodeSafetensors(file);
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  expect((8 + length) % 8).toBe(0);
  expect(header.__metadata__).toEqual(file.metadata);
  expect(header["a.b"]).toEqual({ dtype: "F32", shape: [2, 2], data_offsets: [0, 16] });
  expect(header.scalar).toEqual({ dtype: "F32", shape: [], data_offsets: [16, 20] });
  expect(bytes.length).toBe(8 + length + 20);
});

test("a file that was cut off anywhere is refused", () => {
  const bytes = encodeSafetensors(file);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), (length) => {
      expect(() => decodeSafetensors(bytes.subarray(0, length))).toThrow();
    }),
  );
});
