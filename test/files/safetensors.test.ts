/**
 * Named tensors and the bytes of safetensors files. Where bytes are spelt out, they are the format's
 * definition, not this library's output.
 */

import { describe, expect, it } from "vitest";
import {
  decodeSafetensors,
  encodeSafetensors,
  ones,
  type Tensor,
  tensor,
} from "../../src/index.js";
import { fileOf } from "./fileOf.js";

async function values(t: Tensor | undefined): Promise<number[]> {
  return Array.from(await t!.data());
}

describe("encodeSafetensors", () => {
  it("writes a header of JSON that begins at byte 8, then the elements, largest first", async () => {
    const bytes = await encodeSafetensors(
      {
        flag: tensor([true, false, true]),
        w: tensor([[1.5, -2]]),
        big: tensor([0.1], { dtype: "float64" }),
        ids: tensor([7, -8], { dtype: "int32" }),
      },
      { format: "pt" },
    );
    const view = new DataView(bytes.buffer);
    const length = Number(view.getBigUint64(0, true));
    expect((8 + length) % 8).toBe(0);
    expect(JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)))).toEqual({
      __metadata__: { format: "pt" },
      big: { dtype: "F64", shape: [1], data_offsets: [0, 8] },
      w: { dtype: "F32", shape: [1, 2], data_offsets: [8, 16] },
      ids: { dtype: "I32", shape: [2], data_offsets: [16, 24] },
      flag: { dtype: "BOOL", shape: [3], data_offsets: [24, 27] },
    });
    const data = 8 + length;
    expect(view.getFloat64(data, true)).toBe(0.1);
    expect(view.getFloat32(data + 12, true)).toBe(-2);
    expect(view.getInt32(data + 20, true)).toBe(-8);
    expect([...bytes.subarray(data + 24)]).toEqual([1, 0, 1]);
  });

  it("gives back what it was given: values, shapes, dtypes, texts, names of every kind", async () => {
    const tensors = {
      w: tensor([[1, 2, 3]]).mul(0.1),
      __proto__x: ones([]),
      "7": ones([2, 0, 3]),
      "ä/ö": tensor([Number.NaN, -0, Number.POSITIVE_INFINITY, 2 ** -149]),
    };
    const read = await decodeSafetensors(await encodeSafetensors(tensors, { a: "b" }));
    expect(read.metadata).toEqual({ a: "b" });
    expect(Object.keys(read.tensors).sort()).toEqual(Object.keys(tensors).sort());
    for (const [name, t] of Object.entries(tensors)) {
      expect(read.tensors[name]!.shape).toEqual(t.shape);
      expect(read.tensors[name]!.dtype).toBe(t.dtype);
      const bits = async (x: Tensor) => new Int32Array((await x.data()).buffer);
      expect(await bits(read.tensors[name]!)).toEqual(await bits(t));
    }
  });

  it("refuses what is no tensor, and the name the format keeps", async () => {
    await expect(encodeSafetensors({ a: [1] as never })).rejects.toThrow(/a is no tensor/);
    await expect(encodeSafetensors({ __metadata__: ones([1]) })).rejects.toThrow(/__metadata__/);
    await expect(encodeSafetensors({}, { step: 100 } as never)).rejects.toThrow(
      "encodeSafetensors: metadata.step must be a text, got 100",
    );
    await expect(decodeSafetensors(undefined as never)).rejects.toThrow(
      "decodeSafetensors: bytes must be a path, bytes (",
    );
  });
});

describe("decodeSafetensors", () => {
  const one = (dtype: string, data: number[]) =>
    decodeSafetensors(fileOf({ x: { dtype, shape: [], data_offsets: [0, data.length] } }, data));

  it.each([
    // bits of 1.5, of the smallest subnormal, of −∞, by the definitions of the types
    ["F16", [0x00, 0x3e], 1.5, "float32"],
    ["F16", [0x01, 0x00], 2 ** -24, "float32"],
    ["F16", [0x00, 0xfc], Number.NEGATIVE_INFINITY, "float32"],
    ["F16", [0xff, 0x7b], 65504, "float32"],
    ["F16", [0x01, 0x7e], Number.NaN, "float32"],
    ["BF16", [0xc0, 0x3f], 1.5, "float32"],
    ["BF16", [0x80, 0xff], Number.NEGATIVE_INFINITY, "float32"],
    ["BF16", [0x01, 0x00], 2 ** -133, "float32"],
    ["I64", [0xfe, 255, 255, 255, 255, 255, 255, 255], -2, "int32"],
    ["U64", [9, 0, 0, 0, 0, 0, 0, 0], 9, "int32"],
    ["U32", [255, 255, 255, 0x7f], 2 ** 31 - 1, "int32"],
    ["I16", [0xfe, 0xff], -2, "int32"],
    ["U16", [0xfe, 0xff], 65534, "int32"],
    ["I8", [0xfe], -2, "int32"],
    ["U8", [0xfe], 254, "int32"],
    ["BOOL", [1], 1, "bool"],
  ])("reads %s", async (dtype, data, value, becomes) => {
    const { tensors } = await one(dtype, data);
    expect(await values(tensors.x)).toEqual([value]);
    expect(tensors.x!.dtype).toBe(becomes);
  });

  it("reads elements that are not aligned", async () => {
    const header = {
      a: { dtype: "U8", shape: [1], data_offsets: [0, 1] },
      b: { dtype: "F32", shape: [1], data_offsets: [1, 5] },
    };
    const { tensors } = await decodeSafetensors(fileOf(header, [3, 0, 0, 0xc0, 0x3f]));
    expect(await values(tensors.b)).toEqual([1.5]);
  });

  it.each([
    ["U32", [0, 0, 0, 0x80]],
    ["I64", [0, 0, 0, 0, 1, 0, 0, 0]],
  ])("refuses %s beyond int32, naming tensor and value", async (dtype, data) => {
    await expect(one(dtype, data)).rejects.toThrow(/x holds \d+, which does not fit int32/);
  });
});
