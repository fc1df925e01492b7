/**
 * SPO's lower level: the supervised loss of the chosen completions, and the value to hold it to.
 * @module
 */

import { stopGradient } from "../ops/composite.js";
import { neg } from "../ops/index.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import { checkPairs } from "./inputs.js";
import { perToken } from "./logRatios.js";
import type { PairLogProbs } from "./types.js";

/** Unit of the supervised loss: `"token"` divides by `chosenLength`. */
type Unit = "token" | "sequence";

/** `L_SFT,i = −log π(y_w|x)` of each pair, [batch], nats per unit. */
export function supervisedLoss(
  pairs: PairLogProbs,
  per: Unit,
  which: "chosen" | "referenceChosen" = "chosen",
): Tensor {
  if (per === "sequence") return neg(checkPairs("spoLoss", pairs, which)[which]);
  const checked = checkPairs("spoLoss", pairs, which, "chosenLength");
  return neg(perToken(checked[which], checked.chosenLength));
}

/** v*, without gradient: what the option says, or the reference's own loss on each pair. */
export function supervisedFloor(
  floor: number | Tensor | undefined,
  pairs: PairLogProbs,
  per: Unit,
): Tensor | number {
  if (floor === undefined) return stopGradient(supervisedLoss(pairs, per, "referenceChosen"));
  if (!(floor instanceof Tensor)) return floor;
  if (floor.size !== 1 && !sameShape(floor.shape, pairs.chosen.shape)) {
    throw new RangeError(
      `spoLoss: floor must be a scalar or have shape ${formatShape(pairs.chosen.shape)}, got ${formatShape(floor.shape)}`,
    );
  }
  return stopGradient(floor.size === 1 ? floor.reshape([]) : floor);
}
