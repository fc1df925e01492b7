/**
 * The table of losses by name: which function each is, what is fixed, and which of TRL's options it
 * has.
 * @module
 */

import { alphaDpoLoss } from "../alphaDpo.js";
import { alphaPoLoss } from "../alphaPo.js";
import { aotLoss } from "../aot.js";
import { apoDownLoss } from "../apoDown.js";
import { apoZeroLoss } from "../apoZero.js";
import { aspoLoss } from "../aspo.js";
import { bcoLoss } from "../bco.js";
import { betaDpoLoss } from "../betaDpo.js";
import { calDpoLoss } from "../calDpo.js";
import { cpoLoss } from "../cpo.js";
import { diffusionDpoLoss } from "../diffusionDpo.js";
import { discopopLoss } from "../discopop.js";
import { dmpoLoss } from "../dmpo.js";
import { dpoLoss } from "../dpo.js";
import { dpoNormLoss } from "../dpoNorm.js";
import { dpopLoss } from "../dpop.js";
import { exoLoss } from "../exo.js";
import { hingeLoss } from "../hinge.js";
import { ipoLoss } from "../ipo.js";
import { ktoLoss } from "../kto.js";
import { lengthRegularizedDpoLoss } from "../lengthRegularizedDpo.js";
import { ncaLoss } from "../nca.js";
import { offsetDpoLoss } from "../offsetDpo.js";
import { orpoLoss } from "../orpo.js";
import { robustDpoLoss } from "../robustDpo.js";
import { rsoLoss } from "../rso.js";
import { sftLoss } from "../sft.js";
import { sgdpoLoss } from "../sgdpo.js";
import { simpoLoss } from "../simpo.js";
import { slicLoss } from "../slic.js";
import { spoLoss } from "../spo.js";
import { sppoLoss } from "../sppo.js";
import { tdpoLoss } from "../tdpo.js";
import { wpoLoss } from "../wpo.js";

/**
 * For each name the loss, its TRL options by the names they have here, and what the name fixes. Built
 * in a pure call, so that who imports one loss alone does not get them all.
 */
