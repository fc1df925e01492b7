/**
 * A plan's arguments in memory: the constants and buffer addresses of each step, where the step's
 * function finds them.
 * @module
 */

import type { Plan } from "../../kernels/kernel.js";
import type { Heap } from "./heap.js";

/** The block of arguments of one plan. */
export class PlanArguments {
  /** Address of each step's constants, 8 bytes each. */
  readonly constants: readonly number[];
  /** Address of each step's buffer addresses, 4 bytes each. */
  readonly buffers: readonly number[];
  readonly address: number;
  readonly bytes: number;

  constructor(
    private readonly plan: Plan,
    private readonly heap: Heap,
  ) {
    const { steps } = plan;
    let end = 0;
    const place = (bytes: number): number => {
      const at = end;
      end += bytes;
      return at;
    };
    // Constants first: they must be aligned to 8 bytes.
    const constants = steps.map((step) => place(8 * step.constants.length));
    const buffers = steps.map((step) => place(4 * step.buffers.length));
    this.bytes = end;
    this.address = heap.allocate(end, "the arguments of a plan");
    this.constants = constants.map((offset) => this.address + offset);
    this.buffers = buffers.map((offset) => this.address + offset);
  }

  /** Writes the arguments of a run: the address of each buffer of the plan, the value of each constant. */
  write(addresses: Int32Array, constants: Float64Array): void {
    const { buffer } = this.heap.memory;
    const doubles = new Float64Array(buffer);
    const words = new Int32Array(buffer);
    let at = this.address / 8;
    for (const step of this.plan.steps) {
      for (const constant of step.constants) doubles[at++] = constants[constant]!;
    }
    at *= 2;
    for (const step of this.plan.steps) {
      for (const number of step.buffers) words[at++] = addresses[number]!;
    }
  }
}
