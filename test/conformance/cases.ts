/**
 * Every operation with inputs of every kind, as functions of a floating-point dtype.
 * @module
 */

import * as pg from "../../src/index.js";
import { type DType, type Tensor, tensor } from "../../src/index.js";

/** The library's functions by name. */
const named = { ...pg };

/**
 * The parts that conformance is checked in. They take about as long: on a GPU each is a process of
 * its own.
 */
export const KINDS = [
  "products",
  "elementwise operations",
  "operations on views",
  "reductions and indexing",
] as const;
export type OperationKind = (typeof KINDS)[number];

/** Something to compute. Results that are no floats must agree exactly. */
export interface Case {
  readonly name: string;
  readonly kind: OperationKind;
  /** Lengths that vectors and the inner and right axes of products have. Default: {@link SIZES}. */
  readonly make: (dtype: DType, sizes?: readonly number[]) => Tensor | readonly Tensor[];
  /** Factor on the tolerance, where errors add up or a condition number demands it. */
  readonly slack?: number;
}

/** Numbers that float32 holds, at any dtype. */
function numbers(
  shape: readonly number[],
  dtype: DType,
  seed: number | string,
  low = -2,
  high = 2,
): Tensor {
  return pg.randomUniform(shape, { seed, low, high }).cast(dtype);
}

/** The same numbers given rather than computed, so that kernels read a buffer. */
function given(
  shape: readonly number[],
  dtype: DType,
  seed: number | string,
  low = -2,
  high = 2,
): Tensor {
  const next = pg.randomGenerator(String(seed));
  const size = shape.reduce((n, extent) => n * extent, 1);
  const values = Float32Array.from({ length: size }, () => low + (high - low) * next());
  return tensor(values, { shape, dtype });
}

const int32 = (values: readonly number[], shape?: readonly number[]): Tensor =>
  tensor(Int32Array.from(values), { dtype: "int32", shape: shape ?? [values.length] });

/** Ends of vectors: below, at and above multiples of every vector width. */
const SIZES: readonly number[] = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 1000];

/** Functions of one argument with the domain they are tested on. */
const UNARY: Record<string, [f: (x: Tensor) => Tensor, low?: number, high?: number]> = {
  neg: [pg.neg],
  exp: [pg.exp],
  log: [pg.log, 0.01, 5],
  log1p: [pg.log1p, -0.9, 5],
  expm1: [pg.expm1],
  sqrt: [pg.sqrt, 0, 5],
  tanh: [pg.tanh],
  erf: [pg.erf],
  abs: [pg.abs],
  sign: [pg.sign],
  sin: [pg.sin, -9, 9],
  cos: [pg.cos, -9, 9],
  floor: [pg.floor],
  ceil: [pg.ceil],
  round: [(x) => pg.round(x.mul(4)).div(2)],
  clamp: [(x) => pg.clamp(x, -0.5, 1)],
  rsqrt: [pg.rsqrt, 0.01, 5],
  square: [pg.square],
  sigmoid: [pg.sigmoid],
  logSigmoid: [pg.logSigmoid],
  softplus: [pg.softplus],
  log1mexp: [pg.log1mexp, -4, -0.1],
  relu: [pg.relu],
  silu: [pg.silu],
  gelu: [pg.gelu],
  "exact gelu": [(x) => pg.gelu(x, { approximate: "none" })],
  isnan: [pg.isnan],
  isfinite: [pg.isfinite],
  logicalNot: [pg.logicalNot],
  "cast to int32": [(x) => x.mul(10).cast("int32")],
  "cast to bool": [(x) => x.cast("bool")],
  "cast to float32": [(x) => x.cast("float32").mul(2)],
  "plus a number": [(x) => x.add(0.5)],
  "a number minus": [(x) => pg.sub(3, x)],
  "power 3": [(x) => x.pow(3)],
  "power −1.5": [(x) => x.pow(-1.5), 0.2, 3],
};

/** Functions of two arguments with the domains they are tested on. */
const BINARY: Record<string, [f: (a: Tensor, b: Tensor) => Tensor, low?: number, high?: number]> = {
  add: [pg.add],
  sub: [pg.sub],
  mul: [pg.mul],
  div: [pg.div, 0.5, 3],
  pow: [pg.pow, 0.5, 3],
  maximum: [pg.maximum],
  minimum: [pg.minimum],
  equal: [(a, b) => pg.equal(pg.floor(a), pg.floor(b))],
  notEqual: [(a, b) => pg.notEqual(pg.floor(a), pg.floor(b))],
  less: [pg.less],
  lessEqual: [pg.lessEqual],
  greater: [pg.greater],
  greaterEqual: [pg.greaterEqual],
  logicalAnd: [(a, b) => pg.logicalAnd(pg.less(a, 0), pg.less(b, 0))],
  logicalOr: [(a, b) => pg.logicalOr(pg.less(a, 0), pg.less(b, 0))],
  where: [(a, b) => pg.where(pg.less(a, b), a, b.mul(2))],
};

