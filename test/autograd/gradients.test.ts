/**
 * First and second derivatives of every operation on random shapes, against central differences.
 */

import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  checkGradients,
  grad,
  gradients,
  realize,
  setDevice,
  type Tensor,
  tensor,
} from "../../src/index.js";
import * as ops from "../../src/ops/index.js";
import {
  broadcastPair,
  forAll,
  type Reference,
  replaced,
  shapes,
  sizeOf,
  toTensor,
} from "../ops/reference.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

describe("what realize forgot", () => {
  it("is an error where no x is reached", async () => {
    const x = tensor([1, 2]);
    const y = x.square().sum();
    const z = y.add(1);
    await realize(y);
    for (const cut of [y, z]) {
      expect(() => gradients(cut, [x])).toThrow(
        /^gradients: y does not reach any x: realize forgot how Tensor float32\[\].* was computed; take gradients before realize, or with respect to that tensor$/,
      );
    }
    expect(await gradients(z, [y])[0]!.array()).toBe(1);
    // One x is reached, so the other's zero is an answer.
    expect(await gradients(z.mul(x).sum(), [x])[0]!.array()).toEqual([6, 6]);
  });

  it("does not disturb the zero of a tensor that y does not depend on", async () => {
    const w = await realize(tensor([3]).mul(2));
    const x = tensor([1, 2]);
    const loss = w.square().sum();
    expect(await gradients(loss, [x])[0]!.array()).toEqual([0, 0]);
    expect(await grad((p: { w: Tensor; x: Tensor }) => p.w.sum())({ w, x }).x.array()).toEqual([
      0, 0,
    ]);
  });
});

/** Elements that are pairwise distinct, also between inputs, and no integers: kinks and ties are elsewhere. */
function distinct(
  shape: readonly number[],
  [low, high]: readonly [number, number] = [-2, 2],
  input = 0,
): fc.Arbitrary<Reference> {
  const size = sizeOf(shape);
  return fc
    .uniqueArray(fc.nat({ max: 1023 }), { minLength: size, maxLength: size })
    .map((steps) => ({
      shape,
      values: steps.map((step) => low + ((high - low) * (step + 0.3 + 0.25 * input)) / 1024),
    }));
}

const small = (options: Parameters<typeof shapes>[0] = {}): fc.Arbitrary<number[]> =>
  shapes({ maxRank: 3, maxExtent: 3, ...options }).filter((shape) => sizeOf(shape) <= 12);

const positive = [0.3, 2.5] as const;

/** A differentiable expression and inputs it is differentiated at. */
type Problem = readonly [f: (...xs: Tensor[]) => Tensor, inputs: readonly Reference[]];

function unary(
  f: (x: Tensor) => Tensor,
  domain?: readonly [number, number],
): fc.Arbitrary<Problem> {
  return small()
    .chain((shape) => distinct(shape, domain))
    .map((x) => [f, [x]]);
}

function binary(
  f: (a: Tensor, b: Tensor) => Tensor,
  domainA?: readonly [number, number],
  domainB?: readonly [number, number],
): fc.Arbitrary<Problem> {
  const shapePair = fc
    .tuple(broadcastPair({ maxRank: 3, maxExtent: 3 }), fc.boolean())
    .filter(([[full]]) => sizeOf(full) <= 12)
    .map(([[full, part], swap]) => (swap ? [part, full] : [full, part]));
  const both = fc.oneof(
    { weight: 5, arbitrary: shapePair },
    { weight: 1, arbitrary: fc.constant([[2, 1], [3]]) },
  );
  return both.chain(([a, b]) =>
    fc
      .tuple(distinct(a!, domainA), distinct(b!, domainB, 1))
      .map((inputs): Problem => [f as never, inputs]),
  );
}

/** A shape with at least one axis, one of its axes, and whatever is made of them. */
function withAxis(
  make: (shape: number[], axis: number) => fc.Arbitrary<Problem>,
  minExtent = 0,
): fc.Arbitrary<Problem> {
  return small({ minRank: 1, minExtent }).chain((shape) =>
    fc.integer({ min: -shape.length, max: shape.length - 1 }).chain((axis) => make(shape, axis)),
  );
}

function alongAxis(f: (x: Tensor, axis: number) => Tensor, minExtent = 0): fc.Arbitrary<Problem> {
  return withAxis(
    (shape, axis) => distinct(shape).map((x) => [(t) => f(t!, axis), [x]]),
    minExtent,
  );
}

