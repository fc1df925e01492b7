import { describe, expect, it } from "vitest";
import {
  assemble,
  type Code,
  control,
  FunctionBuilder,
  i32,
  v128,
} from "../../../src/devices/wasm/assembler.js";
import {
  emitLogOfNormal,
  emitPow,
  emitUnary,
  type FloatLanes,
  type MathOperation,
} from "../../../src/devices/wasm/math.js";
import { emitSine } from "../../../src/devices/wasm/sine.js";
import { erfReference } from "./erfReference.js";

/** Bytes of an operand's region; the results follow two operands. */
const REGION = 1 << 20;
const memory = new WebAssembly.Memory({ initial: 48, maximum: 48 });

/** Compiles a map over whole vectors; gives it arrays of any length. */
function compile(lanes: FloatLanes, body: (f: FunctionBuilder, x: Code, y: Code) => Code) {
  const f = new FunctionBuilder(["i32"]);
  const [bytes] = f.parameters;
  const address = f.local("i32");
  const x = v128.load(address.get);
  const y = v128.load(address.get, REGION);
  f.body = control.loop([
    v128.store(address.get, body(f, x, y), 2 * REGION),
    address.set(i32.add(address.get, i32.const(16))),
    control.branchIf(0, i32.ltU(address.get, bytes!.get)),
  ]);
  const module = new WebAssembly.Module(
    assemble({
      memory: { shared: false, maximumPages: 48 },
      functions: [f],
      exports: { run: 0 },
    }),
  );
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  const run = instance.exports.run as (bytes: number) => void;
  const Float = lanes === "f32" ? Float32Array : Float64Array;
  const region = (index: number, length: number) =>
    new Float(memory.buffer, index * REGION, length);
  return (xs: readonly number[], ys: readonly number[] = []): number[] => {
    const results: number[] = [];
    const capacity = REGION / Float.BYTES_PER_ELEMENT;
    for (let start = 0; start < xs.length; start += capacity) {
      const part = xs.slice(start, start + capacity);
      region(0, part.length).set(part);
      region(1, part.length).set(ys.slice(start, start + part.length));
      run(part.length * Float.BYTES_PER_ELEMENT);
      for (const result of region(2, part.length)) results.push(result);
    }
    return results;
  };
}

const unary = (operation: MathOperation, lanes: FloatLanes) =>
  compile(lanes, (f, x) => emitUnary(f, operation, lanes, x));
const pow = (lanes: FloatLanes) => compile(lanes, (f, x, y) => emitPow(f, lanes, x, y));

const reference: Record<MathOperation, (x: number) => number> = {
  exp: Math.exp,
  log: Math.log,
  log1p: Math.log1p,
  expm1: Math.expm1,
  tanh: Math.tanh,
  erf: erfReference,
};

const FORMATS = {
  f32: { round: Math.fround, significand: 23, smallest: -149, largest: 127, exponent: 89 },
  f64: { round: (x: number) => x, significand: 52, smallest: -1074, largest: 1023, exponent: 710 },
} as const;

/** Significands for every exponent, both signs, subnormals included. */
function everyExponent(lanes: FloatLanes, steps: number): number[] {
  const { round, smallest, largest } = FORMATS[lanes];
  const values: number[] = [];
  for (let exponent = smallest; exponent <= largest; exponent++) {
    for (let step = 0; step < steps; step++) {
      const value = round(2 ** exponent * (1 + step / steps));
      values.push(value, -value);
    }
  }
  return values;
}

function uniform(lanes: FloatLanes, low: number, high: number, count: number): number[] {
  const { round } = FORMATS[lanes];
  return Array.from({ length: count }, (_, i) => round(low + ((high - low) * i) / (count - 1)));
}

