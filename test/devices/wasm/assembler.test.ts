/** Vector constants that a loop uses are set once, and the function computes what is written. */

import { expect, test } from "vitest";
import {
  assemble,
  control,
  FunctionBuilder,
  f32x4,
  i32,
  v128,
} from "../../../src/devices/wasm/assembler.js";

const VECTOR_CONSTANT = [0xfd, 12];

function countOf(bytes: Uint8Array, pattern: readonly number[]): number {
  return Array.from(bytes.keys()).filter((at) => pattern.every((byte, i) => bytes[at + i] === byte))
    .length;
}

test("vector constants of loops are set once, before the loop", () => {
  const builder = new FunctionBuilder(["i32", "i32"]);
  const [address, turns] = builder.parameters;
  const x = builder.local("v128");
  const [two, three] = [v128.constF32(2), v128.constF32(3)];
  // x ← ((x + 2) · 3 + 2) · 3 in each turn, then x − 2.
  const once = (value: Parameters<typeof f32x4.mul>[0]) => f32x4.mul(f32x4.add(value, two), three);
  builder.body = [
    x.set(v128.load(address.get)),
    control.loop([
      x.set(once(once(x.get))),
      turns.set(i32.sub(turns.get, i32.const(1))),
      control.branchIf(0, turns.get),
    ]),
    v128.store(address.get, f32x4.sub(x.get, v128.constF32(2))),
  ];
  const bytes = assemble({
    memory: { shared: false, maximumPages: 1 },
    functions: [builder],
    exports: { run: 0 },
  });

  // One for each of the two that the loop uses, one after it.
  expect(countOf(bytes, VECTOR_CONSTANT)).toBe(3);

  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  const values = new Float32Array(memory.buffer, 16, 4);
  values.set([0, 1, -2, 0.5]);
  (exports.run as (address: number, turns: number) => void)(16, 2);
  const expected = [0, 1, -2, 0.5].map((start) => {
    let value = start;
    for (let i = 0; i < 4; i++) value = (value + 2) * 3;
    return value - 2;
  });
  expect([...values]).toEqual(expected);
});
