/**
 * What all losses refuse in their inputs.
 */

import { describe, expect, it } from "vitest";
import { lossGradient } from "../../src/interop/lossGradient.js";
import {
  diffusionDpoLoss,
  dmpoLoss,
  dpoLoss,
  ktoKl,
  lossByName,
  mixLosses,
  type PairErrors,
  spoLoss,
  unpairedKtoLoss,
  wpoLoss,
} from "../../src/losses/index.js";
import { full, tensor } from "../../src/tensor/create.js";
import { realize } from "../../src/tensor/evaluate.js";
import { cases, goldenInputs } from "./cases.js";

const positive = (name: string, value: string) =>
  `\`${name}\` holds ${value}; log-probabilities are at most 0: is the sign right?`;

describe("log-probabilities above 0", () => {
  const inputs = goldenInputs();
  const { size, dtype } = inputs.chosen;
  const swapped = {
    ...inputs,
    chosen: tensor(
      Array.from({ length: size }, (_, i) => i),
      { dtype },
    ),
  };

  it.each(cases)("are refused by $name, or taken for denoising errors", ({ name, loss }) => {
    if (/^(diffusionDpo|dmpo)/.test(name)) expect(() => loss(swapped)).not.toThrow();
    else expect(() => loss(swapped)).toThrow("`chosen` holds ");
  });

  it("are named, and NaN; rounding and what is not computed yet are let through", async () => {
    const pairs = (chosen: number) => ({
      chosen: tensor([-1, chosen]),
      rejected: tensor([-2, -2]),
      referenceChosen: tensor([-1, -1]),
      referenceRejected: tensor([-2, -2]),
    });
    expect(() => dpoLoss(pairs(5))).toThrow(`dpoLoss: ${positive("chosen", "5")}`);
    expect(() => dpoLoss(pairs(Number.NaN))).toThrow(
      /dpoLoss: `chosen` holds NaN; log-probabilities are at most 0$/,
    );
    expect(() => dpoLoss({ ...pairs(-1), referenceRejected: tensor([0, 2]) })).toThrow(
      positive("referenceRejected", "2"),
    );
    for (const fine of [0, 1e-4, Number.NEGATIVE_INFINITY]) {
      expect(() => dpoLoss(pairs(fine))).not.toThrow();
    }
    const computed = tensor([1, 2]).exp();
    expect(() => dpoLoss({ ...pairs(-1), chosen: computed })).not.toThrow();
    await realize(computed);
    expect(() => dpoLoss({ ...pairs(-1), chosen: computed })).toThrow("`chosen` holds 2.7");
    const constant = { ...pairs(-1), referenceChosen: full([2], 5) };
    expect(() => dpoLoss(constant)).toThrow(positive("referenceChosen", "5"));
    await expect(
      lossGradient(dpoLoss)({
        chosen: [0.5],
        rejected: [-1],
        referenceChosen: [-1],
        referenceRejected: [-1],
      }),
    ).rejects.toThrow(positive("chosen", "0.5"));
    expect(() => ktoKl(tensor([1]), tensor([-1]))).toThrow(`ktoKl: ${positive("mismatched", "1")}`);
    const judged = { logProbs: tensor([-1]), reference: tensor([3]), desirable: tensor([1]) };
    expect(() => unpairedKtoLoss(judged, { kl: 0 })).toThrow(positive("reference", "3"));
  });

  it("are what denoising errors are", async () => {
    const errors: PairErrors = {
      chosen: tensor([0.5]),
      rejected: tensor([0.25]),
      referenceChosen: tensor([0.5]),
      referenceRejected: tensor([0.25]),
    };
    expect(await diffusionDpoLoss(errors).loss.item()).toBeCloseTo(Math.LN2, 6);
    expect(() => dmpoLoss({ ...errors, chosen: undefined as never })).toThrow(
      "dmpoLoss: needs `chosen`: denoising errors of the chosen samples, shape [batch]",
    );
  });
});

describe("inputs and losses of another kind", () => {
  const one = tensor([-1]);
  const pairs = { chosen: one, rejected: one, referenceChosen: one, referenceRejected: one };

  it("arrays, and tensors one by one", () => {
    expect(() => dpoLoss({ ...pairs, chosen: [-1] as never })).toThrow(
      "dpoLoss: `chosen` must be a tensor, got an array; make one with tensor(…), or give arrays to lossGradient(dpoLoss)",
    );
    expect(() => dpoLoss(one as never)).toThrow(
      "dpoLoss: needs an object of tensors { chosen, rejected, referenceChosen, referenceRejected }, got Tensor float32[1]",
    );
    expect(() => dpoLoss(one as never, one as never)).toThrow(
      /^dpoLoss: options must be an object \{ beta, .* \}, got Tensor float32\[1\].*; tensors of pairs are one argument \{ chosen, … \}$/,
    );
  });

  it("names of losses in the place of losses", () => {
    const message =
      'must be a loss function such as dpoLoss, got "ipo"; by its name it is lossByName("ipo")';
    const wrong = "ipo" as never;
    expect(() => spoLoss({ ...pairs }, { base: wrong })).toThrow(`spoLoss: base ${message}`);
    expect(() => wpoLoss(pairs, { base: wrong })).toThrow(`wpoLoss: base ${message}`);
    expect(() => mixLosses({ loss: wrong, weight: 1 } as never)).toThrow(
      `mixLosses: loss of term 0 ${message}`,
    );
    expect(() => lossGradient(wrong)).toThrow(`lossGradient: the argument ${message}`);
    expect(() => lossGradient({} as never)).toThrow("such as dpoLoss, got an object");
    expect(() => mixLosses(dpoLoss as never)).toThrow(
      "mixLosses: term 0: options must be an object",
    );
    expect(typeof lossByName("ipo")).toBe("function");
  });
});