/** Everywhere, then closely where the functions vary and where exp leaves the normal numbers. */
function grid(lanes: FloatLanes, density: number): number[] {
  const { exponent } = FORMATS[lanes];
  return [
    ...everyExponent(lanes, lanes === "f32" ? density : Math.ceil(density / 8)),
    ...uniform(lanes, -1.5, 2.5, 300 * density),
    ...uniform(lanes, -10, 10, 300 * density),
    ...uniform(lanes, -exponent * 1.2, exponent * 1.2, 300 * density),
  ];
}

const bits = new DataView(new ArrayBuffer(8));

/** The distance of adjacent floats at `value`. */
function unitInLastPlace(value: number, lanes: FloatLanes): number {
  const { significand, smallest } = FORMATS[lanes];
  bits.setFloat64(0, value);
  const exponent = ((bits.getUint32(0) >>> 20) & 2047) - 1023;
  return 2 ** Math.max(exponent - significand, smallest);
}

/** Error in units in the last place of the wanted value; ∞ if one is special and the other not. */
function ulps(got: number, wanted: number, lanes: FloatLanes): number {
  const rounded = FORMATS[lanes].round(wanted);
  if (Object.is(got, rounded)) return 0;
  if (!Number.isFinite(rounded) || !Number.isFinite(got)) return Infinity;
  if (rounded === 0 && got === 0) return Infinity;
  return Math.abs(got - rounded) / unitInLastPlace(rounded, lanes);
}

function worst(
  xs: readonly number[],
  got: readonly number[],
  wanted: (x: number, index: number) => number,
  lanes: FloatLanes,
) {
  let result = { ulps: 0, x: NaN, got: NaN, wanted: NaN };
  xs.forEach((x, index) => {
    const error = ulps(got[index]!, wanted(x, index), lanes);
    if (!(error <= result.ulps)) {
      result = { ulps: error, x, got: got[index]!, wanted: wanted(x, index) };
    }
  });
  return result;
}

/** Largest error in ulp against the rounded reference (float64's Math is itself off by up to 1). */
const BOUNDS: Record<MathOperation, Record<FloatLanes, number>> = {
  exp: { f32: 2, f64: 2 },
  log: { f32: 1, f64: 1 },
  log1p: { f32: 2, f64: 1 },
  expm1: { f32: 2, f64: 3 },
  tanh: { f32: 3, f64: 4 },
  erf: { f32: 2, f64: 3 },
};
const OPERATIONS = Object.keys(BOUNDS) as MathOperation[];

describe("the reference of erf", () => {
  it("agrees with published values and is odd", () => {
    // Abramowitz and Stegun, table 7.1, to more digits.
    expect(erfReference(0.5)).toBe(0.5204998778130465);
    expect(erfReference(1)).toBe(0.8427007929497149);
    expect(erfReference(-2)).toBe(-0.9953222650189527);
    expect(erfReference(3)).toBe(0.9999779095030014);
    expect(Object.is(erfReference(-0), -0)).toBe(true);
    expect(erfReference(1e-300)).toBe(1.1283791670955126e-300);
  });
});

describe("the measure of errors", () => {
  it("counts floats between two numbers and refuses a wrong sign of zero", () => {
    expect(ulps(1 + 2 ** -22, 1, "f32")).toBe(2);
    expect(ulps(1 + 2 ** -51, 1, "f64")).toBe(2);
    expect(ulps(3 * 2 ** -149, 2 ** -149, "f32")).toBe(2);
    expect(ulps(0, -0, "f32")).toBe(Infinity);
    expect(ulps(NaN, 1, "f32")).toBe(Infinity);
  });
});