function reduction(
  f: (x: Tensor, axes: number[], options: { keepDims: boolean }) => Tensor,
  minExtent: number,
): fc.Arbitrary<Problem> {
  return small({ minExtent }).chain((shape) =>
    fc
      .tuple(distinct(shape), fc.subarray([...shape.keys()]), fc.boolean())
      .map(([x, axes, keepDims]): Problem => [(t) => f(t!, axes, { keepDims }), [x]]),
  );
}

const indexValues = (shape: number[], extent: number): fc.Arbitrary<Reference> =>
  fc
    .array(fc.integer({ min: 0, max: Math.max(0, extent - 1) }), {
      minLength: sizeOf(shape),
      maxLength: sizeOf(shape),
    })
    .map((values) => ({ shape, values }));

const gathered: fc.Arbitrary<Problem> = fc
  .tuple(small({ minRank: 1, minExtent: 1 }), small({ maxRank: 2 }), fc.nat())
  .chain(([shape, places, pick]) => {
    const axis = pick % shape.length;
    return fc
      .tuple(distinct(shape), indexValues(places, shape[axis]!))
      .map(([x, where]): Problem => [(t) => ops.gather(t!, toTensor(where, "int32"), axis), [x]]);
  });

const scattered: fc.Arbitrary<Problem> = fc
  .tuple(small({ minRank: 1, minExtent: 1, maxRank: 2 }), small({ maxRank: 1 }), fc.nat())
  .chain(([shape, places, pick]) => {
    const axis = pick % shape.length;
    const updates = [...shape.slice(0, axis), ...places, ...shape.slice(axis + 1)];
    return fc
      .tuple(distinct(shape), distinct(updates), indexValues(places, shape[axis]!))
      .map(
        ([x, u, where]): Problem => [
          (a, b) => ops.scatterAdd(a!, toTensor(where, "int32"), b!, axis),
          [x, u],
        ],
      );
  });

const written: fc.Arbitrary<Problem> = small({ minRank: 1, minExtent: 1, maxRank: 3 })
  .chain((shape) =>
    fc.tuple(
      fc.constant(shape),
      fc.nat({ max: shape[0]! }),
      fc.integer({ min: -1, max: shape[0]! }),
    ),
  )
  .chain(([shape, rows, start]) =>
    fc
      .tuple(distinct(shape), distinct([rows, ...shape.slice(1)]))
      .map(
        ([x, u]): Problem => [
          (a, b) => ops.writeSlice(a!, b!, toTensor({ shape: [], values: [start] }, "int32")),
          [x, u],
        ],
      ),
  );

const matrices: fc.Arbitrary<Problem> = fc
  .tuple(
    fc.constantFrom<[number[], number[]]>(
      [[], []],
      [[2], []],
      [[], [2]],
      [[2], [2]],
      [[2, 1], [2]],
      [[1], [1]],
      [[0], []],
    ),
    ...([0, 0, 0] as const).map(() => fc.integer({ min: 0, max: 3 })),
  )
  .filter(([[a, b], m, k, n]) => sizeOf([...a, m!, k!]) <= 12 && sizeOf([...b, k!, n!]) <= 12)
  .chain(([[a, b], m, k, n]) =>
    fc
      .tuple(distinct([...a, m!, k!]), distinct([...b, k!, n!]))
      .map((inputs): Problem => [(x, y) => ops.matmul(x!, y!), inputs]),
  );

const vectors: fc.Arbitrary<Problem> = fc
  .constantFrom<[number[], number[]]>(
    [[3], [3]],
    [[3], [3, 2]],
    [[2, 3], [3]],
    [[3], [2, 3, 2]],
    [[2, 2, 3], [3]],
    [[0], [0]],
  )
  .chain(([a, b]) =>
    fc
      .tuple(distinct(a), distinct(b))
      .map((inputs): Problem => [(x, y) => ops.matmul(x!, y!), inputs]),
  );

const transposedProduct: fc.Arbitrary<Problem> = fc
  .tuple(distinct([3, 2]), distinct([3, 2]))
  .map((inputs): Problem => [(x, y) => ops.matmul(x!.transpose(), ops.flip(y!)), inputs]);

