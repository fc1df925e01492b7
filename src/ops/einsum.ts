/**
 * Sums of products of tensors, written with a label for each axis.
 * @module
 */

import { isFloating, promote } from "../kernels/dtype.js";
import { formatShape, sizeOf } from "../tensor/shape.js";
import { checkTensor, type Tensor } from "../tensor/tensor.js";
import { cast, mul } from "./elementwise.js";
import { matmul } from "./matmul.js";
import { reshape, slice, squeeze, transpose } from "./movement.js";
import { sum } from "./reduce.js";

/** A tensor with a label for each axis: a letter, or `…n` for the n-th axis from the end of an ellipsis. */
interface Labelled {
  readonly x: Tensor;
  readonly labels: readonly string[];
}

/**
 * Einstein summation, as in NumPy and PyTorch: `einsum("bhqd,bhkd->bhqk", queries, keys)` multiplies elements of equal
 * labels and sums over the labels that the result lacks. A label twice in one term takes the diagonal; `...` stands for
 * any further axes, which broadcast, as do axes of extent 1; without `->` the result has the labels that occur once, in
 * alphabetical order. Operands are combined from left to right, by `matmul` wherever a sum is over both.
 *
 * @throws for an equation that does not fit the operands, naming the term or label.
 */
export function einsum(equation: string, ...operands: Tensor[]): Tensor {
  const [terms, output] = parse(equation);
  for (const x of operands) checkTensor("einsum", x);
  if (terms.length !== operands.length || operands.length === 0) {
    throw new RangeError(
      `einsum: "${equation}" has ${terms.length} terms for ${operands.length} operands`,
    );
  }
  const dtype = operands.reduce((common, { dtype }) => promote(common, dtype), operands[0]!.dtype);
  const given = operands.map((x, i) => ({
    x: cast(x, dtype),
    labels: labelsOf(terms[i]!, x.rank, formatShape(x.shape)),
  }));
  const extents = extentsOf(given);
  const kept = output === null ? implicitOutput(given) : explicitOutput(output, extents);
  const [first, ...rest] = given.map((operand) => simplify(operand, extents)) as [Labelled];
  const product = rest.reduce((left, right, i) => {
    const later = rest.slice(i + 1).flatMap(({ labels }) => labels);
    return contract(left, right, new Set([...kept, ...later]));
  }, first);
  return arrange(sumOut(product, new Set(kept)), kept);
}

/** Terms of the operands, and that of the result or null. */
function parse(equation: string): [terms: string[], output: string | null] {
  const [inputs = "", output = null, ...more] = String(equation).replaceAll(" ", "").split("->");
  const terms = inputs.split(",");
  const isTerm = (term: string): boolean => /^[a-z]*(\.\.\.)?[a-z]*$/i.test(term);
  if (more.length > 0 || !terms.every(isTerm) || !isTerm(output ?? "")) {
    throw new SyntaxError(
      `einsum: "${equation}" is not of the form "ij,jk->ik": letters, commas, "..." and one "->"`,
    );
  }
  return [terms, output];
}

/** A label for each of `rank` axes. */
function labelsOf(term: string, rank: number, shape: string): string[] {
  const [before = "", after] = term.split("...");
  const covered = rank - before.length - (after ?? "").length;
  if (covered < 0 || (after === undefined && covered > 0)) {
    throw new RangeError(
      `einsum: the term "${term}" does not fit the ${rank} axes of an operand of shape ${shape}`,
    );
  }
  const ellipsis = Array.from({ length: covered }, (_, i) => `…${covered - i}`);
  return [...before, ...ellipsis, ...(after ?? "")];
}

/** The extent of each label: what axes of extent 1 broadcast to. */
function extentsOf(operands: readonly Labelled[]): Map<string, number> {
  const extents = new Map<string, number>();
  for (const { x, labels } of operands) {
    labels.forEach((label, d) => {
      const [known, extent] = [extents.get(label) ?? 1, x.shape[d]!];
      if (known !== 1 && extent !== 1 && known !== extent) {
        throw new RangeError(
          `einsum: axes of label "${label}" have extents ${known} and ${extent}`,
        );
      }
      extents.set(label, known === 1 ? extent : known);
    });
  }
  return extents;
}

/** The labels of all ellipses, outermost first. */
function ellipsisOf(labels: Iterable<string>): string[] {
  const distinct = [...new Set(labels)].filter((label) => label.startsWith("…"));
  return distinct.sort((a, b) => Number(b.slice(1)) - Number(a.slice(1)));
}