/** Ways an operand of shape [rows, columns] can lie in memory. */
const VIEWS: Record<string, (rows: number, columns: number, dtype: DType, seed: string) => Tensor> =
  {
    contiguous: (m, n, dtype, seed) => given([m, n], dtype, seed, 0.5, 3),
    transposed: (m, n, dtype, seed) => given([n, m], dtype, seed, 0.5, 3).transpose(),
    "a slice": (m, n, dtype, seed) =>
      given([m + 2, n + 3], dtype, seed, 0.5, 3).slice([1, m + 1], [2, n + 2]),
    "every second": (m, n, dtype, seed) =>
      given([2 * m, 2 * n], dtype, seed, 0.5, 3).slice([0, null, 2], [1, null, 2]),
    reversed: (m, n, dtype, seed) => pg.flip(given([m, n], dtype, seed, 0.5, 3)),
    "a reversed transpose": (m, n, dtype, seed) =>
      pg.flip(given([n, m], dtype, seed, 0.5, 3).transpose(), 1),
    "a row": (m, n, dtype, seed) => given([n], dtype, seed, 0.5, 3).broadcastTo([m, n]),
    "a column": (m, n, dtype, seed) => given([m, 1], dtype, seed, 0.5, 3).broadcastTo([m, n]),
    "a scalar": (m, n, dtype, seed) => given([], dtype, seed, 0.5, 3).broadcastTo([m, n]),
    "a repeated value": (m, n, dtype) => pg.full([m, n], 1.25, { dtype }),
    padded: (m, n, dtype, seed) =>
      given([Math.max(0, m - 1), Math.max(0, n - 2)], dtype, seed, 0.5, 3)
        .pad([
          [Math.min(1, m), 0],
          [Math.min(1, n), Math.min(1, Math.max(0, n - 1))],
        ])
        .add(0.5),
    reshaped: (m, n, dtype, seed) => given([n, m], dtype, seed, 0.5, 3).reshape([m, n]),
    "a reshaped transpose": (m, n, dtype, seed) =>
      given([m, n], dtype, seed, 0.5, 3).transpose().reshape([m, n]),
    gathered: (m, n, dtype, seed) =>
      pg.gather(
        given([5, n], dtype, seed, 0.5, 3),
        int32(Array.from({ length: m }, (_, i) => (3 * i) % 5)),
      ),
    joined: (m, n, dtype, seed) =>
      pg.concat(
        [
          given([m, Math.floor(n / 2)], dtype, seed, 0.5, 3),
          given([m, n - Math.floor(n / 2)], dtype, `${seed}'`, 0.5, 3),
        ],
        1,
      ),
    computed: (m, n, dtype, seed) => given([m, n], dtype, seed, 0.5, 3).sqrt(),
    "a sum": (m, n, dtype, seed) => given([m, 3, n], dtype, seed, 0.2, 1).sum(1),
    positions: (m, n, dtype) =>
      pg
        .arange(m * n)
        .reshape([m, n])
        .cast(dtype)
        .mul(0.01)
        .add(0.5),
  };

const cases: Case[] = [];
const adding =
  (kind: OperationKind) =>
  (name: string, make: Case["make"], slack = 1): void => {
    cases.push({ name, kind, make, slack });
  };
const addElementwise = adding("elementwise operations");
const addOnViews = adding("operations on views");
const addProduct = adding("products");
const add = adding("reductions and indexing");

// Every function at every size; a shift by one keeps vectors from being aligned.
for (const [name, [f, low, high]] of Object.entries(UNARY)) {
  addElementwise(`${name} of every size`, (dtype, sizes = SIZES) =>
    sizes.flatMap((n) => [
      f(given([n], dtype, n, low, high)),
      f(given([n + 1], dtype, n, low, high).slice([1, null])),
    ]),
  );
  addElementwise(`${name} of views`, (dtype) =>
    [
      given([7, 5], dtype, name, low, high).transpose(),
      pg.flip(given([19], dtype, name, low, high)),
      given([6, 11], dtype, name, low, high).slice([0, 6, 2], [1, 11, 3]),
    ].map((x) => f(x)),
  );
  addElementwise(`${name} of integers and booleans`, () => [
    f(int32([1, 2, 3, 4].map((n) => (high !== undefined && high <= 0 ? -n : n)))),
    f(tensor([true])),
  ]);
}
for (const [name, [f, low, high]] of Object.entries(BINARY)) {
  addElementwise(`${name} of integers and booleans`, () => [
    f(int32([1, 2, 3, 3]), int32([2, 1, 3, 1])),
    f(tensor([true, true]), tensor([true, true])),
    f(int32([3, 2]), tensor([true, true])),
  ]);

  addElementwise(`${name} of every size`, (dtype, sizes = SIZES) =>
    sizes.flatMap((n) => [
      f(given([n], dtype, n, low, high), given([n], dtype, n + 1, low, high)),
      f(given([n], dtype, n, low, high), given([], dtype, n + 1, low, high)),
      f(given([1], dtype, n, low, high), given([n], dtype, n + 1, low, high)),
      f(given([n], dtype, n, low, high), tensor(0.75, { dtype })),
    ]),
  );
  addElementwise(`${name} broadcasting`, (dtype) => [
    f(given([5, 1], dtype, 1, low, high), given([7], dtype, 2, low, high)),
    f(given([3, 1, 9], dtype, 3, low, high), given([4, 1], dtype, 4, low, high)),
    f(given([2, 3, 5], dtype, 5, low, high), given([3, 1], dtype, 6, low, high)),
  ]);
  addElementwise(`${name} of a pair of views in either place`, (dtype) =>
    Object.values(VIEWS).flatMap((view) => [
      f(view(5, 9, dtype, "left"), given([5, 9], dtype, "plain", 0.5, 3)),
      f(given([5, 9], dtype, "plain", 0.5, 3), view(5, 9, dtype, "right")),
    ]),
  );
}
for (const [name, view] of Object.entries(VIEWS)) {
  for (const [m, n] of [
    [1, 1],
    [3, 5],
    [4, 16],
    [7, 33],
  ] as const) {
    addOnViews(
      `${name} [${m},${n}] as it is, computed with, reduced and multiplied`,
      (dtype) => {
        const x = (): Tensor => view(m, n, dtype, "x");
        return [
          pg.stopGradient(x()),
          x()
            .exp()
            .add(x().transpose().reshape([m, n])),
          x().sum(),
          x().sum(0),
          x().sum(1),
          x().max(0),
          x().max(1),
          pg.matmul(x(), given([n, 5], dtype, "y")),
          pg.matmul(given([5, m], dtype, "z"), x()),
          pg.matmul(x().transpose(), x()),
          x().pad([
            [1, 2],
            [0, 1],
          ]),
          pg.sort(x(), 0),
          pg.sort(x(), 1),
          pg.gather(x(), int32([0, m - 1, 0])),
          pg.cumsum(x(), 1),
        ];
      },
      4,
    );
  }
}