export const LOSSES = /* @__PURE__ */ (() => {
  const BETA = { beta: "beta" } as const;
  const SMOOTHED = { ...BETA, label_smoothing: "labelSmoothing" } as const;
  const DIVERGENCE = {
    f_divergence_type: "fDivergence",
    f_alpha_divergence_coef: "fAlphaDivergenceCoef",
  } as const;
  const SIMPO = { ...SMOOTHED, simpo_gamma: "gamma", gamma_beta_ratio: "gammaBetaRatio" } as const;
  const KTO = {
    desirable_weight: "desirableWeight",
    undesirable_weight: "undesirableWeight",
  } as const;
  return {
    sigmoid: { loss: dpoLoss, trl: { ...SMOOTHED, ...DIVERGENCE }, fixed: {} },
    hinge: { loss: hingeLoss, trl: { ...BETA, ...DIVERGENCE }, fixed: {} },
    ipo: { loss: ipoLoss, trl: { ...BETA, ...DIVERGENCE }, fixed: {} },
    exo_pair: { loss: exoLoss, trl: { ...SMOOTHED, ...DIVERGENCE }, fixed: {} },
    nca_pair: { loss: ncaLoss, trl: { ...BETA, ...DIVERGENCE }, fixed: {} },
    robust: { loss: robustDpoLoss, trl: { ...SMOOTHED, ...DIVERGENCE }, fixed: {} },
    bco_pair: { loss: bcoLoss, trl: { ...BETA, ...DIVERGENCE }, fixed: {} },
    sppo_hard: { loss: sppoLoss, trl: { ...BETA, ...DIVERGENCE }, fixed: { hard: true } },
    aot: { loss: aotLoss, trl: SMOOTHED, fixed: { unpaired: false } },
    aot_unpaired: { loss: aotLoss, trl: SMOOTHED, fixed: { unpaired: true } },
    apo_zero: { loss: apoZeroLoss, trl: BETA, fixed: {} },
    apo_down: { loss: apoDownLoss, trl: { ...BETA, ...DIVERGENCE }, fixed: {} },
    discopop: {
      loss: discopopLoss,
      trl: { ...BETA, ...DIVERGENCE, discopop_tau: "tau" },
      fixed: {},
    },
    sigmoid_norm: { loss: dpoNormLoss, trl: { ...BETA, ...DIVERGENCE }, fixed: {} },
    sft: { loss: sftLoss, trl: {}, fixed: {}, idle: ["beta"] },
    dpo: { loss: dpoLoss, trl: { ...SMOOTHED, ...DIVERGENCE }, fixed: {} },
    dpop: { loss: dpopLoss, trl: BETA, fixed: {} },
    rdpo: { loss: lengthRegularizedDpoLoss, trl: BETA, fixed: {} },
    odpo: { loss: offsetDpoLoss, trl: BETA, fixed: {} },
    caldpo: { loss: calDpoLoss, trl: BETA, fixed: {} },
    sppo: { loss: sppoLoss, trl: { ...BETA, ...DIVERGENCE }, fixed: {} },
    tdpo1: { loss: tdpoLoss, trl: BETA, fixed: { version: 1 } },
    tdpo2: { loss: tdpoLoss, trl: BETA, fixed: { version: 2 } },
    betadpo: { loss: betaDpoLoss, trl: BETA, fixed: {} },
    wpo: { loss: wpoLoss, trl: {}, fixed: {} },
    simpo: { loss: simpoLoss, trl: SIMPO, fixed: {} },
    alphapo: { loss: alphaPoLoss, trl: { ...SIMPO, alpha: "alpha" }, fixed: {} },
    cpo: { loss: cpoLoss, trl: { ...SMOOTHED, cpo_alpha: "nllWeight" }, fixed: {} },
    orpo: { loss: orpoLoss, trl: BETA, fixed: {} },
    slic: { loss: slicLoss, trl: {}, fixed: {} },
    rso: { loss: rsoLoss, trl: {}, fixed: {} },
    sgdpo: { loss: sgdpoLoss, trl: SMOOTHED, fixed: {} },
    alphadpo: {
      loss: alphaDpoLoss,
      trl: { ...BETA, gamma_beta_ratio: "gammaBetaRatio" },
      fixed: {},
    },
    kto: { loss: ktoLoss, trl: { ...BETA, ...KTO }, fixed: {} },
    aspo: { loss: aspoLoss, trl: BETA, fixed: {} },
    diffusion_dpo: { loss: diffusionDpoLoss, trl: BETA, fixed: {} },
    dmpo: { loss: dmpoLoss, trl: BETA, fixed: {} },
    spo: { loss: spoLoss, trl: {}, fixed: {} },
  } as const satisfies Record<LossName, LossEntry>;
})();

/** Names {@link lossByName} knows. */
export type LossName =
  | "sigmoid"
  | "hinge"
  | "ipo"
  | "exo_pair"
  | "nca_pair"
  | "robust"
  | "bco_pair"
  | "sppo_hard"
  | "aot"
  | "aot_unpaired"
  | "apo_zero"
  | "apo_down"
  | "discopop"
  | "sigmoid_norm"
  | "sft"
  | "dpo"
  | "dpop"
  | "rdpo"
  | "odpo"
  | "caldpo"
  | "sppo"
  | "tdpo1"
  | "tdpo2"
  | "betadpo"
  | "wpo"
  | "simpo"
  | "alphapo"
  | "cpo"
  | "orpo"
  | "slic"
  | "rso"
  | "sgdpo"
  | "alphadpo"
  | "kto"
  | "aspo"
  | "diffusion_dpo"
  | "dmpo"
  | "spo";

/** An entry of the table. */
export interface LossEntry {
  readonly loss: unknown;
  readonly trl: Readonly<Record<string, string>>;
  readonly fixed: Readonly<Record<string, unknown>>;
  /** TRL's options that do nothing in it, at any value. */
  readonly idle?: readonly string[];
}
