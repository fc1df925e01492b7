/**
 * The order in which test files start. Where several run side by side, one that starts last and takes
 * longest keeps a single core busy at the end.
 * @module
 */

import type { TestSpecification } from "vitest/node";
import { BaseSequencer } from "vitest/node";

/** A sequencer that starts the files whose paths end so, in this order, before all others. */
export function longestFirst(names: readonly string[]): typeof BaseSequencer {
  const rank = ({ moduleId }: TestSpecification): number => {
    const at = names.findIndex((name) => moduleId.endsWith(name));
    return at < 0 ? names.length : at;
  };
  return class extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
    }
  };
}