const REDUCTIONS: Record<string, (x: Tensor, axes: number[], options: pg.ReduceOptions) => Tensor> =
  {
    sum: pg.sum,
    mean: pg.mean,
    max: pg.max,
    min: pg.min,
    logSumExp: pg.logSumExp,
    variance: pg.variance,
    std: (x, axes, options) => pg.std(x, axes, { ...options, correction: 1 }),
    norm: pg.norm,
    "sum of exp": (x, axes, options) => x.exp().sum(axes, options).log().mul(2),
  };
const AXES = [[0], [1], [2], [0, 1], [1, 2], [0, 2], [0, 1, 2]];
for (const [name, f] of Object.entries(REDUCTIONS)) {
  for (const shape of [
    [3, 5, 7],
    [2, 17, 9],
    [16, 4, 8],
    [1, 33, 1],
    [6, 1, 31],
  ]) {
    add(
      `${name} of [${shape}] over any axes`,
      (dtype) =>
        AXES.flatMap((axes) => [
          f(given(shape, dtype, name), axes, {}),
          f(given([...shape].reverse(), dtype, name).transpose(), axes, { keepDims: true }),
          f(pg.flip(given(shape, dtype, name), [0, 2]), axes, {}),
        ]),
      4,
    );
  }
}
add(
  "reductions of every size",
  (dtype, sizes = SIZES) =>
    sizes.flatMap((n) => [
      given([n], dtype, n).sum(),
      given([3, n], dtype, n).sum(1),
      given([n, 3], dtype, n).sum(0),
      ...(n === 0
        ? []
        : [
            given([n], dtype, n).max(),
            given([n, 3], dtype, n).max(0),
            given([3, n], dtype, n).max(1),
            given([n], dtype, n).argmax(),
          ]),
      given([n, 3], dtype, n).sum(1),
      given([2, n, 5], dtype, n).exp().sum(1).add(1),
    ]),
  4,
);
add("softmax and logSoftmax along every axis", (dtype) =>
  [0, 1, 2].flatMap((axis) => [
    pg.softmax(given([3, 5, 9], dtype, axis), axis),
    pg.logSoftmax(given([4, 1, 17], dtype, axis), axis),
  ]),
);
add("reductions with NaN and infinities", (dtype) => {
  const x = tensor(
    [
      [1, Number.NaN, 2, 3, 4, 5, 6],
      [1, Number.POSITIVE_INFINITY, 2, 3, 4, 5, 6],
      [-1, Number.NEGATIVE_INFINITY, -2, -3, -4, -5, -6],
      Array.from({ length: 7 }, () => Number.NEGATIVE_INFINITY),
      [1, 2, 3, 4, 5, 6, Number.NaN],
    ],
    { dtype },
  );
  return [
    x.sum(1),
    x.max(1),
    x.min(1),
    x.logSumExp(1),
    x.sum(0),
    x.max(0),
    x.argmax(1),
    x.transpose().max(0),
    pg.softmax(x),
    x.sort(1),
    pg.argsort(x, 1),
  ];
});

