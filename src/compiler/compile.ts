/**
 * A graph as a plan: what is stored, the kernels in order, and where their buffers lie.
 * @module
 */

import type { Device } from "../devices/device.js";
import type { Plan, PlanBuffer, Step } from "../kernels/kernel.js";
import { formatShape, sizeOf } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { findHomes } from "./givenUp.js";
import { orderKernels } from "./order.js";
import { partition } from "./partition.js";
import { assignScratch } from "./scratch.js";
import type { Graph } from "./structure.js";

/** Compiles a graph for a device. */
export function compile(
  graph: Graph,
  { recomputeLimit, canOverwrite = false }: Pick<Device, "recomputeLimit" | "canOverwrite">,
): Plan {
  const parts = partition(graph.nodes, new Set(graph.outputs), recomputeLimit);
  const kernels = orderKernels(graph, parts);
  const running = kernels.filter(({ root }) => sizeOf(root.shape) > 0);
  const homes = findHomes(running, graph, canOverwrite);
  const buffers: Omit<PlanBuffer, "offset">[] = [];
  const numbers = new Map<Tensor, number>();
  const add = (node: Tensor, role: PlanBuffer["role"]): number => {
    const { dtype, storage, shape, primitive } = node;
    const home = homes.get(node) ?? node;
    let number = numbers.get(home);
    if (number === undefined) {
      const name = `a ${dtype} tensor of shape ${formatShape(shape)} (${primitive.name})`;
      number = buffers.push({ dtype: storage, size: sizeOf(shape), role, name }) - 1;
    }
    numbers.set(home, number).set(node, number);
    return number;
  };
  const inputs = graph.inputs.map((node) => add(node, "input"));
  const outputs = graph.outputs.map((node) => add(node, "output"));
  for (const { root } of kernels) if (!numbers.has(root)) add(root, "temporary");
  const constantNumbers = new Map(graph.constants.map((node, i) => [node, i]));
  const steps = running.map(
    ({ root, kernel, reads, constants, operations }): Step => ({
      kernel,
      key: JSON.stringify(kernel),
      buffers: [root, ...reads].map((node) => numbers.get(node)!),
      constants: constants.map((node) => constantNumbers.get(node)!),
      operations,
    }),
  );
  const { offsets, scratchBytes } = assignScratch(buffers, steps);
  return {
    buffers: buffers.map((buffer, i) => ({ ...buffer, offset: offsets[i]! })),
    steps,
    inputs,
    outputs,
    scratchBytes,
  };
}
