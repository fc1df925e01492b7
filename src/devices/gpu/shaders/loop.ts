/**
 * Elementwise kernels and reductions: one thread computes one element.
 * @module
 */

import type { LoopKernel } from "../../../kernels/kernel.js";
import type { Counted } from "../plan.js";
import { Emitter } from "./emitter.js";
import type { Shader } from "./shader.js";
import { affinesOf, countedBlock, isOpen, layOut, mergeAxes, nest } from "./statements.js";

/** The source of a loop kernel. */
export function loopShader(kernel: Counted<LoopKernel>): Shader {
  const { axes, outputRank, reduce, body, epilogue, counted = [] } = kernel;
  const affines = affinesOf(kernel, counted);
  const outer = mergeAxes(axes, 0, outputRank, affines);
  const reduced = mergeAxes(axes, outputRank, axes.length, affines);
  const threads = layOut(outer);
  const emitter = new Emitter(kernel, outer, reduced, threads);
  if (reduce === null) {
    const result = emitter.value(epilogue ?? body);
    return emitter.shader([...emitter.lines("before"), `return ${result};`], threads.extents);
  }
  const conditions = counted.map((condition) => emitter.condition(condition)).filter(isOpen);
  emitter.countFrom(conditions.length > 0);
  const term = emitter.value(body);
  const result = epilogue === null ? "accumulated" : emitter.value(epilogue);
  const start = reduce === "sum" ? "0" : emitter.special("infinite");
  const combine =
    reduce === "sum"
      ? `accumulated += ${term};`
      : `accumulated = ${emitter.call(reduce === "max" ? "larger" : "smaller", "accumulated", term)};`;
  return emitter.shader(
    [
      ...emitter.lines("before"),
      "let accumulated = 0.5;",
      `accumulated = ${reduce === "max" ? "-" : ""}${start};`,
      ...nest(reduced, [
        ...emitter.lines("inside"),
        ...countedBlock(conditions, [...emitter.lines("counted"), combine]),
      ]),
      ...emitter.lines("after"),
      `return ${result};`,
    ],
    threads.extents,
  );
}