const EXTENTS = [0, 1, 2, 3, 5, 8, 16, 17, 33];
for (const m of EXTENTS) {
  addProduct(
    `products with ${m} rows`,
    (dtype, sizes = SIZES) => {
      const extents = EXTENTS.filter((extent) => sizes.includes(extent));
      return extents.flatMap((k) =>
        extents.map((n) => pg.matmul(given([m, k], dtype, "a"), given([k, n], dtype, "b"))),
      );
    },
    4,
  );
}
addProduct(
  "products of transposes",
  (dtype) =>
    [
      [3, 5, 7],
      [17, 16, 33],
      [32, 9, 4],
      [1, 8, 1],
    ].flatMap(([m, k, n]) => {
      const [a, b] = [
        given([k!, m!], dtype, "a").transpose(),
        given([n!, k!], dtype, "b").transpose(),
      ];
      return [pg.matmul(a, b), pg.matmul(a, b.mul(1)), pg.matmul(a.mul(1), b)];
    }),
  4,
);
addProduct("batches of products", (dtype) => [
  pg.matmul(given([4, 3, 5], dtype, 1), given([4, 5, 7], dtype, 2)),
  pg.matmul(given([4, 3, 5], dtype, 1), given([5, 7], dtype, 2)),
  pg.matmul(given([3, 5], dtype, 1), given([4, 5, 7], dtype, 2)),
  pg.matmul(given([2, 1, 3, 5], dtype, 1), given([4, 5, 7], dtype, 2)),
  pg.matmul(
    given([4, 5, 3], dtype, 1).transpose([0, 2, 1]),
    given([4, 7, 5], dtype, 2).transpose([0, 2, 1]),
  ),
  pg.matmul(given([9, 4, 5], dtype, 1).transpose([1, 0, 2]), given([4, 5, 8], dtype, 2)),
  pg.matmul(given([3], dtype, 1), given([3], dtype, 2)),
  pg.matmul(given([33], dtype, 1), given([33, 9], dtype, 2)),
  pg.matmul(given([9, 33], dtype, 1), given([33], dtype, 2)),
]);
addProduct(
  "products with heads read in place",
  (dtype) => {
    const heads = (seed: number): Tensor =>
      given([2, 7, 12], dtype, seed).reshape([2, 7, 3, 4]).transpose([0, 2, 1, 3]);
    const scores = pg.matmul(heads(1), pg.swapAxes(heads(2), -1, -2));
    return [
      scores,
      pg.matmul(pg.softmax(scores), heads(3)).transpose([0, 2, 1, 3]).reshape([2, 7, 12]),
    ];
  },
  4,
);
addProduct(
  "products with epilogues",
  (dtype) =>
    [
      [3, 5, 7],
      [16, 16, 16],
      [33, 17, 9],
      [1, 4, 31],
    ].flatMap(([m, k, n]) => {
      const product = (): Tensor =>
        pg.matmul(given([m!, k!], dtype, "a"), given([k!, n!], dtype, "b"));
      return [
        product().add(given([n!], dtype, "bias")),
        product()
          .add(given([n!], dtype, "bias"))
          .gelu()
          .add(given([m!, n!], dtype, "residual")),
        product()
          .mul(given([m!, 1], dtype, "scale"))
          .tanh(),
        product().square().transpose(),
        product().reshape([n!, m!]).add(1),
        product().mul(2).sum(0),
        product().cast("float32").add(1),
        pg.where(pg.less(product(), 0), 0, 1),
      ];
    }),
  4,
);
addProduct(
  "products large enough to be tiled",
  (dtype) => [
    pg.matmul(given([65, 130], dtype, 1), given([130, 70], dtype, 2)),
    pg.matmul(given([130, 65], dtype, 1).transpose(), given([130, 70], dtype, 2)),
    pg.matmul(given([6, 300], dtype, 1), given([90, 300], dtype, 2).transpose()),
  ],
  8,
);

