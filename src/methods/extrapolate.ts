/**
 * Parameters beyond those that training ended at, along the way it came.
 * @module
 */

import { checkNumber } from "../checks.js";
import { add, mul, sub } from "../ops/elementwise.js";
import { mapTrees } from "../tensor/tree.js";

/**
 * `trained + α(trained − before)`, tensor by tensor: the momentum of {@link apo}, and with the parameters before and after
 * one alignment ExPO's model extrapolation (Zheng et al. 2024, arXiv 2404.16792; the paper's text was not at hand). It is
 * graph: `realize` evaluates it.
 *
 * @throws where the trees differ, naming the path, and for α below 0.
 * @example const further = await realize(extrapolate(aligned.parameters, supervised.parameters, 0.3));
 */
export function extrapolate<P>(trained: P, before: P, alpha: number): P {
  checkNumber("extrapolate", "alpha", alpha, (a) => a >= 0, "≥ 0");
  return mapTrees(
    "extrapolate",
    ["trained", "before"],
    (own, other) => add(own, mul(sub(own, other!), alpha)),
    trained,
    [before],
  );
}