const sliced: fc.Arbitrary<Problem> = small({ minRank: 1, maxRank: 2, maxExtent: 5 }).chain(
  (shape) => {
    const position = fc.option(fc.integer({ min: -6, max: 6 }), { nil: null });
    const range = fc.tuple(position, position, fc.constantFrom(1, 2, 3, -1, -2));
    return fc
      .tuple(distinct(shape), fc.tuple(...shape.map(() => range)))
      .map(([x, ranges]): Problem => [(t) => ops.slice(t!, ...ranges), [x]]);
  },
);

const padded: fc.Arbitrary<Problem> = small({ maxRank: 2 }).chain((shape) => {
  const width = fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 2 }));
  return fc
    .tuple(distinct(shape), fc.tuple(...shape.map(() => width)))
    .map(([x, widths]): Problem => [(t) => ops.pad(t!, widths), [x]]);
});

const joined = (
  f: (parts: Tensor[], axis: number) => Tensor,
  sameExtent: boolean,
): fc.Arbitrary<Problem> =>
  withAxis((shape, axis) =>
    fc
      .array(sameExtent ? fc.constant(shape.at(axis)!) : fc.nat({ max: 2 }), {
        minLength: 1,
        maxLength: 3,
      })
      .chain((extents) =>
        fc
          .tuple(...extents.map((extent) => distinct(replaced(shape, axis, extent))))
          .map((inputs): Problem => [(...parts) => f(parts, axis), inputs]),
      ),
  );

const selecting: fc.Arbitrary<Problem> = binary(ops.mul).chain(([, inputs]) =>
  fc.boolean().map(
    (flipped): Problem => [
      (a, b) => {
        const condition = ops.less(a!, b!);
        return ops.where(condition, flipped ? b! : a!.square(), flipped ? a!.square() : b!);
      },
      inputs,
    ],
  ),
);

const repeated: fc.Arbitrary<Problem> = broadcastPair({ maxRank: 3, maxExtent: 3 })
  .filter(([full]) => sizeOf(full) <= 12)
  .chain(([full, part]) =>
    distinct(part).map((x): Problem => [(t) => ops.broadcastTo(t!, full), [x]]),
  );

const summedTo: fc.Arbitrary<Problem> = broadcastPair({ maxRank: 3, maxExtent: 3 })
  .filter(([full]) => sizeOf(full) <= 12)
  .chain(([full, part]) => distinct(full).map((x): Problem => [(t) => ops.sumTo(t!, part), [x]]));

