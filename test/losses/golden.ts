/**
 * The four pairs of the golden numbers (float64, computed elsewhere: TRL's names, PyTorch's autograd),
 * and how each row is a call of this library.
 */

import { valueAndGrad } from "../../src/autograd/transforms.js";
import type { DType } from "../../src/kernels/dtype.js";
import { alphaDpoLoss } from "../../src/losses/alphaDpo.js";
import { lossByName } from "../../src/losses/byName.js";
import { cpoLoss } from "../../src/losses/cpo.js";
import { dpoLoss } from "../../src/losses/dpo.js";
import { dpopLoss, lengthRegularizedDpoLoss } from "../../src/losses/dpoVariants.js";
import { ipoLoss } from "../../src/losses/margin.js";
import { simpoLoss } from "../../src/losses/simpo.js";
import { spoLoss } from "../../src/losses/spo.js";
import type { PairLogProbs, PreferenceLoss } from "../../src/losses/types.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import golden from "./golden.json" with { type: "json" };

/** Golden inputs as tensors. */
export function goldenPairs(dtype: DType) {
  const { inputs } = golden;
  return {
    chosen: tensor(inputs.policyChosen, { dtype }),
    rejected: tensor(inputs.policyRejected, { dtype }),
    referenceChosen: tensor(inputs.referenceChosen, { dtype }),
    referenceRejected: tensor(inputs.referenceRejected, { dtype }),
    chosenLength: tensor(inputs.chosenLengths, { dtype: "int32" }),
    rejectedLength: tensor(inputs.rejectedLengths, { dtype: "int32" }),
  };
}

interface Row {
  readonly name: string;
  readonly options: Record<string, number | string | boolean>;
  readonly loss: number;
  readonly perPair: readonly number[];
  readonly gradChosen: readonly number[];
  readonly gradRejected: readonly number[];
}

/** The rows, titled for a test. */
export const rows: readonly (readonly [title: string, row: Row])[] = (
  golden.cases as unknown as Row[]
).map((row) => [`${row.name} ${JSON.stringify(row.options)}`, row]);

/** The call a row stands for. */
export function call(row: Row): (pairs: PairLogProbs) => PreferenceLoss {
  const { name, options } = row;
  switch (name) {
    case "sigmoid":
      return (pairs) => dpoLoss(pairs, options);
    case "hinge":
    case "ipo": {
      // Rows of all losses list a smoothing; these losses have none.
      const { labelSmoothing: _, ...own } = options;
      return (pairs) => lossByName(name as string)(pairs, own);
    }
    case "cdpo":
      return (pairs) => dpoLoss(pairs, options);
    case "dpop":
      return (pairs) =>
        dpopLoss(pairs, { beta: options.beta as number, lambda: options.lambda_ as number });
    case "rdpo":
      return (pairs) => lengthRegularizedDpoLoss(pairs, options);
    case "ipo_sum":
      return (pairs) => ipoLoss(pairs, { beta: options.tau as number, average: false });
    case "simpo":
      return (pairs) => simpoLoss(pairs, options);
    case "cpo":
      return (pairs) => cpoLoss(pairs, options);
    case "alphadpo":
      return (pairs) => {
        const { dtype } = pairs.chosen;
        const standardizedGap = tensor(golden.inputs.standardizedGap, { dtype });
        return alphaDpoLoss(pairs, { ...options, standardizedGap });
      };
    case "spo(dpo)": {
      const { beta, normalize, ...own } = options;
      return (pairs) =>
        spoLoss(pairs, {
          base: dpoLoss,
          baseOptions: { beta: beta as number },
          per: normalize as "token" | "sequence",
          ...own,
        });
    }
    default:
      throw new Error(`no call for golden row ${name}`);
  }
}

/** What a loss computes at the golden pairs: values and gradients of the mean, on the current device. */
export async function evaluateGolden(
  loss: (pairs: PairLogProbs) => PreferenceLoss,
  dtype: DType,
): Promise<Omit<Row, "name" | "options">> {
  const { chosen, rejected, ...rest } = goldenPairs(dtype);
  let result: PreferenceLoss | undefined;
  const [value, gradient] = valueAndGrad(
    (policy: { chosen: typeof chosen; rejected: typeof chosen }) => {
      result = loss({ ...policy, ...rest });
      return result.loss;
    },
  )({ chosen, rejected });
  await realize([value, gradient, result!.perPair]);
  const numbers = async (t: typeof chosen) => Array.from(await t.data());
  return {
    loss: await value.item(),
    perPair: await numbers(result!.perPair),
    gradChosen: await numbers(gradient.chosen),
    gradRejected: await numbers(gradient.rejected),
  };
}
