/**
 * Warns of a loop in which nothing is realized: its graphs grow, each is compiled anew, and each computes
 * again what the one before it did.
 * @module
 */

/** Evaluations in a row, each of a larger graph, after which a loop is taken to lack `realize`. */
const GROWING_STEPS = 8;

/** Watches the sizes of graphs, one after the other, and warns once. */
export class GrowthWatch {
  private lastSize = 0;
  /** Graphs in a row that grew. */
  private growing = 0;
  private hasWarned = false;

  /** `mayGrow` says of a graph of `size` nodes that it repeats work and has no plan yet. */
  see(size: number, mayGrow: boolean): void {
    this.growing = mayGrow && size > this.lastSize ? this.growing + 1 : 0;
    this.lastSize = size;
    if (this.growing !== GROWING_STEPS || this.hasWarned) return;
    this.hasWarned = true;
    console.warn(
      `prefgrad: ${GROWING_STEPS} evaluations in a row were compiled anew, each with all of the steps ` +
        "before it: end a training step with `await realize(parameters, state)`",
    );
  }
}
