/**
 * What the numbers were measured on.
 */

import { availableParallelism, cpus, loadavg, totalmem } from "node:os";

/** A description of the machine. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly node: string;
  /** Load before the run: above 0, others were at work. */
  readonly load: number;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown processor",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    node: process.version,
    load: loadavg()[0]!,
  };
}
