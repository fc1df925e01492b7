/**
 * Loops take a short form of the logarithm and, where numbers among their vectors need it, compute
 * anew by the full one: wherever those lie, every element has the bits it has alone.
 */

import { beforeAll, expect, it } from "vitest";
import {
  type DType,
  matmul,
  randomUniform,
  realize,
  setDevice,
  type Tensor,
  tensor,
  where,
} from "../../../src/index.js";

beforeAll(() => setDevice("wasm", { threads: 1 }));

const SPECIALS = [0, -0, -1, Infinity, -Infinity, NaN, 2 ** -149, 1e-320];
/** Tells -0 from 0. */
const key = (value: number): string => (Object.is(value, -0) ? "-0" : String(value));

const weights = (shape: readonly number[]) => randomUniform(shape, { seed: 1 });
const FUNCTIONS: Record<string, (x: Tensor) => Tensor> = {
  "a logarithm": (x) => x.log(),
  "what is made of one": (x) => x.mul(3).log().mul(x).add(x.log()),
  "a choice of it": (x) => where(x.greater(0.5), x.log(), x.mul(2)),
  "a row of them": (x) =>
    x
      .reshape([-1, 1])
      .mul(weights([1, 21]).cast(x.dtype))
      .log(),
  "the epilogue of a product": (x) => {
    return matmul(x.reshape([-1, 1]), weights([1, 9]).cast(x.dtype)).log();
  },
  "an epilogue with a row": (x) => {
    return matmul(x.reshape([-1, 1]), weights([1, 9]).cast(x.dtype))
      .log()
      .add(weights([9]).cast(x.dtype).log());
  },
};

it.each(
  Object.keys(FUNCTIONS).flatMap((name) =>
    (["float32", "float64"] as const).map((dtype): [string, DType] => [name, dtype]),
  ),
)("%s has its own bits among others, in %s", async (name, dtype) => {
  const compute = (values: readonly number[]) => {
    return FUNCTIONS[name]!(tensor(values, { dtype }));
  };
  const alone = new Map<string, number[]>();
  const numbers = Array.from({ length: 90 }, (_, i) => 0.01 + i * i * 0.37);
  for (const value of [...numbers, ...SPECIALS]) {
    alone.set(key(value), Array.from(await compute([value]).data()));
  }
  const isPlain = !name.startsWith("what") && !name.startsWith("a choice");
  for (const value of isPlain ? SPECIALS.slice(0, 6) : []) {
    expect(alone.get(key(value))).toEqual(alone.get(key(value))!.map(() => Math.log(value)));
  }
  // Every place in vectors, unrolled vectors and what remains; then several at once.
  for (const length of [16, 23, 90]) {
    for (let at = 0; at < length; at++) {
      const values = numbers.slice(0, length);
      values[at] = SPECIALS[at % SPECIALS.length]!;
      values[(at * 7) % length] = SPECIALS[(at * 5) % SPECIALS.length]!;
      const found = await compute(values).data();
      expect(Array.from(found)).toEqual(values.flatMap((value) => alone.get(key(value))!));
    }
  }
});

it("has them where it takes the place of what it is computed from", async () => {
  const values = Array.from({ length: 90 }, (_, i) => (i % 11 === 3 ? 0 : i * 0.02));
  const stages = [
    (t: Tensor) => t.tanh(),
    (t: Tensor) => t.log().tanh(),
    (t: Tensor) => t.sub(t.min()),
  ];
  const atOnce = await stages.reduce((t, stage) => stage(t), tensor(values)).data();
  let inTurn: Tensor = tensor(values);
  for (const stage of stages) inTurn = await realize(stage(inTurn));
  expect(Array.from(atOnce)).toEqual(Array.from(await inTurn.data()));
  // log 0 is -∞, the least.
  expect(values.filter((value, i) => (atOnce[i] === 0) !== (value === 0))).toEqual([]);
});
