/**
 * Files that are damaged, or made to do harm: each is refused by an error of the library's own, before
 * memory is taken for what it claims.
 */

import { describe, expect, it } from "vitest";
import {
  decodeSafetensors,
  encodeSafetensors,
  encodeTree,
  loadTree,
  tensor,
} from "../../src/index.js";
import { randomGenerator } from "../../src/tensor/random.js";
import { fileOf } from "./fileOf.js";

const float = (shape: unknown, from: unknown, to: unknown) => ({
  dtype: "F32",
  shape,
  data_offsets: [from, to],
});
const zeros = (n: number) => new Array<number>(n).fill(0);

describe("a damaged or hostile file is refused, saying why:", () => {
  it.each<[string, Uint8Array, RegExp]>([
    ["no bytes", new Uint8Array(0), /shorter than the eight bytes/],
    [
      "a header longer than the file",
      new Uint8Array([9, 0, 0, 0, 0, 0, 0, 0, 123]),
      /claims 9 bytes, but 1/,
    ],
    [
      "a header beyond the format's limit",
      new Uint8Array([0, 0, 0, 0, 0, 0, 0, 1]),
      /the format allows/,
    ],
    ["no JSON", fileOf("{x"), /not JSON/],
    ["no object", fileOf("[]"), /no JSON object/],
    ["no UTF-8", new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0, 255]), /not UTF-8/],
    ["metadata that are no texts", fileOf({ __metadata__: { a: 1 } }), /object of strings/],
    ["an entry that is none", fileOf({ x: 3 }), /x has no dtype/],
    [
      "an unknown dtype",
      fileOf({ x: { dtype: "F8_E4M3", shape: [1], data_offsets: [0, 1] } }, [0]),
      /x is F8_E4M3/,
    ],
    [
      "a dtype that is a method's name",
      fileOf({ x: { dtype: "toString", shape: [], data_offsets: [0, 0] } }),
      /x is toString/,
    ],
    ["a negative extent", fileOf({ x: float([-1], 0, 4) }, zeros(4)), /no shape of integers/],
    [
      "an extent that is no integer",
      fileOf({ x: float([0.5], 0, 2) }, zeros(2)),
      /no shape of integers/,
    ],
    ["offsets that fall", fileOf({ x: float([0], 4, 0) }, zeros(4)), /claims the bytes 4 to 0/],
    [
      "offsets beyond the end",
      fileOf({ x: float([2], 0, 8) }, zeros(4)),
      /claims the bytes 0 to 8 of 4/,
    ],
    [
      "a shape that is not the data's size",
      fileOf({ x: float([3], 0, 8) }, zeros(8)),
      /12 bytes, but has 8/,
    ],
    [
      "a shape whose product overflows",
      fileOf({ x: float([2 ** 40, 2 ** 40], 0, 4) }, zeros(4)),
      /but has 4/,
    ],
    [
      "tensors that overlap",
      fileOf({ x: float([1], 0, 4), y: float([1], 2, 6) }, zeros(6)),
      /y overlaps/,
    ],
    ["a gap", fileOf({ x: float([1], 4, 8) }, zeros(8)), /x leaves a gap/],
    [
      "bytes that belong to nothing",
      fileOf({ x: float([1], 0, 4) }, zeros(5)),
      /1 bytes after the last/,
    ],
    [
      "a name that occurs twice",
      fileOf(
        `{"x":${JSON.stringify(float([1], 0, 4))},"x":${JSON.stringify(float([1], 4, 8))}}`,
        zeros(8),
      ),
      /"x" occurs twice/,
    ],
    [
      "a name that occurs twice, once in escapes",
      fileOf(
        `{"x":${JSON.stringify(float([1], 0, 4))},"\\u0078":${JSON.stringify(float([1], 4, 8))}}`,
        zeros(8),
      ),
      /occurs twice/,
    ],
  ])("%s", async (_, bytes, why) => {
    await expect(decodeSafetensors(bytes)).rejects.toThrow(why);
    await expect(loadTree(bytes)).rejects.toThrow(why);
  });

  it("names inside of texts and of entries are no names of tensors", async () => {
    const header = {
      __metadata__: { x: '"y":', y: "\\" },
      x: float([1], 0, 4),
      y: float([1], 4, 8),
    };
    const { tensors } = await decodeSafetensors(fileOf(header, zeros(8)));
    expect(Object.keys(tensors)).toEqual(["x", "y"]);
  });

  it.each([
    ["no tree", {}, /named tensors and no tree/],
    ["JSON cut short", { "prefgrad.tree": '{"a":' }, /damaged/],
    ["a number for a leaf", { "prefgrad.tree": "3" }, /damaged/],
    ["an unknown leaf", { "prefgrad.tree": '"tensors"' }, /damaged/],
    ["a tensor that is not there", { "prefgrad.tree": '{"a":"tensor"}' }, /lacks \/a/],
  ])("a tree's file with %s", async (_, metadata, why) => {
    await expect(loadTree(fileOf({ __metadata__: metadata }))).rejects.toThrow(why);
  });

  it("a tensor that the tree does not have", async () => {
    const bytes = await encodeSafetensors({ "/a": tensor([1]) }, { "prefgrad.tree": "{}" });
    await expect(loadTree(bytes)).rejects.toThrow(/damaged/);
  });
});

/** 5,000 files here; `npm run proof` sets FUZZ_FILES to 200,000. */
const FILES = Number(process.env.FUZZ_FILES ?? 5_000);

it(`${FILES} files with bytes changed, cut, or repeated are read or refused, and nothing else happens`, async () => {
  const good = await encodeTree({
    a: tensor([
      [1, 2],
      [3, 4],
    ]),
    list: [tensor([1, 2, 3], { dtype: "int32" }), 0.5, "x"],
  });
  const random = randomGenerator("hostile");
  const below = (n: number) => Math.floor(random() * n);
  let read = 0;
  for (let i = 0; i < FILES; i++) {
    let bytes = good.slice();
    const header = Number(new DataView(good.buffer).getBigUint64(0, true)) + 8;
    for (let change = below(4); change >= 0; change--) {
      const at = below(random() < 0.9 ? header : bytes.length) % bytes.length;
      const kind = below(4);
      if (kind === 0) bytes[at] = below(256);
      else if (kind === 1) bytes[at]! ^= 1 << below(8);
      else if (kind === 2) bytes = bytes.slice(0, at + 1);
      else bytes = new Uint8Array([...bytes.subarray(0, at), ...bytes.subarray(at >> 1)]);
    }
    try {
      await loadTree(bytes);
      read++;
    } catch (error) {
      expect((error as Error).message).toMatch(/^(safetensors|loadTree): /);
    }
  }
  // Some changes hit padding or elements: those files are still files.
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThan(FILES / 2);
});