const places = int32([0, 2, -1, 4, 5, 2, 2]);
add("gather, also outside", (dtype) => [
  pg.gather(given([5, 3], dtype, 1), places),
  pg.gather(given([3, 5], dtype, 1), places, 1),
  pg.gather(given([3, 5, 2], dtype, 1).transpose([2, 1, 0]), places, 1).exp(),
  pg.gather(given([5], dtype, 1), int32([4, 0, 1, 3, 2, 2], [2, 3])),
  pg.gather(given([5], dtype, 1).square(), pg.arange(4).add(1)),
  pg.gather(given([0, 3], dtype, 1), int32([0, 1])),
  pg.gather(given([5, 3], dtype, 1), tensor(3, { dtype: "int32" })),
]);
add("takeAlongAxis, also outside", (dtype) => [
  pg.takeAlongAxis(given([2, 5], dtype, 1), int32([4, 0, -1, 5, 2, 2], [2, 3])),
  pg.takeAlongAxis(given([5, 2], dtype, 1), int32([4, 0, -1, 5, 2, 2], [3, 2]), 0),
  pg.takeAlongAxis(pg.logSoftmax(given([6, 9], dtype, 1)), int32([8, 0, 3, 1, 2, 7], [6, 1])),
]);
add(
  "scatterAdd with repeats, also outside",
  (dtype) => [
    pg.scatterAdd(given([5, 3], dtype, 1), places, given([7, 3], dtype, 2)),
    pg.scatterAdd(given([3, 5], dtype, 1), places, given([3, 7], dtype, 2), 1),
    pg.scatterAdd(
      given([5], dtype, 1),
      int32(Array.from({ length: 1000 }, (_, i) => i % 5)),
      given([1000], dtype, 2),
    ),
    pg.scatterAdd(
      pg.zeros([9, 4], { dtype }),
      int32([1, 1, 8]),
      given([3, 4], dtype, 2).transpose().reshape([3, 4]).exp(),
    ),
  ],
  8,
);
add("writeSlice at numbers and tensors, also outside", (dtype) => {
  const at = (start: number): Tensor => tensor(start, { dtype: "int32" });
  const cache = given([6, 2, 3], dtype, 1);
  return [
    pg.writeSlice(cache, given([2, 2, 3], dtype, 2), 3),
    pg.writeSlice(cache, given([1, 2, 3], dtype, 2).exp(), at(5)),
    pg.writeSlice(cache, pg.zeros([2, 2, 3]), at(5)),
    pg.writeSlice(cache.mul(2), given([1, 3, 2], dtype, 2).transpose([0, 2, 1]), at(-1)),
    pg.writeSlice(given([1000], dtype, 1), given([301], dtype, 2), at(17).mul(2)),
    pg.matmul(
      pg.writeSlice(pg.zeros([5, 4], { dtype }), given([2, 4], dtype, 2), at(1)),
      given([4, 3], dtype, 3),
    ),
    ...pg.gradients(
      pg
        .writeSlice(cache, given([2, 2, 3], dtype, 2).mul(cache.slice([0, 2])), at(3))
        .square()
        .sum(),
      [cache],
    ),
  ];
});
add(
  "gradients of gathers",
  (dtype) => {
    const [table, x] = [given([5, 3], dtype, 1), given([4, 6], dtype, 2)];
    return [
      ...pg.gradients(
        pg
          .gather(table, int32([0, 2, 2, 4]))
          .square()
          .sum(),
        [table],
      ),
      ...pg.gradients(
        pg
          .takeAlongAxis(x, int32([1, 1, 0, 5, 2, 2, 3, 3], [4, 2]))
          .exp()
          .sum(),
        [x],
      ),
      ...pg.gradients(
        pg
          .sort(x)
          .mul(given([4, 6], dtype, 3))
          .sum(),
        [x],
      ),
    ];
  },
  4,
);
add("oneHot", (dtype) => [
  pg.oneHot(places, 5, { dtype }),
  pg.oneHot(places.reshape([7, 1]), 3, { dtype }).mul(2),
]);

