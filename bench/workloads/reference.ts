/**
 * The problems in double precision and plain JavaScript: slow, obvious, and independent of every peer.
 */

import type { ElementwiseProblem, MatmulProblem, MlpProblem, RowsProblem } from "../problem.js";
import { POLYNOMIAL } from "../problem.js";

const [A, B, C, D] = POLYNOMIAL;

/** ½x(1 + tanh(√(2/π)(x + 0.044715x³))). */
export function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

function geluDerivative(x: number): number {
  const c = Math.sqrt(2 / Math.PI);
  const t = Math.tanh(c * (x + 0.044715 * x ** 3));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x);
}

/** The elementwise functions. */
export const FUNCTIONS: Readonly<Record<ElementwiseProblem["function"], (x: number) => number>> = {
  polynomial: (x) => ((x * A + B) * x + C) * x + D,
  exp: Math.exp,
  log: Math.log,
  tanh: Math.tanh,
  gelu,
};

/** Entry [batch, i, j] of the product. */
export function productEntry(problem: MatmulProblem, batch: number, i: number, j: number): number {
  const { m, k, n, transposeA, transposeB, a, b } = problem;
  const [rowA, columnA] = transposeA ? [1, m] : [k, 1];
  const [rowB, columnB] = transposeB ? [1, k] : [n, 1];
  let sum = 0;
  for (let p = 0; p < k; p++) {
    const left = a[batch * m * k + i * rowA + p * columnA]!;
    sum += left * b[batch * k * n + p * rowB + j * columnB]!;
  }
  return sum;
}

/** `op(X)·v` of one matrix [rows, columns] that starts at an offset of X, v a row of numbers. */
export function timesVector(
  x: ArrayLike<number>,
  {
    offset,
    rows,
    columns,
    transposed,
  }: Record<"offset" | "rows" | "columns", number> & {
    transposed: boolean;
  },
  v: ArrayLike<number>,
): Float64Array {
  const [down, right] = transposed ? [1, rows] : [columns, 1];
  const result = new Float64Array(rows);
  for (let i = 0; i < rows; i++) {
    let sum = 0;
    for (let j = 0; j < columns; j++) sum += x[offset + i * down + j * right]! * v[j]!;
    result[i] = sum;
  }
  return result;
}

/** One row of a {@link RowsProblem}: its part of `values` or of `x`, adding to `weight` and `bias`. */
export function referenceRow(
  problem: RowsProblem,
  row: number,
  sums: { weight: Float64Array; bias: Float64Array },
): Float64Array {
  const { width, gradient } = problem;
  const x = Float64Array.from(problem.x.subarray(row * width, (row + 1) * width));
  const g = problem.cotangent.subarray(row * width, (row + 1) * width);
  switch (problem.function) {
    case "gelu":
      return x.map((value, j) => (gradient ? g[j]! * geluDerivative(value) : gelu(value)));
    case "softmax": {
      const p = softmax(x);
      if (!gradient) return p;
      const mean = p.reduce((sum, value, j) => sum + value * g[j]!, 0);
      return p.map((value, j) => value * (g[j]! - mean));
    }
    case "tokenLogProbs": {
      const id = problem.ids[row]!;
      const p = softmax(x);
      const own = problem.cotangent[row]!;
      if (gradient) return p.map((value, j) => own * (Number(j === id) - value));
      const max = x.reduce((a, b) => Math.max(a, b));
      const total = x.reduce((sum, value) => sum + Math.exp(value - max), 0);
      return Float64Array.of(x[id]! - max - Math.log(total));
    }
    case "layerNorm": {
      const mean = x.reduce((a, b) => a + b) / width;
      const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width;
      const scale = 1 / Math.sqrt(variance + 1e-5);
      const hat = x.map((value) => (value - mean) * scale);
      const { weight, bias } = problem;
      if (!gradient) return hat.map((value, j) => value * weight[j]! + bias[j]!);
      const h = Float64Array.from(g, (value, j) => value * weight[j]!);
      const meanH = h.reduce((a, b) => a + b) / width;
      const meanHHat = h.reduce((sum, value, j) => sum + value * hat[j]!, 0) / width;
      for (let j = 0; j < width; j++) {
        sums.weight[j]! += g[j]! * hat[j]!;
        sums.bias[j]! += g[j]!;
      }
      return h.map((value, j) => scale * (value - meanH - hat[j]! * meanHHat));
    }
  }
}

function softmax(x: Float64Array): Float64Array {
  const max = x.reduce((a, b) => Math.max(a, b));
  const e = x.map((value) => Math.exp(value - max));
  const total = e.reduce((a, b) => a + b);
  return e.map((value) => value / total);
}

/** The losses an {@link MlpProblem} reports. */
export function mlpLosses(problem: MlpProblem): number[] {
  const { sizes, batch, targets, learningRate, reported } = problem;
  const weights = problem.weights.map((w) => Float64Array.from(w));
  const biases = problem.biases.map((b) => Float64Array.from(b));
  const isTanh = problem.activation === "tanh";
  const losses: number[] = [];
  for (let step = 0; step < reported; step++) {
    const inputs = [Float64Array.from(problem.inputs)];
    for (let layer = 0; layer < weights.length; layer++) {
      const [from, to] = [sizes[layer]!, sizes[layer + 1]!];
      const output = new Float64Array(batch * to);
      for (let i = 0; i < batch; i++) {
        for (let j = 0; j < to; j++) output[i * to + j] = biases[layer]![j]!;
        for (let p = 0; p < from; p++) {
          const x = inputs[layer]![i * from + p]!;
          for (let j = 0; j < to; j++) output[i * to + j]! += x * weights[layer]![p * to + j]!;
        }
      }
      const isLast = layer === weights.length - 1;
      inputs.push(isLast ? output : output.map((v) => (isTanh ? Math.tanh(v) : Math.max(v, 0))));
    }
    const outputs = inputs.at(-1)!;
    const width = sizes.at(-1)!;
    let loss = 0;
    let gradient = new Float64Array(outputs.length);
    if (targets.kind === "values") {
      const count = outputs.length;
      outputs.forEach((value, i) => {
        const error = value - targets.values[i]!;
        loss += error ** 2 / count;
        gradient[i] = (2 * error) / count;
      });
    } else {
      for (let i = 0; i < batch; i++) {
        const p = softmax(outputs.slice(i * width, (i + 1) * width));
        const label = targets.labels[i]!;
        loss -= Math.log(p[label]!) / batch;
        p.forEach((value, j) => {
          gradient[i * width + j] = (value - Number(j === label)) / batch;
        });
      }
    }
    losses.push(loss);
    for (let layer = weights.length - 1; layer >= 0; layer--) {
      const [from, to] = [sizes[layer]!, sizes[layer + 1]!];
      const below = new Float64Array(batch * from);
      const x = inputs[layer]!;
      const w = weights[layer]!;
      const dw = new Float64Array(w.length);
      for (let i = 0; i < batch; i++) {
        for (let p = 0; p < from; p++) {
          let sum = 0;
          for (let j = 0; j < to; j++) {
            sum += gradient[i * to + j]! * w[p * to + j]!;
            dw[p * to + j]! += x[i * from + p]! * gradient[i * to + j]!;
          }
          const y = x[i * from + p]!;
          below[i * from + p] = sum * (isTanh ? 1 - y * y : Number(y > 0));
        }
        for (let j = 0; j < to; j++) biases[layer]![j]! -= learningRate * gradient[i * to + j]!;
      }
      for (let i = 0; i < w.length; i++) w[i]! -= learningRate * dw[i]!;
      gradient = below;
    }
  }
  return losses;
}
