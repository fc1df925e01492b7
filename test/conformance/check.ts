/**
 * Holds a device against the interpreter in float64, in words and without a test runner: what differs,
 * or null.
 * @module
 */

import type { Tensor } from "../../src/index.js";
import { build, type Program } from "../compiler/randomGraph.js";
import type { Case, ExactCase } from "./cases.js";
import { difference, type Elements, evaluateOn, reference, type TestedDevice } from "./devices.js";

/** Floating-point types. */
export type Float = "float32" | "float64";

type Evaluating = Pick<TestedDevice, "name" | "options" | "every" | "sizes" | "integerBits">;

/** Arithmetic relative to max(1, |x|). */
const ARITHMETIC = { float32: 1e-5, float64: 1e-12 } as const;
/** Errors grow along a graph, by its condition number. */
const GRAPHS = { float32: 1e-3, float64: 1e-10 } as const;

/** The first result that differs. */
function firstDifference(
  found: readonly Elements[],
  expected: readonly Elements[],
  tolerance: number,
): string | null {
  if (found.length !== expected.length) return `${found.length} results for ${expected.length}`;
  for (const [i, result] of found.entries()) {
    const isFloat = result.dtype === "float32" || result.dtype === "float64";
    const wrong = difference(result, expected[i]!, isFloat ? tolerance : 0);
    if (wrong !== null) return `result ${i} (${result.dtype}[${result.shape}]): ${wrong}`;
  }
  return null;
}

/** The results of a case that are checked on a device. Which ones depends on the case. */
function checked(
  { every = 1 }: Evaluating,
  name: string,
  results: Tensor | readonly Tensor[],
): readonly Tensor[] {
  const all = Array.isArray(results) ? (results as readonly Tensor[]) : [results as Tensor];
  if (every === 1) return all;
  return all.filter((_, i) => (i + name.length) % Math.min(every, all.length) === 0);
}

/** An operation in a floating-point type. */
export async function checkOperation(
  device: Evaluating,
  dtype: Float,
  { name, make, slack = 1 }: Case,
): Promise<string | null> {
  const results = (type: Float) => () => checked(device, name, make(type, device.sizes));
  const expected = await reference(`${name} ${device.every} ${device.sizes}`, results("float64"));
  const mixed = ["precisions", "float32", "epilogues", "of integers"].some((part) =>
    name.includes(part),
  );
  const tolerance = mixed ? ARITHMETIC.float32 : ARITHMETIC[dtype];
  return firstDifference(await evaluateOn(device, results(dtype)), expected, slack * tolerance);
}

/** An operation on integers or booleans, whose results and their types must be equal. */
export async function checkExact(
  device: Evaluating,
  { name, make }: ExactCase,
): Promise<string | null> {
  const results = () => checked(device, name, make());
  const expected = await reference(
    `${name} ${device.integerBits} ${device.every} ${device.sizes}`,
    results,
  );
  const found = await evaluateOn(device, results);
  const types = (results: readonly Elements[]): string => results.map((r) => r.dtype).join();
  if (types(found) !== types(expected)) return `types ${types(found)} for ${types(expected)}`;
  return firstDifference(found, expected, 0);
}

/** A random graph. */
export async function checkGraph(
  device: Evaluating,
  dtype: Float,
  program: Program,
): Promise<string | null> {
  const make = (type: Float) => () => build(program, { dtype: type, continuous: true });
  const expected = await evaluateOn({ name: "interpreter" }, make("float64"));
  return firstDifference(await evaluateOn(device, make(dtype)), expected, GRAPHS[dtype]);
}