function implicitOutput(operands: readonly Labelled[]): string[] {
  const all = operands.flatMap(({ labels }) => labels);
  const once = all.filter((label) => all.indexOf(label) === all.lastIndexOf(label));
  return [...ellipsisOf(all), ...once.filter((label) => !label.startsWith("…")).sort()];
}

function explicitOutput(output: string, extents: ReadonlyMap<string, number>): string[] {
  const ellipsis = output.includes("...") ? ellipsisOf(extents.keys()) : [];
  const [before = "", after = ""] = output.split("...");
  const labels = [...before, ...ellipsis, ...after];
  for (const label of labels) {
    if (!extents.has(label)) {
      throw new RangeError(`einsum: label "${label}" of the result is none of an operand`);
    }
    if (labels.indexOf(label) !== labels.lastIndexOf(label)) {
      throw new RangeError(`einsum: the result has label "${label}" twice`);
    }
  }
  return labels;
}

/** The operand with distinct labels, without axes of extent 1 that broadcast. */
function simplify({ x, labels }: Labelled, extents: ReadonlyMap<string, number>): Labelled {
  const broadcasts = labels.flatMap((label, d) => (x.shape[d] !== extents.get(label) ? [d] : []));
  let result: Labelled = {
    x: squeeze(x, broadcasts),
    labels: labels.filter((_, d) => !broadcasts.includes(d)),
  };
  for (const label of new Set(result.labels)) {
    while (result.labels.indexOf(label) !== result.labels.lastIndexOf(label)) {
      result = diagonal(result, label);
    }
  }
  return result;
}

/** Where the first two axes of a label have the same position: every (n + 1)-th element of both as one axis. */
function diagonal({ x, labels }: Labelled, label: string): Labelled {
  const first = labels.indexOf(label);
  const second = labels.indexOf(label, first + 1);
  const others = [...labels.keys()].filter((d) => d !== first && d !== second);
  const n = x.shape[first]!;
  const shape = others.map((d) => x.shape[d]!);
  const merged = reshape(transpose(x, [...others, first, second]), [...shape, n * n]);
  return {
    x: slice(merged, ...others.map(() => null), [0, null, n + 1]),
    labels: [...others.map((d) => labels[d]!), label],
  };
}

/** The operand summed over the labels that nobody needs. */
function sumOut({ x, labels }: Labelled, needed: ReadonlySet<string>): Labelled {
  const axes = labels.flatMap((label, d) => (needed.has(label) ? [] : [d]));
  return { x: sum(x, axes), labels: labels.filter((label) => needed.has(label)) };
}

/** The operand with its axes in the order of `labels`; those it lacks have extent 1. */
function arrange({ x, labels: own }: Labelled, labels: readonly string[]): Tensor {
  const present = labels.filter((label) => own.includes(label));
  const ordered = transpose(
    x,
    present.map((label) => own.indexOf(label)),
  );
  return reshape(
    ordered,
    labels.map((label) => (own.includes(label) ? x.shape[own.indexOf(label)]! : 1)),
  );
}

/** The product of two operands, summed over the labels that nobody needs afterwards. */
function contract(a: Labelled, b: Labelled, needed: ReadonlySet<string>): Labelled {
  const left = sumOut(a, new Set([...needed, ...b.labels]));
  const right = sumOut(b, new Set([...needed, ...a.labels]));
  const shared = left.labels.filter((label) => right.labels.includes(label));
  const batch = shared.filter((label) => needed.has(label));
  const inner = shared.filter((label) => !needed.has(label));
  const rows = left.labels.filter((label) => !shared.includes(label));
  const columns = right.labels.filter((label) => !shared.includes(label));
  const labels = [...batch, ...rows, ...columns];
  if (inner.length === 0 || !isFloating(left.x.dtype)) {
    const all = [...labels, ...inner];
    return sumOut({ x: mul(arrange(left, all), arrange(right, all)), labels: all }, needed);
  }
  const shapeOf = ({ x, labels: own }: Labelled, list: readonly string[]): number[] =>
    list.map((label) => x.shape[own.indexOf(label)]!);
  const [m, k, n] = [shapeOf(left, rows), shapeOf(left, inner), shapeOf(right, columns)];
  const batchShape = shapeOf(left, batch);
  const product = matmul(
    reshape(arrange(left, [...batch, ...rows, ...inner]), [...batchShape, sizeOf(m), sizeOf(k)]),
    reshape(arrange(right, [...batch, ...inner, ...columns]), [
      ...batchShape,
      sizeOf(k),
      sizeOf(n),
    ]),
  );
  return { x: reshape(product, [...batchShape, ...m, ...n]), labels };
}