add("sorting", (dtype, sizes = SIZES) =>
  sizes.flatMap((n) => {
    const x = pg.floor(given([2, n], dtype, n, -5, 5));
    return [
      pg.sort(x),
      pg.argsort(x),
      pg.sort(x, 0),
      pg.argsort(x.transpose(), 0),
      ...(n === 0 ? [] : [pg.argmax(x)]),
    ];
  }),
);
add("topK and argmin", (dtype) =>
  [0, 1].flatMap((axis) => {
    const x = pg.floor(given([6, 17], dtype, axis, -5, 5));
    const { values, indices } = pg.topK(x, 5, axis);
    const smallest = pg.topK(x, 3, axis, { largest: false });
    return [values, indices, smallest.values, smallest.indices, pg.argmin(x, axis)];
  }),
);
add("tiles, triangles, parts and positions", (dtype) => {
  const x = given([4, 7], dtype, 1);
  return [
    pg.repeat(x, [2, 3]).mul(2),
    pg.repeat(x, [2, 1, 1]).sum(0),
    pg.repeatInterleave(x, 3),
    pg.repeatInterleave(x, 2, 0).exp(),
    pg.tril(x),
    pg.tril(x, 2).sum(1),
    pg.triu(x.transpose(), -1),
    pg.triu(x, 1).transpose(),
    ...pg.split(x, 3, 1),
    ...pg.split(x, [1, 3]).map((part) => part.exp()),
    x.at(-1),
    x.at(2, 3),
  ];
});
add(
  "einsum",
  (dtype) => [
    pg.einsum("bqhd,bkhd->bhqk", given([2, 5, 3, 4], dtype, 1), given([2, 6, 3, 4], dtype, 2)),
    pg.einsum("ij,jk,kl->li", ...[1, 2, 3].map((seed) => given([7, 7], dtype, seed))),
    pg.einsum("iij->j", given([4, 4, 3], dtype, 1)),
    pg.einsum("...i,...i->...", given([2, 3, 17], dtype, 1), given([3, 17], dtype, 2)),
    pg.einsum("i,j->ij", given([5], dtype, 1), given([9], dtype, 2)),
  ],
  4,
);
add("concat and stack", (dtype) => [
  pg.concat([
    given([2, 3], dtype, 1),
    given([5, 3], dtype, 2),
    given([0, 3], dtype, 3),
    given([1, 3], dtype, 4),
  ]),
  pg
    .concat(
      [given([3, 2], dtype, 1), given([2, 3], dtype, 2).transpose(), given([3, 7], dtype, 3)],
      1,
    )
    .exp(),
  pg.stack([given([9], dtype, 1), given([9], dtype, 2)], 1),
]);
add("padding in every place", (dtype) => [
  given([5], dtype, 1).pad([[3, 4]]),
  given([3, 4], dtype, 1)
    .pad([
      [1, 0],
      [0, 5],
    ])
    .mul(given([4, 9], dtype, 2)),
  given([3, 4], dtype, 1)
    .exp()
    .pad([
      [2, 1],
      [1, 2],
    ])
    .sum(0),
  given([3, 4], dtype, 1)
    .pad([
      [1, 1],
      [1, 1],
    ])
    .slice([0, 5, 2], [null, null, -1]),
  pg.matmul(
    given([3, 4], dtype, 1).pad([
      [0, 2],
      [1, 0],
    ]),
    given([5, 3], dtype, 2),
  ),
  given([0, 4], dtype, 1).pad([
    [2, 0],
    [0, 0],
  ]),
  given([4], dtype, 1)
    .pad([[1, 0]])
    .pad([[0, 3]])
    .pad([[2, 2]])
    .transpose(),
]);
add("large and small strides", (dtype) => [
  given([40, 50], dtype, 1).slice([0, 40, 13], [49, null, -7]),
  given([2, 3, 4, 5], dtype, 1).transpose([3, 1, 0, 2]).exp(),
  given([2, 3, 4, 5], dtype, 1).transpose([2, 0, 3, 1]).reshape([8, 15]).sum(0),
  given([4, 3, 2], dtype, 1).broadcastTo([3, 4, 3, 2]).transpose([3, 0, 2, 1]).reshape([6, 12]),
]);
add(
  "gradients of a network",
  (dtype) => {
    const [x, w, b, v] = [
      given([9, 7], dtype, 1),
      given([7, 17], dtype, 2),
      given([17], dtype, 3),
      given([17, 3], dtype, 4),
    ];
    const loss = pg
      .logSoftmax(pg.matmul(pg.matmul(x, w).mul(0.2).add(b).gelu(), v))
      .slice(null, 0)
      .mean()
      .neg();
    return [loss, ...pg.gradients(loss, [x, w, b, v])];
  },
  8,
);
add(
  "second derivatives",
  (dtype) => {
    const x = given([6, 5], dtype, 1);
    const slope = pg.gradients(pg.softmax(x.tanh()).square().sum(), [x])[0]!;
    return [slope, ...pg.gradients(slope.square().sum(), [x])];
  },
  8,
);
add(
  "log-probabilities where masked logits are not finite",
  (dtype) => {
    const logits = pg.where(
      tensor([
        [true, true, false, true],
        [false, false, false, true],
      ]).reshape([2, 4, 1]),
      given([2, 4, 5], dtype, 1),
      tensor([Number.NaN, Infinity, -Infinity, 0, 1], { dtype }),
    );
    const [ids, mask] = [
      int32([1, 0, 4, -100, 2, 3, 3, 0], [2, 4]),
      int32([0, 1, 1, 0, 0, 0, 0, 0], [2, 4]),
    ];
    const values = [
      pg.sequenceLogProbs(logits, ids, mask),
      pg.sequenceKl(logits, given([2, 4, 5], dtype, 2), mask),
    ];
    return [...values, ...values.map((value) => pg.gradients(value.sum(), [logits])[0]!)];
  },
  4,
);
addElementwise("derivatives far out", (dtype) => {
  const x = tensor([-1e20, -1e15, -1e4, 1e4, 1e15, 1e20], { dtype });
  return [pg.sigmoid, pg.logSigmoid, pg.softplus, pg.tanh, pg.silu, pg.gelu].map((f) =>
    pg.grad((t: Tensor) => f(t).sum())(x),
  );
});
add(
  "first and second derivatives of composed operations",
  (dtype) => {
    const shape = [3, 5];
    const weights = given([5, 4], dtype, "weights");
    const functions: ((x: Tensor) => Tensor)[] = [
      pg.sin,
      pg.cos,
      (x) => pg.ceil(x).mul(x),
      (x) => pg.round(x).mul(x),
      (x) => pg.clamp(x, -1, 0.5),
      (x) => pg.rsqrt(x.square().add(1)),
      (x) => pg.std(x, 1),
      (x) => pg.norm(x, 0),
      (x) => pg.topK(x, 2).values,
      (x) => pg.repeat(x, [2, 1]),
      (x) => pg.repeatInterleave(x, 2, 1),
      (x) => pg.tril(x),
      (x) => pg.split(x, 2, 1)[1]!,
      (x) => x.at(-1),
      (x) => pg.einsum("ij,jk->ki", x, weights),
    ];
    return functions.flatMap((f) => {
      const x = given(shape, dtype, "x");
      const [slope] = pg.gradients(f(x.mul(1)).square().sum(), [x]);
      return [slope!, ...pg.gradients(slope!.square().sum(), [x])];
    });
  },
  8,
);
add(
  "losses, their derivatives, and dropout",
  (dtype) => {
    const [x, t] = [given([6, 5], dtype, "x"), given([6, 5], dtype, "t", 0, 1)];
    const ids = int32([0, 4, -100, 2, 2, 1]);
    const functions: ((x: Tensor) => Tensor)[] = [
      (x) => pg.crossEntropy(x, ids),
      (x) => pg.crossEntropy(x, ids, { labelSmoothing: 0.1, reduction: "none" }),
      (x) => pg.meanSquaredError(x, t),
      (x) => pg.binaryCrossEntropyWithLogits(x, t),
      (x) => pg.dropout(x, 0.3, { seed: "a mask" }),
    ];
    return functions.flatMap((f) => {
      const value = f(x);
      const [slope] = pg.gradients(value.square().sum(), [x]);
      return [value, slope!, ...pg.gradients(slope!.square().sum(), [x])];
    });
  },
  4,
);
add(
  "products with Jacobians, and Jacobians",
  (dtype) => {
    const [x, v] = [given([3, 4], dtype, "x"), given([3, 4], dtype, "v")];
    const f = (t: Tensor): Tensor => pg.softmax(pg.sin(t)).slice(null, [0, 2]);
    return [
      ...pg.jvp(f)(x, v),
      pg.jvp(pg.grad((t: Tensor) => pg.norm(f(t))))(x, v)[1],
      pg.jacobian(f)(x),
    ];
  },
  4,
);
add(
  "layer normalisation",
  (dtype) => {
    const x = given([5, 33], dtype, 1);
    const centred = x.sub(x.mean(-1, { keepDims: true }));
    return centred
      .div(centred.square().mean(-1, { keepDims: true }).add(1e-5).sqrt())
      .mul(given([33], dtype, 2));
  },
  4,
);
add("both precisions in one plan", (dtype) => {
  const [x, y] = [given([17], "float32", 1), given([17], dtype, 2)];
  return [
    x.mul(y).add(x),
    x.cast(dtype).exp().cast("float32"),
    x.sum().mul(y),
    y.cast("float32").sum(),
  ];
});

