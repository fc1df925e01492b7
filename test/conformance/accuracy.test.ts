/**
 * Scalar functions over all of float32: every exponent, both signs, many mantissas, and what is no
 * number; in units in the last place of the exact result.
 */

import { describe, expect, it } from "vitest";
import * as pg from "../../src/index.js";
import { type Tensor, tensor } from "../../src/index.js";
import { DEVICES, evaluateOn, reference } from "./devices.js";

const FUNCTIONS: Record<string, (x: Tensor) => Tensor> = {
  exp: pg.exp,
  log: pg.log,
  log1p: pg.log1p,
  expm1: pg.expm1,
  tanh: pg.tanh,
  erf: pg.erf,
  sigmoid: pg.sigmoid,
  logSigmoid: pg.logSigmoid,
  softplus: pg.softplus,
  sqrt: pg.sqrt,
};

/** Units in the last place a result may be away. */
const ALLOWED = 4;

/** All 256 exponents and both signs with evenly spread, extreme and random mantissas. */
function grid(): Float32Array {
  const bits: number[] = [];
  let state = 1;
  for (let exponent = 0; exponent < 256; exponent++) {
    const mantissas = [0, 1, 2, 0x7fffff, 0x7ffffe, 0x400000, 0x3fffff, 0x400001];
    for (let bit = 0; bit < 23; bit++) mantissas.push(1 << bit);
    // Denser where functions bend.
    const count = exponent > 110 && exponent < 136 ? 700 : 60;
    for (let i = 0; i < count; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      mantissas.push(i % 2 === 0 ? Math.floor((i / count) * 0x7fffff) : state >>> 9);
    }
    for (const mantissa of mantissas) {
      const magnitude = ((exponent << 23) | mantissa) >>> 0;
      bits.push(magnitude, (magnitude | 0x80000000) >>> 0);
    }
  }
  return new Float32Array(Uint32Array.from(bits).buffer);
}

/** Distance between neighbouring float32 numbers at x. */
function unit(x: number): number {
  const magnitude = Math.abs(x);
  if (!(magnitude >= 2 ** -126)) return 2 ** -149;
  return 2 ** (Math.min(127, Math.floor(Math.log2(magnitude))) - 23);
}

/** How far a float32 is from the exact result, in units of the last place. */
function distance(found: number, exact: number): number {
  const rounded = Math.fround(exact);
  if (Object.is(found, rounded)) return 0;
  if (Number.isNaN(exact) || Number.isNaN(found)) return Number.POSITIVE_INFINITY;
  if (exact === 0) return found === 0 ? 0.5 : Math.abs(found) / 2 ** -149;
  const limit = 2 ** 128;
  const finite = (x: number): number => Math.max(-limit, Math.min(limit, x));
  return Math.abs(finite(found) - finite(exact)) / unit(finite(exact));
}

const values = grid();

describe("the grid", () => {
  it("holds zeros, subnormals, infinities, NaN and every exponent", () => {
    const all = Array.from(values);
    for (const special of [
      0,
      -0,
      2 ** -149,
      -(2 ** -149),
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
    ]) {
      expect(all.some((x) => Object.is(x, special))).toBe(true);
    }
    expect(all.some(Number.isNaN)).toBe(true);
    const exponents = new Set(
      all
        .filter((x) => x !== 0 && Number.isFinite(x))
        .map((x) => Math.floor(Math.log2(Math.abs(x)))),
    );
    for (let e = -149; e < 128; e++) expect(exponents.has(e), `2^${e}`).toBe(true);
  });
});

for (const device of DEVICES) {
  describe(`on ${device.title}`, () => {
    for (const [name, f] of Object.entries(FUNCTIONS)) {
      it(`${name} is within ${ALLOWED} units in the last place`, async () => {
        const [exact] = await reference(name, () => f(tensor(Float64Array.from(values))));
        const [found] = await evaluateOn(device, () => f(tensor(values)));
        let worst = 0;
        let where = -1;
        for (let i = 0; i < values.length; i++) {
          const away = distance(found!.values[i]!, exact!.values[i]!);
          if (away > worst) {
            worst = away;
            where = i;
          }
        }
        const message = `${name}(${values[where]}) = ${found!.values[where]}, exactly ${exact!.values[where]}`;
        expect(worst, message).toBeLessThanOrEqual(ALLOWED);
      });
    }

    it("odd functions and roots keep the sign of zero", async () => {
      for (const f of [
        pg.tanh,
        pg.erf,
        pg.log1p,
        pg.expm1,
        pg.sqrt,
        pg.floor,
        pg.neg,
        pg.sign,
        pg.sin,
        pg.ceil,
        pg.round,
      ]) {
        const [found] = await evaluateOn(device, () => f(tensor([0, -0, 0, -0, 0])));
        const expected = f === pg.neg ? [-0, 0, -0, 0, -0] : [0, -0, 0, -0, 0];
        expect(Array.from(found!.values), f.name).toEqual(expected);
      }
    });

    it("float64 functions are within 1e-12", async () => {
      const points = Float64Array.from(values).filter((x) => !(Math.abs(x) > 1e30));
      for (const [name, f] of Object.entries(FUNCTIONS)) {
        const make = (): Tensor => f(tensor(points));
        const [exact] = await reference(`double ${name}`, make);
        const [found] = await evaluateOn(device, make);
        let worst = 0;
        for (let i = 0; i < points.length; i++) {
          const [value, wanted] = [found!.values[i]!, exact!.values[i]!];
          if (Object.is(value, wanted) || value === wanted) continue;
          const relative = Math.abs(value - wanted) / Math.max(Math.abs(wanted), 1e-300);
          if (!(relative <= worst)) worst = relative;
        }
        expect(worst, name).toBeLessThanOrEqual(1e-12);
      }
    });
  });
}
