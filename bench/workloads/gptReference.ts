/**
 * The forward pass of the GPT problem in double precision and plain JavaScript.
 */

import type { GptProblem } from "../problem.js";
import { gelu } from "./reference.js";

/** What the forward pass gives. */
export interface GptValue {
  readonly loss: number;
  /** [2·pairs] */
  readonly logps: Float64Array;
}

type Parameters = Readonly<Record<string, Float64Array>>;

/** Loss and log-probabilities at parameters given by name. */
export function gptValue(problem: GptProblem, parameters: Parameters): GptValue {
  const { pairs, referenceChosen, referenceRejected, chosenLengths, loss } = problem;
  const logps = Float64Array.from({ length: 2 * pairs }, (_, row) =>
    rowLogProb(problem, parameters, row),
  );
  let total = 0;
  for (let i = 0; i < pairs; i++) {
    const chosen = logps[i]! - referenceChosen[i]!;
    const z = 0.1 * (chosen - (logps[pairs + i]! - referenceRejected[i]!));
    total += Math.max(-z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
    if (loss === "spo") total -= logps[i]! / chosenLengths[i]!;
  }
  return { loss: total / pairs, logps };
}

/** The problem's parameters by name, in double precision. */
export function doubleParameters({ parameters }: GptProblem): Record<string, Float64Array> {
  return Object.fromEntries(
    parameters.map(({ name, values }) => [name, Float64Array.from(values)]),
  );
}

/** x [rows, inputs]·W [inputs, outputs] + b. */
function linear(
  x: Float64Array,
  rows: number,
  w: Float64Array,
  b: Float64Array,
): Float64Array<ArrayBuffer> {
  const outputs = b.length;
  const inputs = w.length / outputs;
  const y = new Float64Array(rows * outputs);
  for (let i = 0; i < rows; i++) {
    const row = y.subarray(i * outputs, (i + 1) * outputs);
    row.set(b);
    for (let p = 0; p < inputs; p++) {
      const value = x[i * inputs + p]!;
      const from = p * outputs;
      for (let j = 0; j < outputs; j++) row[j]! += value * w[from + j]!;
    }
  }
  return y;
}

function layerNorm(x: Float64Array, g: Float64Array, b: Float64Array): Float64Array {
  const width = g.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    let mean = 0;
    let variance = 0;
    for (let j = 0; j < width; j++) mean += x[start + j]! / width;
    for (let j = 0; j < width; j++) variance += (x[start + j]! - mean) ** 2 / width;
    const scale = 1 / Math.sqrt(variance + 1e-5);
    for (let j = 0; j < width; j++) y[start + j] = (x[start + j]! - mean) * scale * g[j]! + b[j]!;
  }
  return y;
}

/** softmax(q·kᵀ/√h)·v over positions up to one's own; qkv [rows, 3·width]. */
function attention(qkv: Float64Array, rows: number, width: number, heads: number): Float64Array {
  const y = new Float64Array(rows * width);
  const h = width / heads;
  const p = new Float64Array(rows);
  for (let head = 0; head < heads; head++) {
    const [q, k, v] = [head * h, width + head * h, 2 * width + head * h];
    for (let i = 0; i < rows; i++) {
      let max = -Infinity;
      for (let j = 0; j <= i; j++) {
        let score = 0;
        for (let c = 0; c < h; c++)
          score += qkv[3 * width * i + q + c]! * qkv[3 * width * j + k + c]!;
        p[j] = score / Math.sqrt(h);
        max = Math.max(max, p[j]!);
      }
      let total = 0;
      for (let j = 0; j <= i; j++) total += p[j] = Math.exp(p[j]! - max);
      for (let j = 0; j <= i; j++) {
        const weight = p[j]! / total;
        for (let c = 0; c < h; c++) y[width * i + q + c]! += weight * qkv[3 * width * j + v + c]!;
      }
    }
  }
  return y;
}

function rowLogProb({ sizes, length, tokens, mask }: GptProblem, all: Parameters, row: number) {
  const { width, layers, heads, vocabulary } = sizes;
  const ids = tokens.subarray(row * length, (row + 1) * length);
  const weights = mask.subarray(row * length, (row + 1) * length);
  // No position sees a later one: what follows the last completion token is of no account.
  const rows = weights.lastIndexOf(1);
  const of = (name: string): Float64Array => all[name]!;
  let x = new Float64Array(rows * width);
  for (let t = 0; t < rows; t++) {
    for (let j = 0; j < width; j++) {
      x[t * width + j] = of("wte")[ids[t]! * width + j]! + of("wpe")[t * width + j]!;
    }
  }
  for (let i = 0; i < layers; i++) {
    const norm1 = layerNorm(x, of(`h${i}.ln1.g`), of(`h${i}.ln1.b`));
    const qkv = linear(norm1, rows, of(`h${i}.attn.qkv.w`), of(`h${i}.attn.qkv.b`));
    const mixed = attention(qkv, rows, width, heads);
    const projected = linear(mixed, rows, of(`h${i}.attn.proj.w`), of(`h${i}.attn.proj.b`));
    x = x.map((value, j) => value + projected[j]!);
    const norm2 = layerNorm(x, of(`h${i}.ln2.g`), of(`h${i}.ln2.b`));
    const u = linear(norm2, rows, of(`h${i}.mlp.fc.w`), of(`h${i}.mlp.fc.b`)).map(gelu);
    const down = linear(u, rows, of(`h${i}.mlp.proj.w`), of(`h${i}.mlp.proj.b`));
    x = x.map((value, j) => value + down[j]!);
  }
  const hidden = layerNorm(x, of("lnf.g"), of("lnf.b"));
  const wte = of("wte");
  const logits = new Float64Array(vocabulary);
  let sum = 0;
  for (let t = 1; t <= rows; t++) {
    if (weights[t] === 0) continue;
    const from = (t - 1) * width;
    let max = -Infinity;
    for (let v = 0; v < vocabulary; v++) {
      let logit = 0;
      for (let j = 0; j < width; j++) logit += hidden[from + j]! * wte[v * width + j]!;
      logits[v] = logit;
      max = Math.max(max, logit);
    }
    let total = 0;
    for (let v = 0; v < vocabulary; v++) total += Math.exp(logits[v]! - max);
    sum += logits[ids[t]!]! - max - Math.log(total);
  }
  return sum;
}
