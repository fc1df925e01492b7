/**
 * The four pairs of the golden numbers (float64, computed elsewhere: TRL's names, PyTorch's autograd),
 * and how each row is a call of this library.
 */

import { gradients } from "../../src/autograd/gradients.js";
import type { DType } from "../../src/kernels/dtype.js";
import {
  alphaDpoLoss,
  alphaPoLoss,
  bcoLoss,
  calDpoLoss,
  cpoLoss,
  diffusionDpoLoss,
  dmpoLoss,
  dpoLoss,
  dpopLoss,
  ipoLoss,
  ktoLoss,
  lengthRegularizedDpoLoss,
  lossByName,
  offsetDpoLoss,
  orpoLoss,
  type PairLogProbs,
  type PreferenceLoss,
  rsoLoss,
  sgdpoLoss,
  simpoLoss,
  slicLoss,
  spoLoss,
  sppoLoss,
  tdpoLoss,
} from "../../src/losses/index.js";
import { tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import type { Tensor } from "../../src/tensor/tensor.js";
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

/** Golden denoising errors as tensors. */
function goldenErrors(dtype: DType) {
  const { inputs } = golden;
  return {
    chosen: tensor(inputs.errorChosen, { dtype }),
    rejected: tensor(inputs.errorRejected, { dtype }),
    referenceChosen: tensor(inputs.referenceErrorChosen, { dtype }),
    referenceRejected: tensor(inputs.referenceErrorRejected, { dtype }),
  };
}

/** What losses take for each pair beside log-probabilities, as tensors. */
export function goldenExtras(dtype: DType) {
  const { inputs } = golden;
  return {
    offset: tensor(inputs.offset, { dtype }),
    winProbability: tensor(inputs.winProbability, { dtype }),
    pilotChosen: tensor(inputs.pilotChosen, { dtype }),
    pilotRejected: tensor(inputs.pilotRejected, { dtype }),
    chosenKl: tensor(inputs.sequenceKlChosen, { dtype }),
    rejectedKl: tensor(inputs.sequenceKlRejected, { dtype }),
    standardizedGap: tensor(inputs.standardizedGap, { dtype }),
  };
}

interface Values {
  readonly loss: number;
  readonly perPair: readonly number[];
  readonly gradChosen: readonly number[];
  readonly gradRejected: readonly number[];
}

interface Row extends Values {
  readonly name: string;
  /** Whether name and options are those of a TRL configuration. */
  readonly trl?: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: rows of a file, checked by the losses.
  readonly options: Record<string, any>;
}

/** AOT's numbers are in ascending order of what it sorts: put where the pairs stand. */
function inPairOrder(row: Row): Row {
  if (!row.name.startsWith("aot")) return row;
  const { policyChosen, policyRejected, referenceChosen } = golden.inputs;
  const other = row.name === "aot" ? policyRejected : referenceChosen;
  const sorted = policyChosen.map((s, i) => s - other[i]!);
  const rank = sorted.map((x) => sorted.filter((y) => y < x).length);
  return { ...row, perPair: rank.map((r) => row.perPair[r]!) };
}

/** The rows, titled for a test. */
export const rows: readonly (readonly [title: string, row: Row])[] = (
  golden.cases as unknown as Row[]
).map((row) => [`${row.name} ${JSON.stringify(row.options)}`, inPairOrder(row)]);

/** The loss a row stands for. */
function lossOf(row: Row, pairs: PairLogProbs): PreferenceLoss {
  const { name, options, trl } = row;
  const extras = goldenExtras(pairs.chosen.dtype);
  const { pilotChosen, pilotRejected, chosenKl, rejectedKl } = extras;
  if (trl) {
    const { f_divergence_type, ...own } = options;
    // TRL accepts a divergence for this loss and does nothing with it.
    const config = name === "apo_zero" ? own : options;
    return lossByName(name as string, config)(pairs);
  }
  switch (name) {
    case "cdpo":
      return dpoLoss(pairs, options);
    case "dpop":
      return dpopLoss(pairs, { beta: options.beta, lambda: options.lambda_ });
    case "rdpo":
      return lengthRegularizedDpoLoss(pairs, options);
    case "odpo":
      return offsetDpoLoss(pairs, { ...options, offset: extras.offset });
    case "caldpo":
      return calDpoLoss(pairs, options);
    case "ipo_sum":
      return ipoLoss(pairs, { beta: options.tau, average: false });
    case "sppo":
      return sppoLoss(pairs, { ...options, winProbability: extras.winProbability });
    case "bco":
      return bcoLoss(pairs, options);
    case "kto":
      return ktoLoss(pairs, options);
    case "sgdpo":
      return sgdpoLoss(pairs, { ...options, pilotChosen, pilotRejected });
    case "tdpo1":
      return tdpoLoss(pairs, { ...options, chosenKl, rejectedKl, version: 1 });
    case "tdpo2":
      return tdpoLoss(pairs, { ...options, chosenKl, rejectedKl, version: 2 });
    case "simpo":
      return simpoLoss(pairs, options);
    case "alphapo":
      return alphaPoLoss(pairs, options);
    case "alphadpo":
      return alphaDpoLoss(pairs, { ...options, standardizedGap: extras.standardizedGap });
    case "cpo":
      return cpoLoss(pairs, options);
    case "orpo":
      return orpoLoss(pairs, options);
    case "slic":
      return slicLoss(pairs, options);
    case "rso_sigmoid_norm":
      return rsoLoss(pairs, { ...options, type: "sigmoid-norm" });
    case "rso_hinge_norm":
      return rsoLoss(pairs, { ...options, type: "hinge-norm" });
    case "diffusion_dpo":
      return diffusionDpoLoss(pairs, options);
    case "dmpo":
      return dmpoLoss(pairs, options);
    case "spo(dpo)": {
      const { beta, normalize: per, ...own } = options;
      return spoLoss(pairs, { base: dpoLoss, baseOptions: { beta }, per, ...own });
    }
    default:
      throw new Error(`no call for golden row ${name}`);
  }
}

/** What all rows compute, values and gradients of the mean, on the current device. */
export async function evaluateGolden(dtype: DType): Promise<Values[]> {
  const [logProbs, errors] = [goldenPairs(dtype), goldenErrors(dtype)];
  const found = rows.map(([, row]) => {
    const pairs = row.name === "diffusion_dpo" || row.name === "dmpo" ? errors : logProbs;
    const { loss, perPair } = lossOf(row, pairs);
    const [gradChosen, gradRejected] = gradients(loss, [pairs.chosen, pairs.rejected]);
    return { loss, perPair, gradChosen: gradChosen!, gradRejected: gradRejected! };
  });
  await realize(found);
  const numbers = async (t: Tensor) => Array.from(await t.data());
  return Promise.all(
    found.map(async (values) => ({
      loss: await values.loss.item(),
      perPair: await numbers(values.perPair),
      gradChosen: await numbers(values.gradChosen),
      gradRejected: await numbers(values.gradRejected),
    })),
  );
}
