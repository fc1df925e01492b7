/**
 * Losses by the names and options of configuration files.
 */

import { describe, expect, it } from "vitest";
import {
  aotLoss,
  cpoLoss,
  discopopLoss,
  dpoLoss,
  exoLoss,
  lossByName,
  type PreferenceLoss,
  simpoLoss,
  sppoLoss,
} from "../../src/losses/index.js";
import { LOSSES } from "../../src/losses/lossNames.js";
import { realize } from "../../src/tensor/evaluate.js";
import { goldenExtras, goldenPairs } from "./golden.js";

const pairs = goldenPairs("float64");

/** TRL's DPOConfig, where it has to do with the loss. */
const trlDefaults = {
  beta: 0.1,
  label_smoothing: 0,
  f_divergence_type: "reverse_kl",
  f_alpha_divergence_coef: 0.5,
  discopop_tau: 0.05,
  loss_weights: null,
  use_weighting: false,
  ld_alpha: null,
};

async function expectSame(found: PreferenceLoss, expected: PreferenceLoss): Promise<void> {
  expect(await found.loss.item()).toBe(await expected.loss.item());
}

describe("lossByName", () => {
  it("knows TRL's names, and a finite loss for every one of its own", async () => {
    const { offset, pilotChosen, pilotRejected, chosenKl, rejectedKl } = goldenExtras("float64");
    const needed: Record<string, Record<string, unknown>> = {
      odpo: { offset },
      sgdpo: { pilotChosen, pilotRejected },
      tdpo1: { chosenKl, rejectedKl },
      tdpo2: { chosenKl, rejectedKl },
      wpo: { chosenLogWeight: pilotChosen, rejectedLogWeight: pilotRejected },
      kto: { kl: 0 },
      aspo: {
        sentences: pairs.chosen.reshape([4, 1]),
        referenceSentences: pairs.referenceChosen.reshape([4, 1]),
        weights: offset.reshape([4, 1]),
      },
    };
    const names = Object.keys(LOSSES);
    expect(names.slice(0, 15)).toEqual(
      [
        "sigmoid, hinge, ipo, exo_pair, nca_pair, robust, bco_pair, sppo_hard, aot, aot_unpaired",
        "apo_zero, apo_down, discopop, sigmoid_norm, sft",
      ]
        .join(", ")
        .split(", "),
    );
    const found = names.map((name) => lossByName(name as string)(pairs, needed[name]).loss);
    await realize(found);
    for (const [i, loss] of found.entries()) {
      expect(Number.isFinite(await loss.item()), names[i]).toBe(true);
    }
  });

  it("takes TRL's whole configuration for every name of TRL's that it is valid for", () => {
    for (const name of Object.keys(LOSSES).slice(0, 14)) {
      if (name === "exo_pair") {
        expect(() => lossByName(name as string, trlDefaults)(pairs)).toThrow(
          "exoLoss: labelSmoothing must be a number in (0, ½], got 0",
        );
      } else expect(lossByName(name as string, trlDefaults)(pairs).loss.shape).toEqual([]);
    }
  });

  it("maps TRL's options one to one", async () => {
    const alpha = { f_divergence_type: "alpha_divergence", f_alpha_divergence_coef: 0.3 };
    await expectSame(
      lossByName("sigmoid", { ...alpha, beta: 0.5, label_smoothing: 0.1 })(pairs),
      dpoLoss(pairs, {
        beta: 0.5,
        labelSmoothing: 0.1,
        fDivergence: "alpha_divergence",
        fAlphaDivergenceCoef: 0.3,
      }),
    );
    await expectSame(
      lossByName("discopop", { discopop_tau: 0.2 })(pairs),
      discopopLoss(pairs, { tau: 0.2 }),
    );
    await expectSame(lossByName("sppo_hard")(pairs), sppoLoss(pairs, { hard: true }));
    await expectSame(lossByName("aot_unpaired")(pairs), aotLoss(pairs, { unpaired: true }));
    await expectSame(
      lossByName("simpo", { simpo_gamma: 1, beta: 3 })(pairs),
      simpoLoss(pairs, { gamma: 1, beta: 3 }),
    );
    await expectSame(
      lossByName("cpo", { cpo_alpha: 0.5 })(pairs, { type: "hinge" }),
      cpoLoss(pairs, { nllWeight: 0.5, type: "hinge" }),
    );
  });

  it("takes options with the name, with the pairs, and by the loss's own names", async () => {
    const expected = exoLoss(pairs, { beta: 0.5, labelSmoothing: 0.1 });
    await expectSame(lossByName("exo_pair", { beta: 0.5, label_smoothing: 0.1 })(pairs), expected);
    await expectSame(
      lossByName("exo_pair", { beta: 0.5 })(pairs, { label_smoothing: 0.1 }),
      expected,
    );
    await expectSame(lossByName("exo_pair")(pairs, { beta: 0.5, labelSmoothing: 0.1 }), expected);
    expect(() => lossByName("sigmoid")(pairs, { betta: 0.5 })).toThrow(
      "dpoLoss: has no option `betta`",
    );
  });

  it("gives the result of the loss itself, its state included", () => {
    const { state } = lossByName("alphadpo")(pairs);
    expect(state!.count).toBe(1);
    expect(lossByName("betadpo")(pairs, { state }).state.count).toBe(2);
  });

  it("mixes a list of names by loss_weights, each with the options it has", async () => {
    const config = { beta: 0.5, label_smoothing: 0.1, loss_weights: [0.7, 2] };
    const { loss } = lossByName(["sigmoid", "apo_zero"], config)(pairs);
    const first = await dpoLoss(pairs, { beta: 0.5, labelSmoothing: 0.1 }).loss.item();
    const second = await lossByName("apo_zero", { beta: 0.5 })(pairs).loss.item();
    expect(await loss.item()).toBeCloseTo(0.7 * first + 2 * second, 13);
  });

  it("throws for what a loss has no part for, and lists what it has", () => {
    expect(() => lossByName("hinge", { label_smoothing: 0.1 })).toThrow(
      'lossByName: "hinge" has no part for `label_smoothing`; of TRL\'s options it has beta, f_divergence_type, f_alpha_divergence_coef',
    );
    expect(() => lossByName("apo_zero", { f_divergence_type: "forward_kl" })).toThrow(
      "`f_divergence_type`; of TRL's options it has beta",
    );
    expect(() => lossByName("sft", { beta: 0.1 })).toThrow("of TRL's options it has none");
    expect(() => lossByName("sigmoid", { discopop_tau: 0.1 })).toThrow("`discopop_tau`");
    expect(() => lossByName("sigmoid", { f_alpha_divergence_coef: 0.7 })(pairs)).toThrow(
      'fAlphaDivergenceCoef belongs to fDivergence "alpha_divergence"',
    );
    expect(() => lossByName("sigmoid", { f_divergence_type: "kl" })(pairs)).toThrow(
      'must be one of "reverse_kl"',
    );
    expect(() => lossByName("sigmoid", { ld_alpha: 0.5 })).toThrow(
      "ld_alpha changes the log-probabilities, not the loss",
    );
    expect(() => lossByName("sigmoid", { loss_weights: [1] })).toThrow("`loss_weights`");
    expect(() => lossByName("sigmoid", { label_smoothing: 0.1, labelSmoothing: 0.2 })).toThrow(
      'lossByName: "sigmoid" got `labelSmoothing` twice',
    );
    expect(() => lossByName("sppo_hard", { hard: false })).toThrow('"sppo_hard" fixes `hard`');
    expect(() => lossByName("sigmoid", { use_weighting: 1 })).toThrow(
      "use_weighting must be true or false, got 1",
    );
    expect(() => lossByName("sigmoid", { use_weighting: true })(pairs)).toThrow(
      "wpoLoss: needs the option `chosenLogWeight`",
    );
  });

  it("throws for a list that does not fit together", () => {
    expect(() => lossByName(["sigmoid", "sft"], { loss_weights: [1] })).toThrow(
      "lossByName: loss_weights must be a list of 2 numbers, got [1]",
    );
    expect(() => lossByName(["sigmoid", "sft"], { betta: 1 })).toThrow(
      "lossByName: [sigmoid, sft] has no part for `betta`",
    );
    expect(() => lossByName(["hinge", "sft"], { label_smoothing: 0.1 })).toThrow(
      "`label_smoothing`",
    );
    expect(() => lossByName([])).toThrow("mixLosses: needs at least one term");
    expect(() => lossByName(["sigmoid", "nothing"])).toThrow('no loss "nothing"');
  });

  it("lists the names it knows when given another", () => {
    expect(() => lossByName("ppo")).toThrow(
      'lossByName: no loss "ppo"; there are sigmoid, hinge, ipo, exo_pair, nca_pair',
    );
    expect(() => lossByName("toString")).toThrow('no loss "toString"');
  });
});
