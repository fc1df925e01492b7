/**
 * Losses by the names and options of configuration files.
 */

import { describe, expect, expectTypeOf, it } from "vitest";
import {
  aotLoss,
  type BcoLoss,
  bcoLoss,
  cpoLoss,
  discopopLoss,
  dpoLoss,
  exoLoss,
  ktoLoss,
  lossByName,
  type PreferenceLoss,
  sftLoss,
  simpoLoss,
  sppoLoss,
} from "../../../src/losses/index.js";
import { LOSSES } from "../../../src/losses/names/lossNames.js";
import { realize } from "../../../src/tensor/evaluate.js";
import { goldenExtras, goldenPairs } from "../golden.js";

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

const ownJs = { fDivergence: "js_divergence" } as const;

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
    for (const name of Object.keys(LOSSES).slice(0, 15)) {
      if (name === "exo_pair") {
        expect(() => lossByName(name as string, trlDefaults)).toThrow(
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

  it("tries the options when the loss is made, not at the first batch", () => {
    for (const name of Object.keys(LOSSES)) {
      expect(() => lossByName(name, { betta: 0.5 }), name).toThrow("has no option `betta`");
      expect(() => lossByName(["sft", name], { [name]: { betta: 0.5 } }), name).toThrow(
        "has no option `betta`",
      );
      if ("beta" in LOSSES[name as keyof typeof LOSSES].trl) {
        expect(() => lossByName(name, { beta: 0 }), name).toThrow("beta must be a number > 0");
      }
    }
    expect(() => lossByName(["sigmoid", "exo_pair"], { label_smoothing: 0 })).toThrow(
      "exoLoss: labelSmoothing must be a number in (0, ½], got 0",
    );
    expect(() => lossByName("sigmoid", { use_weighting: true, betta: 1 })).toThrow("`betta`");
  });

  it("tries what needs no pairs then: numbers in the place of tensors, states, flags", () => {
    const early: readonly (readonly [string, object, string])[] = [
      ["spo", { gamma: -1 }, "spoLoss: gamma must be a number ≥ 0"],
      ["spo", { gamma: "dual", dualRate: 0 }, "spoLoss: dualRate must be a number > 0"],
      ["spo", { gamma: "dual", state: { gamma: -1 } }, "spoLoss: state.gamma must be a number ≥ 0"],
      ["spo", { gamma: "dual", state: null }, "spoLoss: state must be { gamma }, got null"],
      ["spo", { state: { gamma: 1 } }, '`state` belongs to gamma: "dual"'],
      ["spo", { floor: "0" }, 'spoLoss: floor must be a number or a tensor, got "0"'],
      ["spo", { hinge: "false" }, 'spoLoss: hinge must be true or false, got "false"'],
      ["kto", { kl: -1 }, "ktoLoss: kl must be a number ≥ 0"],
      ["sppo", { winProbability: 2 }, "sppoLoss: winProbability must be a number in [0, 1]"],
      ["sppo", { hard: 1 }, "sppoLoss: hard must be true or false, got 1"],
      ["odpo", { offset: Number.NaN }, "offsetDpoLoss: offset must be a number"],
      ["bco_pair", { delta: Number.NaN }, "bcoLoss: delta must be a number"],
      ["bco_pair", { state: null }, "bcoLoss: state must be { mean, count }, got null"],
      ["bco_pair", { state: {} }, "bcoLoss: state.count must be a number ≥ 0, got undefined"],
      ["bco_pair", { updateState: 0 }, "bcoLoss: updateState must be true or false, got 0"],
      ["alphadpo", { state: null }, "alphaDpoLoss: state must be { mean, std, count }, got null"],
      ["betadpo", { state: { mean: 0, std: -1, count: 1 } }, "state.std must be a number ≥ 0"],
      [
        "betadpo",
        { updateState: "no" },
        'betaDpoLoss: updateState must be true or false, got "no"',
      ],
      ["ipo", { average: "no" }, 'ipoLoss: average must be true or false, got "no"'],
      ["wpo", { clamp: "no" }, 'wpoLoss: clamp must be true or false, got "no"'],
      ["cpo", { type: "hinge", label_smoothing: 0.1 }, 'labelSmoothing belongs to type "sigmoid"'],
    ];
    for (const [name, options, message] of early) {
      expect(() => lossByName(name, options as never), name).toThrow(message);
    }
    expect(() => aotLoss(pairs, { unpaired: 0 as never })).toThrow(
      "aotLoss: unpaired must be true or false, got 0",
    );
  });

  it("says what it needs when it is given nothing", () => {
    expect(() => lossByName(undefined as never)).toThrow(
      "lossByName: needs a loss's name or a list of names, got undefined",
    );
    expect(() => lossByName(["sft", null as never])).toThrow("a list of names, got null");
    expect(() => lossByName("sigmoid", null as never)).toThrow(
      "lossByName: the configuration must be an object of options, got null",
    );
    expect(() => lossByName("sigmoid")(pairs, null as never)).toThrow(
      "lossByName: what comes with the pairs must be an object of options, got null",
    );
  });

  it("knows options from what every object has", () => {
    for (const key of ["constructor", "toString", "__proto__"]) {
      const config = JSON.parse(`{ "${key}": 1 }`);
      expect(() => lossByName("sigmoid", config), key).toThrow(`dpoLoss: has no option \`${key}\``);
    }
  });

  it("takes the weights of a single name, [1], and no other", async () => {
    const found = lossByName("sigmoid", { ...trlDefaults, loss_weights: [1] })(pairs);
    await expectSame(found, dpoLoss(pairs));
    expect(await lossByName(["sigmoid"], { loss_weights: [0.5] })(pairs).loss.item()).toBeCloseTo(
      (await dpoLoss(pairs).loss.item()) / 2,
      14,
    );
  });

  it("takes any β with sft, which has none, as in a list", async () => {
    await expectSame(lossByName("sft", { ...trlDefaults, beta: 0.5 })(pairs), sftLoss(pairs));
  });

  it("smooths CPO's labels as TRL does", async () => {
    const found = lossByName("cpo", { beta: 0.5, label_smoothing: 0.1, cpo_alpha: 0 })(pairs);
    const [chosen, rejected] = [await pairs.chosen.data(), await pairs.rejected.data()];
    const softplus = (x: number): number => Math.log1p(Math.exp(x));
    const perPair = await found.perPair.data();
    perPair.forEach((value, i) => {
      const z = 0.5 * (chosen[i]! - rejected[i]!);
      expect(value).toBeCloseTo(0.9 * softplus(-z) + 0.1 * softplus(z), 13);
    });
  });

  it("gives the result of the loss itself, its state included", () => {
    const { state } = lossByName("alphadpo")(pairs);
    expect(state!.count).toBe(1);
    expect(lossByName("betadpo")(pairs, { state }).state.count).toBe(2);
  });

  it("keeps the state through use_weighting", async () => {
    const { pilotChosen, pilotRejected } = goldenExtras("float64");
    const weights = { chosenLogWeight: pilotChosen, rejectedLogWeight: pilotRejected };
    const weighted = lossByName("bco_pair", { use_weighting: true })(pairs, {
      ...weights,
      state: { mean: 0.5, count: 2 },
    });
    expectTypeOf(weighted).toEqualTypeOf<BcoLoss>();
    const plain = bcoLoss(pairs, { state: { mean: 0.5, count: 2 } });
    expect(weighted.state!.count).toBe(10);
    expect(await weighted.state!.mean.item()).toBe(await plain.state!.mean.item());
    const { loss, state, kept } = lossByName("betadpo", { use_weighting: true })(pairs, weights);
    expect([loss.shape, state.count, kept.shape]).toEqual([[], 1, [4]]);
    const mix = lossByName(["sigmoid", "sft"], { use_weighting: true })(pairs, weights);
    expect(mix.terms).toHaveLength(2);
  });

  it("mixes a list of names by loss_weights, with options for all and for each", async () => {
    const config = {
      beta: 0.5,
      loss_weights: [0.7, 2, 3],
      sigmoid: { label_smoothing: 0.1 },
      kto: { kl: 0.3, desirable_weight: 2 },
    };
    const mix = lossByName(["sigmoid", "sft", "kto"], config);
    const result = mix(pairs, { kto: { kl: 0.05, undesirableWeight: 1.5 } });
    const terms: PreferenceLoss[] = [
      dpoLoss(pairs, { beta: 0.5, labelSmoothing: 0.1 }),
      sftLoss(pairs),
      ktoLoss(pairs, { beta: 0.5, kl: 0.05, desirableWeight: 2, undesirableWeight: 1.5 }),
    ];
    for (const [k, term] of terms.entries()) await expectSame(result.terms[k]!, term);
    const [first, second, third] = await Promise.all(terms.map(({ loss }) => loss.item()));
    expect(await result.loss.item()).toBeCloseTo(0.7 * first! + 2 * second! + 3 * third!, 13);
  });

  it("carries the states of a list's losses under their names", async () => {
    const mix = lossByName(["sigmoid", "bco_pair"], { beta: 0.5 });
    const { terms } = mix(pairs, { bco_pair: { state: { mean: 0, count: 0 } } });
    expect((terms[1] as BcoLoss).state!.count).toBe(8);
  });

  it("shares options in a list as TRL does, and drops none", async () => {
    // TRL lets sft stand beside a divergence, and options of one loss beside others.
    const passed = { f_divergence_type: "js_divergence", discopop_tau: 0.2, beta: 0.5 };
    const found = lossByName(["sigmoid", "discopop", "sft"], passed)(pairs);
    await expectSame(found.terms[1]!, discopopLoss(pairs, { ...ownJs, tau: 0.2, beta: 0.5 }));
    expect(() => lossByName(["sigmoid", "apo_zero"], { label_smoothing: 0.1 })).toThrow(
      'lossByName: "apo_zero" has no part for `label_smoothing`; of TRL\'s options it has beta',
    );
    expect(() => lossByName(["discopop", "apo_zero"], passed)).toThrow(
      '"apo_zero" has no part for `f_divergence_type`',
    );
    expect(() => lossByName(["ipo", "sigmoid"], { average: false })).toThrow(
      "dpoLoss: has no option `average`",
    );
    expect(() => lossByName(["sigmoid", "hinge"], { discopop_tau: 0.2 })).toThrow("`discopop_tau`");
    expect(() => lossByName(["hinge", "sft"], { kto: { kl: 0 } })).toThrow(
      "hingeLoss: has no option `kto`",
    );
    expect(() => lossByName(["hinge", "kto"], { kto: 1 })).toThrow(
      "lossByName: `kto` must be an object of options, got 1",
    );
    expect(lossByName(["hinge", "apo_zero", "sft"], trlDefaults)(pairs).terms).toHaveLength(3);
  });

  it("throws for what a loss has no part for, and lists what it has", () => {
    expect(() => lossByName("hinge", { label_smoothing: 0.1 })).toThrow(
      'lossByName: "hinge" has no part for `label_smoothing`; of TRL\'s options it has beta, f_divergence_type, f_alpha_divergence_coef',
    );
    expect(() => lossByName("apo_zero", { f_divergence_type: "forward_kl" })).toThrow(
      "`f_divergence_type`; of TRL's options it has beta",
    );
    expect(() => lossByName("sft", { label_smoothing: 0.1 })).toThrow(
      "of TRL's options it has none",
    );
    expect(() => lossByName("sigmoid", { discopop_tau: 0.1 })).toThrow("`discopop_tau`");
    expect(() => lossByName("sigmoid", { f_alpha_divergence_coef: 0.7 })(pairs)).toThrow(
      'fAlphaDivergenceCoef belongs to fDivergence "alpha_divergence"',
    );
    expect(() => lossByName("sigmoid", { f_divergence_type: "kl" })(pairs)).toThrow(
      'must be one of "reverse_kl"',
    );
    expect(() => lossByName("orpo", { label_smoothing: 0.1 })).toThrow(
      '"orpo" has no part for `label_smoothing`; of TRL\'s options it has beta',
    );
    expect(() => lossByName("sigmoid", { ld_alpha: 0.5 })).toThrow(
      "ld_alpha changes the log-probabilities, not the loss",
    );
    expect(() => lossByName("sigmoid", { loss_weights: [0.5] })).toThrow(
      'lossByName: "sigmoid" alone weighs 1; loss_weights other than [1] need a list, ["sigmoid"]',
    );
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
      "dpoLoss: has no option `betta`",
    );
    expect(() => lossByName(["hinge", "sft"], { label_smoothing: 0.1 })).toThrow(
      "`label_smoothing`",
    );
    expect(() => lossByName([])).toThrow("mixLosses: needs at least one term");
    expect(() => lossByName(["sigmoid", "nothing"])).toThrow('no loss "nothing"');
  });

  it("names the nearest when given a name that is nearly one", () => {
    for (const name of ["SimPO", "simpoo", "sim-po", "simpo_loss", "simpo"]) {
      if (name === "simpo") expect(typeof lossByName(name)).toBe("function");
      else expect(() => lossByName(name)).toThrow(`no loss "${name}"; did you mean "simpo"?`);
    }
    expect(() => lossByName("sigmod")).toThrow('did you mean "sigmoid"?');
    expect(() => lossByName("dpoLoss")).toThrow('did you mean "dpo"?');
    expect(() => lossByName(["SFT"])).toThrow('did you mean "sft"?');
    expect(() => lossByName("sigmoid", { loss_type: "ipo" })).toThrow(
      "lossByName: `loss_type` is the first argument: a name or a list of names",
    );
  });

  it("lists the names it knows when given another", () => {
    expect(() => lossByName("ppo")).toThrow(
      'lossByName: no loss "ppo"; there are sigmoid, hinge, ipo, exo_pair, nca_pair',
    );
    expect(() => lossByName("toString")).toThrow('no loss "toString"');
  });
});
