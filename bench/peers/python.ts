/**
 * Which Python runs a peer.
 */

import { spawnSync } from "node:child_process";

/** The environment variable PYTHON first. */
const CANDIDATES = [
  ...(process.env.PYTHON ? [process.env.PYTHON] : []),
  "python3",
  "/usr/bin/python3",
];

/** The first Python that has some packages. @throws if none has. */
export function findPython(packages: string): string {
  const found = CANDIDATES.find(
    (python) => spawnSync(python, ["-c", `import ${packages}`], { timeout: 120_000 }).status === 0,
  );
  if (!found) throw new Error(`none of ${CANDIDATES.join(", ")} has ${packages}`);
  return found;
}

/** The environment in which its libraries use a number of threads. */
export function threadsOfPython(threads: number): NodeJS.ProcessEnv {
  return { OMP_NUM_THREADS: `${threads}`, OPENBLAS_NUM_THREADS: `${threads}` };
}
