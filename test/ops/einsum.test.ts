/**
 * einsum against sums over every combination of labels.
 */

import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { einsum, explain, ones, setDevice, tensor, zeros } from "../../src/index.js";
import {
  arrayOf,
  at,
  build,
  expectTensor,
  forAll,
  indicesOf,
  type Reference,
  toTensor,
  total,
} from "./reference.js";

beforeAll(async () => {
  await setDevice("interpreter");
});

/** The definition: for each output index the sum over the other labels of the product of elements. */
function definition(equation: string, operands: readonly Reference[]): Reference {
  const [inputs, output] = equation.split("->") as [string, string];
  const terms = inputs.split(",");
  const extents = new Map<string, number>();
  terms.forEach((term, i) => {
    [...term].forEach((label, d) => {
      const extent = operands[i]!.shape[d]!;
      extents.set(label, extent === 1 ? (extents.get(label) ?? 1) : extent);
    });
  });
  const summed = [...extents.keys()].filter((label) => !output.includes(label));
  const extentOf = (label: string): number => extents.get(label)!;
  return build([...output].map(extentOf), (outer) =>
    total(
      indicesOf(summed.map(extentOf)).map((inner) => {
        const position = new Map([
          ...[...output].map((label, d) => [label, outer[d]!] as const),
          ...summed.map((label, d) => [label, inner[d]!] as const),
        ]);
        return operands.reduce((product, x, i) => {
          const index = [...terms[i]!].map((label, d) =>
            x.shape[d] === 1 ? 0 : position.get(label)!,
          );
          return product * at(x, index);
        }, 1);
      }),
    ),
  );
}

const EQUATIONS = [
  "ij->ji",
  "ij->",
  "ij->j",
  "ii->i",
  "ii->",
  "iij->ji",
  "iii->i",
  "ij,jk->ik",
  "ij,kj->ik",
  "ij,jk->ki",
  "bij,bjk->bik",
  "bhqd,bhkd->bhqk",
  "bqhd,bkhd->bhqk",
  "i,j->ij",
  "i,i->",
  "ij,ij->ij",
  "ij,ij->",
  "ij,k->i",
  "ab,cd->dabc",
  "ij,jk,kl->il",
  "ij,kj,kl->",
  "bn,anm,bm->ba",
  "ii,ij->j",
  ",i->i",
  "i,i,i->i",
  "ijk,jil->kl",
];

/** Operands for an equation: each label has one extent. */
const operandsOf = (equation: string): fc.Arbitrary<Reference[]> => {
  const terms = equation.split("->")[0]!.split(",");
  const labels = [...new Set(terms.join(""))];
  return fc
    .array(fc.integer({ min: 0, max: 3 }), { minLength: labels.length, maxLength: labels.length })
    .chain((extents) =>
      fc.tuple(
        ...terms.map((term) => arrayOf([...term].map((label) => extents[labels.indexOf(label)]!))),
      ),
    );
};

describe("einsum", () => {
  for (const equation of EQUATIONS) {
    it(`${equation} is the sum of products it writes`, () =>
      forAll(
        [operandsOf(equation)],
        (operands) =>
          expectTensor(
            einsum(equation, ...operands.map((x) => toTensor(x))),
            definition(equation, operands),
          ),
        15,
      ));
  }

  it("without an arrow gives the labels that occur once, in alphabetical order", async () => {
    const [a, b] = [toTensor({ shape: [2, 3], values: [1, 2, 3, 4, 5, 6] }), ones([3, 4])];
    expect(einsum("ba", a).shape).toEqual([3, 2]);
    expect(einsum("ij,jk", a, b).shape).toEqual([2, 4]);
    expect(await einsum("ii", toTensor({ shape: [2, 2], values: [1, 2, 3, 4] })).item()).toBe(5);
  });

  it("lets an ellipsis stand for further axes, which broadcast", async () => {
    const [a, b] = [ones([5, 1, 2, 3]), ones([4, 3, 6])];
    const product = einsum("...ij,...jk->...ik", a, b);
    expect(product.shape).toEqual([5, 4, 2, 6]);
    expect(await product.sum().item()).toBe(5 * 4 * 2 * 6 * 3);
    expect(einsum("...ij,...jk", a, b).shape).toEqual([5, 4, 2, 6]);
    expect(einsum("i...->...i", ones([2, 3, 4])).shape).toEqual([3, 4, 2]);
    expect(einsum("...", ones([2, 3])).shape).toEqual([2, 3]);
    expect(await einsum("...->", ones([2, 3])).item()).toBe(6);
  });

  it("broadcasts axes of extent 1", async () => {
    const x: Reference = { shape: [2, 1], values: [2, 3] };
    const y: Reference = { shape: [3, 2], values: [1, 2, 3, 4, 5, 6] };
    await expectTensor(
      einsum("ij,jk->ik", toTensor(x), toTensor(y)),
      definition("ij,jk->ik", [x, y]),
    );
  });

  it("sums by matmul what both operands share, and sums of integers without", async () => {
    const heads = ones([2, 7, 3, 4]);
    const plan = String(await explain(einsum("bqhd,bkhd->bhqk", heads, heads)));
    expect(plan).toContain("matmul");
    const counts = tensor([[1, 2]], { dtype: "int32" });
    const product = einsum("ij,kj->ik", counts, counts);
    expect([product.dtype, await product.array()]).toEqual(["int32", [[5]]]);
  });

  it("promotes dtypes and keeps spaces out", () => {
    const x = ones([2, 2]);
    expect(einsum(" ij, jk -> ik ", x, ones([2, 2], { dtype: "float64" })).dtype).toBe("float64");
  });

  it("refuses equations that do not fit, naming the term or label", () => {
    const x = zeros([2, 3]);
    expect(() => einsum("ij,jk->ik", x)).toThrow('einsum: "ij,jk->ik" has 2 terms for 1 operands');
    expect(() => einsum("ijk->i", x)).toThrow(
      'einsum: the term "ijk" does not fit the 2 axes of an operand of shape [2,3]',
    );
    expect(() => einsum("i->i", x)).toThrow('the term "i" does not fit the 2 axes');
    expect(() => einsum("ij,ik->jk", x, zeros([4, 2]))).toThrow(
      'einsum: axes of label "i" have extents 2 and 4',
    );
    expect(() => einsum("ij->ik", x)).toThrow('label "k" of the result is none of an operand');
    expect(() => einsum("ij->ii", x)).toThrow('the result has label "i" twice');
    for (const equation of ["i1->i", "ij->j->i", "i..j->i", "ij;jk->ik"]) {
      expect(() => einsum(equation, x), equation).toThrow(/is not of the form "ij,jk->ik"/);
    }
    expect(() => einsum("ij", [[1]] as never)).toThrow(/einsum: expected a tensor, got an array/);
  });
});
