/**
 * What JavaScript does by itself: loops over `Math.*`, and copying memory as the measure of what
 * bandwidth there is.
 */

import type { ElementwiseProblem, Peer, RowsProblem, Task } from "../problem.js";
import { FUNCTIONS } from "../workloads/reference.js";

/** A loop of its own for each function, so that the engine compiles each for its function. */
function loopOf(name: ElementwiseProblem["function"]): (x: Float32Array, y: Float32Array) => void {
  const make = (f: (x: number) => number) =>
    new Function("f", "return (x, y) => { for (let i = 0; i < x.length; i++) y[i] = f(x[i]); };")(
      f,
    );
  return make(FUNCTIONS[name]);
}

/** Loops over `Math.*`. */
export async function loadLoops(): Promise<Peer> {
  const elementwise = ({ function: name, x }: ElementwiseProblem): Task => {
    const loop = loopOf(name);
    const y = new Float32Array(x.length);
    const run = (): void => loop(x, y);
    return {
      run,
      results: async () => {
        run();
        return { values: y };
      },
    };
  };
  return { version: process.version, solve: { elementwise } };
}

/** Copies what the problem reads to where it would write as much: no solution, a measure. */
export async function loadCopy(): Promise<Peer> {
  const copy = ({ x }: { readonly x: Float32Array }): Task => {
    const y = new Float32Array(x.length);
    return { run: () => y.set(x), work: x.byteLength + y.byteLength };
  };
  return {
    version: process.version,
    solve: { elementwise: copy, rows: (problem: RowsProblem) => copy(problem) },
  };
}