/** One entry for every operation through which gradients flow. */
const DIFFERENTIABLE: Record<string, fc.Arbitrary<Problem>> = {
  add: binary(ops.add),
  sub: binary(ops.sub),
  mul: binary(ops.mul),
  div: binary(ops.div, [-2, 2], positive),
  pow: binary(ops.pow, positive),
  maximum: binary(ops.maximum),
  minimum: binary(ops.minimum),
  where: selecting,
  neg: unary(ops.neg),
  exp: unary(ops.exp),
  log: unary(ops.log, positive),
  log1p: unary(ops.log1p, [-0.6, 2]),
  expm1: unary(ops.expm1),
  sqrt: unary(ops.sqrt, positive),
  tanh: unary(ops.tanh),
  erf: unary(ops.erf),
  abs: unary((x) => ops.mul(ops.abs(x), x)),
  sign: unary((x) => ops.mul(ops.sign(x), x.square())),
  floor: unary((x) => ops.mul(ops.floor(x), x.square())),
  ceil: unary((x) => ops.mul(ops.ceil(x), x.square())),
  round: unary((x) => ops.mul(ops.round(x), x.square())),
  sin: unary(ops.sin),
  cos: unary(ops.cos),
  square: unary(ops.square),
  reciprocal: unary(ops.reciprocal, positive),
  rsqrt: unary(ops.rsqrt, positive),
  clamp: unary((x) => ops.mul(ops.clamp(x, -1, 0.5), x)),
  cast: unary((x) => ops.mul(ops.cast(x, "float64"), x)),
  sigmoid: unary(ops.sigmoid),
  logSigmoid: unary(ops.logSigmoid),
  softplus: unary(ops.softplus),
  log1mexp: unary(ops.log1mexp, [-2.5, -0.3]),
  relu: unary((x) => ops.mul(ops.relu(x), x)),
  silu: unary(ops.silu),
  gelu: fc
    .boolean()
    .chain((exact) => unary((x) => ops.gelu(x, { approximate: exact ? "none" : "tanh" }))),
  sum: reduction(ops.sum, 0),
  mean: reduction(ops.mean, 1),
  max: reduction((x, axes, options) => ops.max(x.square(), axes, options), 1),
  min: reduction((x, axes, options) => ops.min(x.square(), axes, options), 1),
  variance: fc
    .constantFrom(0, 0.5)
    .chain((correction) =>
      reduction((x, axes, options) => ops.variance(x, axes, { ...options, correction }), 1),
    ),
  std: reduction((x, axes, options) => {
    const apart = ops.stack([x, x.square().add(3)]);
    return ops.std(apart, [0, ...axes.map((axis) => axis + 1)], options);
  }, 1),
  norm: reduction((x, axes, options) => ops.norm(ops.add(x, 3), axes, options), 1),
  logSumExp: reduction(ops.logSumExp, 1),
  softmax: alongAxis(ops.softmax, 1),
  logSoftmax: alongAxis(ops.logSoftmax, 1),
  cumsum: alongAxis((x, axis) => ops.cumsum(x.square(), axis)),
  sort: alongAxis((x, axis) => ops.sort(x.square(), axis)),
  topK: alongAxis((x, axis) => ops.topK(x.square(), 1, axis).values, 1),
  einsum: fc
    .constantFrom<[equation: string, second: number[]]>(
      ["ij,kj->ik", [2, 3]],
      ["ij,ik->kj", [2, 2]],
      ["ij,kj->", [2, 3]],
      ["ij,kj->ijk", [2, 3]],
      ["ij,kk->jk", [2, 2]],
    )
    .chain(([equation, second]) =>
      fc
        .tuple(distinct([2, 3]), distinct(second))
        .map((inputs): Problem => [(a, b) => ops.einsum(equation, a!, b!), inputs]),
    ),
  takeAlongAxis: withAxis(
    (shape, axis) =>
      fc
        .nat({ max: 3 })
        .chain((extent) =>
          fc
            .tuple(distinct(shape), indexValues(replaced(shape, axis, extent), shape.at(axis)!))
            .map(
              ([x, where]): Problem => [
                (t) => ops.takeAlongAxis(t!, toTensor(where, "int32"), axis),
                [x],
              ],
            ),
        ),
    1,
  ),
  gather: gathered,
  scatterAdd: scattered,
  writeSlice: written,
  matmul: fc.oneof(matrices, vectors, transposedProduct),
  dot: small().chain((shape) =>
    fc.tuple(distinct(shape), distinct(shape)).map((inputs): Problem => [ops.dot as never, inputs]),
  ),
  reshape: unary((x) => ops.reshape(x, [-1])),
  transpose: unary((x) => ops.transpose(x)),
  swapAxes: alongAxis((x, axis) => ops.swapAxes(x, 0, axis)),
  slice: sliced,
  flip: alongAxis(ops.flip),
  at: unary((x) => ops.at(ops.expandDims(x, 0), -1)),
  split: alongAxis((x, axis) => ops.concat(ops.split(x, 2, axis).reverse(), axis)),
  repeat: unary((x) => ops.repeat(x, [2, ...x.shape.map(() => 2)])),
  repeatInterleave: alongAxis((x, axis) => ops.repeatInterleave(x, 2, axis)),
  tril: small({ minRank: 2 })
    .chain((shape) => distinct(shape))
    .map((x): Problem => [(t) => ops.tril(t!, 1), [x]]),
  triu: small({ minRank: 2 })
    .chain((shape) => distinct(shape))
    .map((x): Problem => [(t) => ops.triu(t!), [x]]),
  pad: padded,
  concat: joined(ops.concat, false),
  stack: joined(ops.stack, true),
  squeeze: unary((x) => ops.squeeze(x)),
  expandDims: alongAxis(ops.expandDims),
  broadcastTo: repeated,
  sumTo: summedTo,
};

/** Operations whose results are integers or booleans. */
const DISCRETE: Record<string, (x: Tensor) => Tensor> = {
  equal: (x) => ops.equal(x, 1),
  notEqual: (x) => ops.notEqual(x, 1),
  less: (x) => ops.less(x, 1),
  lessEqual: (x) => ops.lessEqual(x, 1),
  greater: (x) => ops.greater(x, 1),
  greaterEqual: (x) => ops.greaterEqual(x, 1),
  logicalAnd: (x) => ops.logicalAnd(x, true),
  logicalOr: (x) => ops.logicalOr(x, true),
  logicalNot: (x) => ops.logicalNot(x),
  isnan: (x) => ops.isnan(x),
  isfinite: (x) => ops.isfinite(x),
  argmax: (x) => ops.argmax(x),
  argmin: (x) => ops.argmin(x),
  argsort: (x) => ops.argsort(x),
  oneHot: (x) => ops.oneHot(ops.cast(x, "int32"), 3),
};