/** So many tensors, and sums of many. */
const many = (count: number, shape: readonly number[], dtype: DType): Tensor[] =>
  Array.from({ length: count }, (_, i) => given(shape, dtype, i));
const total = (tensors: readonly Tensor[]): Tensor => tensors.reduce((a, b) => a.mul(0.9).add(b));

add("more tensors than a shader may read", (dtype) => {
  const sum = (count: number, ...shape: number[]): Tensor => total(many(count, shape, dtype));
  const [first, ...rest] = many(16, [7], dtype) as [Tensor, ...Tensor[]];
  return [
    sum(20, 5, 3),
    total([0, 8, 16].map((i) => total(many(24, [4, 4], dtype).slice(i, i + 8)).exp())),
    total(rest.map((x) => x.mul(first))),
    pg.concat(many(17, [3, 2], dtype), 1),
    pg.concat(
      [
        pg.concat(many(9, [3, 2], dtype), 1).transpose(),
        pg.concat(many(9, [18, 1], dtype), 1).slice(null, [0, 3]),
      ],
      1,
    ),
    sum(12, 4, 9).sum(1),
    sum(10, 2, 3000).sum(1),
    sum(9, 6, 10).sum(1).mul(sum(9, 6)),
    sum(9, 3, 2000).max(1).add(sum(9, 3)),
    total([pg.matmul(...(many(2, [6, 6], dtype) as [Tensor, Tensor])), ...many(14, [6, 6], dtype)]),
    pg.gather(sum(11, 5, 3), int32([4, 0, 9, 2])),
    pg.scatterAdd(pg.zeros([5, 3], { dtype }), int32([4, 0, 4, 2]), sum(11, 4, 3)),
  ];
});
add(
  "cumsum",
  (dtype, sizes = SIZES) => sizes.map((n) => pg.cumsum(given([2, n], dtype, n, 0, 1))),
  4,
);
add("random numbers", (dtype) => [
  numbers([33], dtype, 5),
  pg.randomNormal([17], { seed: 3 }).cast(dtype),
]);

/** Every case. */
export const CASES: readonly Case[] = cases;

/** The cases of a kind. */
export const casesOf = (kind: OperationKind): readonly Case[] =>
  CASES.filter((one) => one.kind === kind);

const bits = (n: number, step: number): Tensor =>
  tensor(
    Array.from({ length: n }, (_, i) => i % step === 0),
    { shape: [n] },
  );
const FLOATS = [
  0,
  -0,
  0.5,
  -0.5,
  0.999,
  1.5,
  -1.5,
  2.5,
  2147483520,
  2147483648,
  -2147483648,
  -2147483904,
  3e9,
  -3e9,
  1e30,
  -1e30,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  1e-40,
];

/** What an exact case is made of. */
export interface ExactCase {
  readonly name: string;
  readonly make: () => Tensor | readonly Tensor[];
}

/** Numbers that arithmetic of all 32 bits, or of float32's 24, is tried on. */
const INTEGERS = {
  32: {
    extremes: [0, 1, -1, 2, -2, 7, 255, 65536, 2147483647, -2147483648, -2147483647, 1431655765],
    factor: 1431655765,
    step: 2654435,
    start: 99999999,
  },
  24: {
    extremes: [0, 1, -1, 2, -2, 7, 255, 1000, 4095, -4096, -4095, 1365],
    factor: 1365,
    step: 3,
    start: 99,
  },
} as const;