describe.each(OPERATIONS)("%s", (operation) => {
  it.each(["f32", "f64"] as const)("is within its bound of ulps in %s lanes", (lanes) => {
    const slow = operation === "erf";
    const xs = grid(lanes, slow ? 16 : 64);
    const got = unary(operation, lanes)(xs);
    const error = worst(xs, got, reference[operation], lanes);
    expect(error.ulps, JSON.stringify(error)).toBeLessThanOrEqual(BOUNDS[operation][lanes]);
  });

  it.each(["f32", "f64"] as const)("has the special values of Math in %s lanes", (lanes) => {
    const { smallest, largest, round } = FORMATS[lanes];
    const edge = round(2 ** largest * 1.99999988);
    const xs = [0, -0, 1, -1, Infinity, -Infinity, NaN, -2, edge, -edge];
    xs.push(2 ** smallest, -(2 ** smallest), 1000, -1000, 20, -20);
    const got = unary(operation, lanes)(xs);
    const error = worst(xs, got, reference[operation], lanes);
    expect(error.ulps, JSON.stringify(error)).toBeLessThanOrEqual(BOUNDS[operation][lanes]);
  });

  it.each(["f32", "f64"] as const)("does not depend on the %s lane", (lanes) => {
    const xs = uniform(lanes, -3, 3, 1001);
    const map = unary(operation, lanes);
    const got = map(xs);
    expect(map(xs.slice(1))).toEqual(got.slice(1));
    expect(map(xs.map(() => xs[700]!))).toEqual(xs.map(() => got[700]));
  });
});

describe.each(["f32", "f64"] as const)("sine and cosine in %s lanes", (lanes) => {
  const sin = compile(lanes, (f, x) => emitSine(f, lanes, 0, x));
  const cos = compile(lanes, (f, x) => emitSine(f, lanes, 1, x));
  const { round } = FORMATS[lanes];

  it("are within 1 ulp below 2³¹, also next to their zeros", () => {
    const zeros = Array.from({ length: 20_000 }, (_, n) => round((n * 71 + 1) * (Math.PI / 2)));
    const neighbours = zeros.flatMap((x) => [x, x + unitInLastPlace(x, lanes), -x]);
    const xs = [...everyExponent(lanes, 64), ...uniform(lanes, -1e4, 1e4, 50_000), ...neighbours];
    const within = xs.filter((x) => Math.abs(x) < 2 ** 31);
    for (const [f, reference] of [
      [sin, Math.sin],
      [cos, Math.cos],
    ] as const) {
      const error = worst(within, f(within), reference, lanes);
      expect(error.ulps, JSON.stringify(error)).toBeLessThanOrEqual(1);
    }
  });

  it("are NaN from 2³¹ on, and of what is no number", () => {
    const xs = [2 ** 31, -(2 ** 31), 1e30, Infinity, -Infinity, NaN];
    for (const f of [sin, cos]) expect(f(xs)).toEqual(xs.map(() => NaN));
  });

  it("are odd and even, with the sign of zero", () => {
    const xs = uniform(lanes, 0, 100, 10_001);
    const opposite = xs.map((x) => -x);
    expect(sin(opposite)).toEqual(sin(xs).map((y) => -y));
    expect(cos(opposite)).toEqual(cos(xs));
    expect(Object.is(sin([-0])[0], -0)).toBe(true);
    expect(cos([0])[0]).toBe(1);
  });
});