describe("every operation is listed here", () => {
  it("as differentiable or as discrete", () => {
    const listed = [...Object.keys(DIFFERENTIABLE), ...Object.keys(DISCRETE)];
    expect(listed.sort()).toEqual(Object.keys(ops).sort());
  });
});

describe("first and second derivatives agree with finite differences", () => {
  for (const [name, problems] of Object.entries(DIFFERENTIABLE)) {
    it(name, () =>
      forAll(
        [problems],
        async ([f, inputs]) => {
          const at = inputs.map((x) => toTensor(x));
          // The square makes second derivatives of linear operations differ from 0.
          await checkGradients((...xs) => f(...xs).square(), at, { order: 2, tolerance: 1e-5 });
        },
        20,
      ),
    );
  }
});

describe("no gradient flows through discrete operations", () => {
  for (const [name, f] of Object.entries(DISCRETE)) {
    it(name, async () => {
      const x = tensor([0.5, 2, 1]);
      const y = ops.add(ops.cast(f(x), "float32").sum(), x.sum());
      expect(await gradients(y, [x])[0]!.array()).toEqual([1, 1, 1]);
    });
  }
});

describe("compositions", () => {
  const compositions: [string, readonly number[][], (...xs: Tensor[]) => Tensor][] = [
    [
      "layer normalisation",
      [[2, 4], [4], [4]],
      (x, gain, bias) => {
        const centred = x!.sub(x!.mean(-1, { keepDims: true }));
        const scale = ops.variance(x!, -1, { keepDims: true }).add(1e-3).sqrt();
        return centred.div(scale).mul(gain!).add(bias!);
      },
    ],
    [
      "attention",
      [
        [3, 4],
        [3, 4],
        [3, 4],
      ],
      (q, k, v) => {
        const mask = ops.less(tensor([[0], [1], [2]]), tensor([0, 1, 2]));
        const scores = q!.matmul(k!.transpose()).mul(0.5);
        return ops.softmax(ops.where(mask, Number.NEGATIVE_INFINITY, scores)).matmul(v!);
      },
    ],
    [
      "a network",
      [[3, 2], [2, 4], [4], [4, 1]],
      (x, w, b, v) => x!.matmul(w!).add(b!).gelu().matmul(v!).tanh(),
    ],
    [
      "the preference loss of token log-probabilities",
      [[4, 5]],
      (logits) => {
        const tokens = tensor([[1], [0], [4], [2]], { dtype: "int32" });
        const perToken = ops.takeAlongAxis(ops.logSoftmax(logits!), tokens).reshape([2, 2]);
        const [chosen, rejected] = [perToken.slice(0).sum(), perToken.slice(1).sum()];
        return ops.neg(ops.logSigmoid(chosen.sub(rejected).mul(0.7)));
      },
    ],
    ["a shared subexpression", [[3]], (x) => [1, 2, 3].reduce((y) => y.mul(y).add(x!), x!.tanh())],
    ["x of itself", [[2, 2]], (x) => x!.matmul(x!).matmul(x!.transpose())],
    [
      "a reshape no stride expresses",
      [[3, 4]],
      (x) => x!.transpose().reshape([2, 6]).exp().reshape([4, 3]).transpose(),
    ],
    [
      "views of views",
      [[4, 4]],
      (x) =>
        ops
          .flip(x!.slice([1, 4], [null, null, 2]), 0)
          .pad([
            [1, 0],
            [0, 1],
          ])
          .transpose(),
    ],
  ];
  for (const [name, inputShapes, f] of compositions) {
    it(name, () =>
      forAll(
        [fc.tuple(...inputShapes.map((shape) => distinct(shape, [-1.5, 1.5])))],
        (inputs) =>
          checkGradients(
            f,
            inputs.map((x) => toTensor(x)),
            { order: 2, tolerance: 1e-5 },
          ),
        4,
      ),
    );
  }
});