/** Integers and booleans, which agree exactly; those of 24 bits involve no float64 and no subnormal. */
export function exactCases(
  integerBits: 24 | 32,
  sizes: readonly number[] = SIZES,
): readonly ExactCase[] {
  const { extremes, factor, step, start } = INTEGERS[integerBits];
  const pairs = extremes.flatMap((a) => extremes.map((b) => [a, b] as const));
  const left = (): Tensor => int32(pairs.map(([a]) => a));
  const right = (): Tensor => int32(pairs.map(([, b]) => b));
  const floats = integerBits === 32 ? FLOATS : FLOATS.filter((x) => x !== 1e-40);
  const float64 = (make: () => Tensor): Tensor[] => (integerBits === 32 ? [make()] : []);
  return [
    ...(
      [
        "add",
        "sub",
        "mul",
        "maximum",
        "minimum",
        "equal",
        "notEqual",
        "less",
        "lessEqual",
        "greater",
        "greaterEqual",
      ] as const
    ).map((name) => ({ name: `int32 ${name}`, make: () => named[name](left(), right()) })),
    ...(["neg", "abs", "sign", "floor", "ceil", "round", "square", "relu"] as const).map(
      (name) => ({
        name: `int32 ${name}`,
        make: () => named[name](int32(extremes)),
      }),
    ),
    { name: "int32 where", make: () => pg.where(pg.less(left(), right()), left(), right()) },
    {
      name: "int32 with plain numbers",
      make: () => [
        left().add(7),
        pg.sub(3, left()),
        left().mul(factor),
        left().less(5),
        left().maximum(-3),
      ],
    },
    {
      name: "int32 of every size and view",
      make: () =>
        sizes.flatMap((n) => {
          const x = (): Tensor => pg.arange(n).mul(step).sub(start);
          return [
            x(),
            pg.flip(x()).add(1),
            x().mul(x()),
            x().sum(),
            x().cast("float32"),
            x().pad([[1, 2]]),
            ...(n ? [x().max(), x().min(), x().argmax()] : []),
          ];
        }),
    },
    {
      name: "int32 reductions",
      make: () => {
        const x = (): Tensor => left().reshape([12, 12]);
        return [
          x().sum(),
          x().sum(0),
          x().sum(1),
          x().max(0),
          x().max(1),
          x().min(0),
          x().min(1),
          ...float64(() => x().sum(0).cast("float64")),
          x().transpose().sum(1).mul(3),
        ];
      },
    },
    {
      name: "int32 order",
      make: () => [
        pg.sort(left().reshape([12, 12]).transpose()),
        pg.argsort(right().reshape([12, 12]), 0),
        pg.cumsum(left()),
      ],
    },
    {
      name: "int32 indexing",
      make: () => [
        pg.gather(left(), int32([3, 200, -1, 0])),
        pg.scatterAdd(
          int32([1, 2, 3]),
          int32([0, 0, 2, 5]),
          int32([Math.max(...extremes), 1, -4, 9]),
        ),
        pg.concat([left(), right()]),
      ],
    },
    {
      name: "casts from float32",
      make: () => {
        const x = (): Tensor => tensor(floats);
        return [
          x().cast("int32"),
          x().cast("bool"),
          ...float64(() => x().cast("float64")),
          x().abs().cast("int32"),
          pg.less(x(), 0).cast("int32"),
        ];
      },
    },
    ...(integerBits === 24
      ? []
      : [
          {
            name: "casts from float64",
            make: () => {
              const x = (): Tensor =>
                tensor([...FLOATS, 0.1, 1e300, 1e-300, 16777217, 2147483647.5], {
                  dtype: "float64",
                });
              return [
                x().cast("int32"),
                x().cast("bool"),
                x().cast("float32"),
                x().abs().cast("int32"),
              ];
            },
          },
        ]),
    {
      name: "casts from int32 and bool",
      make: () => [
        int32(extremes).cast("float32"),
        ...float64(() => int32(extremes).cast("float64")),
        int32(extremes).cast("bool"),
        bits(9, 2).cast("int32"),
        bits(9, 2).cast("float32"),
        ...float64(() => bits(9, 2).cast("float64")),
      ],
    },
    {
      name: "booleans of every size",
      make: () =>
        sizes.flatMap((n) => [
          pg.logicalAnd(bits(n, 2), bits(n, 3)),
          pg.logicalOr(bits(n, 2), bits(n, 3)),
          pg.logicalNot(bits(n, 2)),
          pg.equal(bits(n, 2), bits(n, 3)),
          bits(n, 3).sum(),
          pg.where(bits(n, 2), bits(n, 3), true),
          pg.flip(bits(n, 3)).pad([[1, 1]]),
          pg.add(bits(n, 2), bits(n, 3)),
          ...(n ? [bits(n, 4).max(), bits(n, 1).min()] : []),
        ]),
    },
    {
      name: "full, eye and arange",
      make: () => [
        pg.full([3, 3], 7, { dtype: "int32" }),
        pg.full([5], true),
        pg.eye(5),
        pg.arange(9),
        pg.arange(5, -5, -3),
        pg.zeros([0]),
      ],
    },
  ];
}