describe.each(["f32", "f64"] as const)("in %s lanes", (lanes) => {
  it.each(["tanh", "erf"] as const)("%s is odd and at most 1", (operation) => {
    const xs = [...uniform(lanes, 0, 20, 20_000), Infinity];
    const got = unary(operation, lanes)(xs);
    expect(unary(operation, lanes)(xs.map((x) => -x))).toEqual(got.map((y) => -y));
    expect(Math.max(...got)).toBe(1);
    expect(Math.min(...got)).toBe(0);
  });

  it("exp has subnormal results, and 0 and ∞ beyond the range", () => {
    const { smallest, largest, round } = FORMATS[lanes];
    const exp = unary("exp", lanes);
    const xs = uniform(lanes, (smallest - 1) * Math.LN2 - 0.5, (smallest + 24) * Math.LN2, 5000);
    const got = exp(xs);
    const error = worst(xs, got, Math.exp, lanes);
    expect(error.ulps, JSON.stringify(error)).toBeLessThanOrEqual(1);
    expect(got.filter((y) => y > 0 && y < 2 ** (smallest + 23)).length).toBeGreaterThan(4000);
    const limit = (largest + 1) * Math.LN2;
    const tops = [limit * (1 - 1e-6), limit * (1 + 1e-6)];
    const [below, above] = exp(tops);
    expect(Math.abs(below! / round(Math.exp(round(tops[0]!))) - 1)).toBeLessThan(1e-6);
    expect(above).toBe(Infinity);
  });

  it("log of normal numbers has log's bits, and notes all others", () => {
    const { smallest, significand } = FORMATS[lanes];
    const note = (f: FunctionBuilder, x: Code, given: (value: Code, rare: Code) => Code): Code => {
      const [rare, value] = [f.local("v128"), f.local("v128")];
      return [
        rare.set(v128.constI32(0)),
        value.set(emitLogOfNormal(f, lanes, x, rare)),
        given(value.get, rare.get),
      ];
    };
    const specials = [0, -0, -1, Infinity, -Infinity, NaN, 2 ** smallest, -(2 ** smallest)];
    const xs = [...everyExponent(lanes, 32), ...specials];
    const full = unary("log", lanes)(xs);
    const fast = compile(lanes, (f, x) => note(f, x, (value) => value))(xs);
    // 1 where nothing was noted, NaN where something was.
    const one = lanes === "f32" ? v128.constF32(1) : v128.constF64(1);
    const noted = compile(lanes, (f, x) => note(f, x, (_, rare) => v128.or(one, rare)))(xs);
    const isNormal = (x: number) => x >= 2 ** (smallest + significand) && x < Infinity;
    xs.forEach((x, i) => {
      expect(noted[i], `${x}`).toBe(isNormal(x) ? 1 : NaN);
      if (isNormal(x)) expect(Object.is(fast[i], full[i]), `${x}`).toBe(true);
    });
    expect(xs.filter(isNormal).length).toBeGreaterThan(7000);
  });

  it("pow has a small relative error", () => {
    const { round, exponent } = FORMATS[lanes];
    const xs: number[] = [];
    const ys: number[] = [];
    for (const log of uniform(lanes, -exponent * 0.99, exponent * 0.99, 400)) {
      for (const y of uniform(lanes, -30, 30, 101)) {
        xs.push(round(Math.exp(log / 10)), round(Math.exp(log)));
        ys.push(y, round(y / 30));
      }
    }
    const got = pow(lanes)(xs, ys);
    let largest = 0;
    let normal = 0;
    xs.forEach((x, i) => {
      const wanted = x ** ys[i]!;
      if (wanted < 2 ** -FORMATS[lanes].largest || round(wanted) === Infinity) return;
      normal++;
      largest = Math.max(largest, Math.abs(got[i]! - wanted) / wanted);
    });
    expect(normal).toBeGreaterThan(50_000);
    expect(largest).toBeLessThan(lanes === "f32" ? 2e-7 : 3e-13);
  });

  it("pow has the signs and special values of Math.pow", () => {
    const { smallest } = FORMATS[lanes];
    const values = [0, -0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1.5, -2.5, 1e30, -1e30, 101, -100];
    values.push(Infinity, -Infinity, NaN, 2 ** smallest, -(2 ** smallest));
    const xs = values.flatMap((x) => values.map(() => x));
    const ys = values.flatMap(() => values);
    const got = pow(lanes)(xs, ys);
    const round = FORMATS[lanes].round;
    xs.forEach((given, i) => {
      const x = round(given);
      const y = round(ys[i]!);
      const wanted = round(x ** y);
      const message = `${x} ** ${y} = ${wanted}, not ${got[i]}`;
      if (Number.isFinite(wanted) && wanted !== 0) {
        const tolerance = Math.max(
          Math.abs(wanted) * (lanes === "f32" ? 2e-7 : 1e-12),
          2 ** smallest,
        );
        expect(Math.abs(got[i]! - wanted), message).toBeLessThanOrEqual(tolerance);
      } else {
        expect(Object.is(got[i], wanted), message).toBe(true);
      }
    });
  });
});
