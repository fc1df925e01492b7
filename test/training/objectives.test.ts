/**
 * Objectives: the gradient of a step is that of the loss of all its rows, for every loss and every solver of SPO,
 * however the step is cut; and what is refused.
 */

import { describe, expect, it } from "vitest";
import { rowsOf } from "../../src/data/rows.js";
import {
  bilevelStep,
  type DecoderParameters,
  fullPolicy,
  type GptParameters,
  initLora,
  ktoKl,
  type LossConfig,
  type LossName,
  loadModel,
  loraPolicy,
  lossByName,
  type PairLogProbs,
  type PreferenceLoss,
  type PreferenceObjectiveOptions,
  preferenceObjective,
  type SharedOptions,
  type SpoOptions,
  spoLoss,
  type Tensor,
  tdpoLoss,
  tensor,
  textObjective,
  treeLeaves,
  treeMap,
  unpairedKtoLoss,
  unpairedObjective,
  valueAndGrad,
  withLora,
  withReferences,
} from "../../src/index.js";
import { LOSSES } from "../../src/losses/names/lossNames.js";
import { randomNormal } from "../../src/tensor/random.js";
import type { AnyObjective } from "../../src/training/fitOptions.js";
import { LOSS_INPUTS } from "../../src/training/lossInputs.js";
import { tinyFiles } from "../models/tinyCheckpoint.js";
import { FAMILIES } from "../models/tinyFamilies.js";
import {
  CUTS,
  completionLogProbs,
  cutRows,
  difference,
  divergences,
  divergencesOf,
  logitsAt,
  logWeights,
  model,
  pairLogProbs,
  pairLogProbsOf,
  pairs,
  pilots,
  pilotsOf,
  policy,
  reference,
  referencedCompletions,
  referencedPairs,
  referenceLogits,
  sentences,
  sentencesOf,
  texts,
} from "./rows.js";

const lm = fullPolicy({ model, parameters: policy });

/** Losses that take what rows do not have. */
const REFUSED = ["diffusion_dpo", "dmpo", "spo"];

/** Options that losses need, and states from which means are not those of the batch alone. */
const OPTIONS: Readonly<Record<string, LossConfig>> = {
  exo_pair: { label_smoothing: 0.1 },
  kto: { kl: 0.3 },
  odpo: { offset: 0.2 },
};
const STATES: Readonly<Record<string, object>> = {
  bco_pair: { mean: 0.3, count: 4 },
  betadpo: { mean: 0.2, std: 0.4, count: 2 },
  alphadpo: { mean: 0.1, std: 0.3, count: 2 },
};

/** What losses are given besides pairs. */
const BESIDES: Readonly<Record<string, (at: GptParameters) => LossConfig>> = {
  wpo: logWeights,
  sgdpo: pilots,
  aspo: sentences,
  tdpo1: divergences,
  tdpo2: divergences,
};

/** The reference, for the losses that compare with it in every step. */
const referenceFor = (...losses: readonly string[]) =>
  losses.some((name) => name in LOSS_INPUTS) ? { reference } : {};

const names = (Object.keys(LOSSES) as LossName[]).filter((name) => !REFUSED.includes(name));

/** Gradients of all cuts of a step, against one. */
async function agrees<P, Row>(
  objective: AnyObjective<P, Row>,
  rows: { length: number; read(i: readonly number[]): Promise<readonly Row[]> },
  at: { parameters: P; state: unknown; step: number },
  expected: P,
  loss?: Tensor,
): Promise<void> {
  for (const cut of CUTS) {
    const made = await objective.step(at, await cutRows(objective, rows, cut));
    expect(await difference(made.gradient, expected), `cut ${cut}`).toBeLessThan(1e-9);
    if (!loss) continue;
    const [sum, weight] = await made.metrics.loss!.data();
    expect(sum! / weight!).toBeCloseTo(await loss.item(), 9);
  }
}

/** {@link lossByName} of a name that is known only when the test runs. */
const named = (name: string, options: LossConfig = {}) =>
  lossByName(name as string | readonly string[], options);

const start = <State>(state: State) => ({ parameters: policy, state, step: 3 });

describe("the gradient of a step is that of the loss of all its pairs, however it is cut:", () => {
  it.each(names)("%s", async (name) => {
    const lossOptions = OPTIONS[name] ?? {};
    const own = { policy: lm, loss: name, lossOptions, ...referenceFor(name) };
    const objective = preferenceObjective({ ...own, chunkSize: 7 });
    const state = STATES[name];
    const direct = (at: GptParameters): Tensor =>
      named(name, lossOptions)(pairLogProbs(at), {
        ...(state && { state }),
        ...BESIDES[name]?.(at),
      }).loss;
    const [loss, expected] = valueAndGrad(direct)(policy);
    const states = { losses: state ? { [name]: state } : {}, gamma: 0 };
    await agrees(objective, await referencedPairs(), start(states), expected, loss);
  });

  it("a mix with losses that read the reference", async () => {
    const loss = ["sgdpo", "bco_pair", "aspo"] as const;
    const lossOptions = { sgdpo: { chosenRatio: 0.6 }, aspo: { normalize: "rewards" } };
    const objective = preferenceObjective({ policy: lm, loss, lossOptions, reference });
    const state = STATES.bco_pair!;
    const direct = (at: GptParameters): Tensor => {
      const besides = { sgdpo: pilots(at), aspo: { ...sentences(at), normalize: "rewards" } };
      return lossByName(loss, besides)(pairLogProbs(at), { bco_pair: { state } }).loss;
    };
    const own = { losses: { bco_pair: state }, gamma: 0 };
    const [value, expected] = valueAndGrad(direct)(policy);
    await agrees(objective, await referencedPairs(), start(own), expected, value);
  });

  it("a mix, with WPO's weights and a state", async () => {
    const loss = ["sigmoid", "bco_pair", "sft"] as const;
    const lossOptions = { loss_weights: [0.8, 0.2, 1], use_weighting: true };
    const objective = preferenceObjective({ policy: lm, loss, lossOptions });
    const state = STATES.bco_pair!;
    const direct = (at: GptParameters): Tensor =>
      lossByName(loss, lossOptions)(pairLogProbs(at), { bco_pair: { state }, ...logWeights(at) })
        .loss;
    const own = { losses: { bco_pair: state }, gamma: 0 };
    const [value, expected] = valueAndGrad(direct)(policy);
    await agrees(objective, await referencedPairs(), start(own), expected, value);
  });

  const penalties: readonly SpoOptions[] = [
    { gamma: 0.7 },
    { gamma: (step) => 0.1 * step, floor: 1.9 },
    { hinge: true, epsilon: 0.01, floor: 2.5 },
    { hinge: true, epsilon: 0.01, floor: 9 },
    { gamma: "dual", dualRate: 0.3, damping: 2, per: "sequence" },
  ];
  it.each(
    (["ipo", "tdpo2", "aspo"] as const).flatMap((loss) =>
      penalties.map((spo) => [loss, spo] as const),
    ),
  )("SPO's penalty, %s, %o", async (loss, spo) => {
    const objective = preferenceObjective({ policy: lm, loss, spo, ...referenceFor(loss) });
    const { gamma } = spo;
    const point = gamma === "dual" ? { state: { gamma: 0.5 } } : { step: 3 };
    const direct = (at: GptParameters): Tensor =>
      spoLoss(pairLogProbs(at), {
        ...spo,
        ...point,
        base: lossByName(loss, BESIDES[loss]?.(at)),
      } as never).loss;
    const own = { losses: {}, gamma: gamma === "dual" ? 0.5 : 0 };
    const [value, expected] = valueAndGrad(direct)(policy);
    await agrees(objective, await referencedPairs(), start(own), expected, value);
  });

  it.each<readonly [LossName, SpoOptions, SharedOptions]>([
    ["sigmoid", { method: "barrier", floor: 2 }, { method: "barrier" }],
    [
      "aot",
      { method: "barrier", control: "value", eta: 3, floor: 2 },
      { method: "barrier", control: "value", eta: 3, floor: 2 },
    ],
    ["sigmoid", { method: "lookahead", alpha: 0.3 }, { method: "lookahead", alpha: 0.3 }],
    ["aot", { method: "lookahead", alpha: 0.3 }, { method: "lookahead", alpha: 0.3 }],
    ["alphadpo", { method: "lookahead", alpha: 0.3 }, { method: "lookahead", alpha: 0.3 }],
    ["tdpo2", { method: "barrier", floor: 2 }, { method: "barrier" }],
    ["aspo", { method: "barrier", floor: 2 }, { method: "barrier" }],
    ["sgdpo", { method: "lookahead", alpha: 0.3 }, { method: "lookahead", alpha: 0.3 }],
    ["tdpo1", { method: "lookahead", alpha: 0.3 }, { method: "lookahead", alpha: 0.3 }],
  ])("SPO's levels, %s, %o", async (loss, spo, options) => {
    const objective = preferenceObjective({ policy: lm, loss, spo, ...referenceFor(loss) });
    const problem = {
      upper: (at: GptParameters) => named(loss, BESIDES[loss]?.(at))(pairLogProbs(at)).loss,
      lower: (at: GptParameters) => {
        const { chosen, chosenLength } = pairLogProbs(at);
        return chosen.div(chosenLength).mean().neg();
      },
    };
    const step = await bilevelStep(problem, { params: policy }, options);
    const own = objective.init();
    const rows = await referencedPairs();
    await agrees(objective, rows, start(own), step.direction, step.upperLoss);
    if (!("multiplier" in step)) return;
    const made = await objective.step(start(own), await cutRows(objective, rows, [4, 2]));
    const [sum, weight] = await made.metrics["spo/gamma"]!.data();
    expect(sum! / weight!).toBeCloseTo(await (step.multiplier as Tensor).item(), 8);
    expect(await (step.multiplier as Tensor).item()).toBeGreaterThan(0);
  });

  it("KTO and APO-zero without partners", async () => {
    const rows = await referencedCompletions();
    const all = await rows.read([0, 1, 2, 3, 4, 5]);
    const numbers = (of: (row: (typeof all)[0]) => number) =>
      tensor(all.map(of), { dtype: "float64" });
    const desirable = numbers((row) => (row.desirable ? 1 : 0));
    const reference = numbers((row) => row.reference!);
    const mismatched = numbers((row) => row.referenceMismatched!);
    for (const loss of ["kto", "apo_zero_unpaired"] as const) {
      const options = { beta: 0.5, desirableWeight: 1.5, undesirableWeight: 0.7 };
      const objective = unpairedObjective({ policy: lm, loss, ...options });
      const direct = (at: GptParameters): Tensor => {
        const kl = loss === "kto" ? ktoKl(completionLogProbs(at, "mismatchedIds"), mismatched) : 0;
        const logProbs = completionLogProbs(at, "completionIds");
        return unpairedKtoLoss({ logProbs, reference, desirable }, { kl, ...options }).loss;
      };
      const [value, expected] = valueAndGrad(direct)(policy);
      await agrees(objective, rows, start({}), expected, value);
    }
  });

  it("texts, by tokens", async () => {
    const objective = textObjective({ policy: lm, chunkSize: 3 });
    const tokens = pairs.reduce((total, { chosenIds }) => total + chosenIds.length, 0);
    const direct = (at: GptParameters) => pairLogProbs(at).chosen.sum().div(-tokens);
    const [value, expected] = valueAndGrad(direct)(policy);
    await agrees(objective, rowsOf(texts), start({}), expected, value);
  });
});

describe("with TRL's semantics", () => {
  it("micro-batches are judged one after the other, and count alike", async () => {
    const rows = await referencedPairs();
    const objective = preferenceObjective({ policy: lm, loss: "bco_pair", batchSemantics: "trl" });
    const cut = [4, 2];
    const made = await objective.step(start(objective.init()), await cutRows(objective, rows, cut));
    const direct = (at: GptParameters): Tensor => {
      const all = pairLogProbs(at);
      const part = (from: number, to: number) =>
        Object.fromEntries(
          Object.entries(all).map(([name, values]) => [name, values.slice([from, to])]),
        ) as unknown as PairLogProbs;
      const loss = lossByName("bco_pair");
      const first = loss(part(0, 4), { state: { mean: 0, count: 0 } });
      return first.loss.add(loss(part(4, 6), { state: first.state }).loss).div(2);
    };
    const [value, expected] = valueAndGrad(direct)(policy);
    expect(await difference(made.gradient, expected)).toBeLessThan(1e-9);
    const [sum, weight] = await made.metrics.loss!.data();
    expect(weight).toBe(2);
    expect(sum! / 2).toBeCloseTo(await value.item(), 9);
    expect((made.state.losses.bco_pair as { count: number }).count).toBe(12);
  });

  it("a micro-batch without desirable completions has no part in their means", async () => {
    const rows = await referencedCompletions();
    const objective = unpairedObjective({ policy: lm, batchSemantics: "trl" });
    // The second row is undesirable.
    const { metrics } = await objective.step(start({}), await cutRows(objective, rows, [1, 1, 4]));
    expect((await metrics["rewards/chosen"]!.data())[1]).toBe(2);
    expect((await metrics["rewards/rejected"]!.data())[1]).toBe(2);
    expect((await metrics["rewards/margins"]!.data())[1]).toBe(1);
    expect((await metrics.kl!.data())[1]).toBe(3);
  });
});

describe("the state", () => {
  it("of dual γ moves along the gap, and evaluation leaves it", async () => {
    const spo = { gamma: "dual", dualRate: 0.3, floor: 1 } as const;
    const objective = preferenceObjective({ policy: lm, spo });
    const rows = await referencedPairs();
    const at = start({ losses: {}, gamma: 0.5 });
    const { state, metrics } = await objective.step(at, await cutRows(objective, rows, [3, 3]));
    const [sum, weight] = await metrics["spo/gap"]!.data();
    const gap = sum! / weight!;
    expect(await (state.gamma as Tensor).item()).toBeCloseTo(0.5 + 0.3 * gap, 9);
    const evaluated = await objective.evaluate(at, await cutRows(objective, rows, [3, 3]));
    const [gamma, rowsSeen] = await evaluated["spo/gamma"]!.data();
    expect(gamma! / rowsSeen!).toBeCloseTo(0.5 + gap, 9);
  });
});

describe("central differences of the evaluated loss give the gradient of a step", () => {
  const rate = 1e-5;
  const check = async <Row>(
    objective: AnyObjective<GptParameters, Row>,
    rows: { length: number; read(i: readonly number[]): Promise<readonly Row[]> },
  ) => {
    const state = objective.init();
    const made = await objective.step(start(state), await cutRows(objective, rows, [2, 4]));
    let number = 0;
    const direction = treeMap(
      (t) => randomNormal(t.shape, { seed: `direction ${number++}`, dtype: t.dtype }),
      policy,
    );
    const lossAt = async (by: number): Promise<number> => {
      const parameters = treeMap((p, d) => p.add(d!.mul(by)), policy, direction);
      const at = { parameters, state, step: 3 };
      const found = await objective.evaluate(at, await cutRows(objective, rows, [6]));
      const [sum, weight] = await found.loss!.data();
      return sum! / weight!;
    };
    const slope = ((await lossAt(rate)) - (await lossAt(-rate))) / (2 * rate);
    const products = treeMap((g, d) => g.mul(d!).sum(), made.gradient, direction);
    let expected = 0;
    for (const product of treeLeaves(products)) expected += await product.item();
    expect(slope / expected).toBeCloseTo(1, 6);
  };

  it("of pairs", async () => {
    const spo = { hinge: true, floor: 1 };
    await check(preferenceObjective({ policy: lm, loss: "aot", spo }), await referencedPairs());
  });
  it("of pairs, with divergences from the reference", async () => {
    const own = { policy: lm, loss: "tdpo1", reference, spo: { gamma: 0.5 } } as const;
    await check(preferenceObjective(own), await referencedPairs());
  });
  it("of judged completions", async () => {
    const objective = unpairedObjective({ policy: lm, loss: "apo_zero_unpaired" });
    await check(objective, await referencedCompletions());
  });
  it("of texts", () => check(textObjective({ policy: lm }), rowsOf(texts)));
});

describe("an adapter", () => {
  it("is what is trained, and two passes drop the same elements as one", async () => {
    const base = await loadModel(await tinyFiles(FAMILIES.llama!), { dtype: "float64" });
    const adapter = initLora(base, {
      rank: 2,
      alpha: 4,
      targets: "all-linear",
      dropout: 0.3,
      seed: 1,
    });
    let number = 0;
    const parameters = treeMap(
      (t) => randomNormal(t.shape, { seed: `B ${number++}`, std: 0.2, dtype: t.dtype }),
      adapter.parameters,
    );
    const own = loraPolicy(base, { ...adapter, parameters }, { seed: 5 });
    const rows = await referencedPairs();
    // A function that is none of the library's may couple rows.
    const unknown = (given: PairLogProbs): PreferenceLoss => lossByName("sigmoid")(given);
    const stepOf = async (loss: PreferenceObjectiveOptions<unknown>["loss"], step: number) => {
      const objective = preferenceObjective({ policy: own, loss: loss! });
      const at = { parameters, state: objective.init(), step };
      return (await objective.step(at, await cutRows(objective, rows, [4, 2]))).gradient;
    };
    const once = await stepOf("sigmoid", 3);
    expect(Object.keys(once)).toEqual(Object.keys(parameters));
    expect(await difference(await stepOf(unknown, 3), once)).toBeLessThan(1e-9);
    expect(await difference(await stepOf("sigmoid", 4), once)).toBeGreaterThan(1e-3);
  });

  it("is compared with its base in every step", async () => {
    const base = await loadModel(await tinyFiles(FAMILIES.llama!), { dtype: "float64" });
    const adapter = initLora(base, { rank: 2, alpha: 4, targets: "all-linear", seed: 1 });
    const before = fullPolicy(base);
    const { rows } = await withReferences(pairs, { policy: before });
    const own = { policy: loraPolicy(base, adapter), reference: before };
    const logits = (at: DecoderParameters) => (ids: Tensor) => base.model.apply(at, ids);
    let number = 0;
    const parameters = treeMap(
      (t) => randomNormal(t.shape, { seed: `B ${number++}`, std: 0.2, dtype: t.dtype }),
      adapter.parameters,
    );
    for (const loss of ["tdpo2", "sgdpo", "aspo"] as const) {
      const objective = preferenceObjective({ ...own, loss });
      const direct = (at: typeof parameters): Tensor => {
        const models = [
          logits(withLora(base, { ...adapter, parameters: at })),
          logits(base.parameters),
        ] as const;
        const besides = {
          tdpo2: divergencesOf(...models),
          sgdpo: pilotsOf(...models, 3),
          aspo: sentencesOf(...models),
        };
        return named(loss, besides[loss])(pairLogProbsOf(...models)).loss;
      };
      const [value, expected] = valueAndGrad(direct)(parameters);
      const at = { parameters, state: objective.init(), step: 3 };
      const { gradient, metrics } = await objective.step(
        at,
        await cutRows(objective, rows, [4, 2]),
      );
      expect(await difference(gradient, expected), loss).toBeLessThan(1e-9);
      const [sum, weight] = await metrics.loss!.data();
      expect(sum! / weight!).toBeCloseTo(await value.item(), 9);
    }
  });
});

describe("at the reference", () => {
  it.each(Object.keys(LOSS_INPUTS) as LossName[])("%s is ln 2, and has a slope", async (loss) => {
    const own = { policy: reference, loss, reference } as const;
    const objective = preferenceObjective(own);
    const at = { parameters: reference.parameters, state: objective.init(), step: 0 };
    const micro = await cutRows(objective, await referencedPairs(), [4, 2]);
    const { gradient, metrics } = await objective.step(at, micro);
    const [sum, weight] = await metrics.loss!.data();
    expect(sum! / weight!).toBeCloseTo(Math.LN2, 12);
    const dpo = preferenceObjective({ policy: reference });
    const { gradient: slope } = await dpo.step(
      at,
      await cutRows(dpo, await referencedPairs(), [6]),
    );
    // Divergences are least there, and each of SGDPO's halves is half of DPO. Weighted sentences have another slope.
    const share = loss === "sgdpo" ? 0.5 : 1;
    const distance = await difference(
      gradient,
      treeMap((t) => t.mul(share), slope),
    );
    if (loss === "aspo") expect(distance).toBeGreaterThan(1e-3);
    else expect(distance).toBeLessThan(1e-9);
  });
});

const lossIn = async (metrics: Readonly<Record<string, Tensor>>): Promise<number> => {
  const [sum, weight] = await metrics.loss!.data();
  return sum! / weight!;
};

describe("SGDPO's draws", () => {
  const lossAt = async (step: number, seed = 0): Promise<number> => {
    const objective = preferenceObjective({ policy: lm, loss: "sgdpo", reference, seed });
    const at = { ...start(objective.init()), step };
    const micro = await cutRows(objective, await referencedPairs(), [4, 2]);
    return lossIn((await objective.step(at, micro)).metrics);
  };

  it("are new in every step, and of the seed", async () => {
    const here = await lossAt(3);
    expect(await lossAt(3)).toBe(here);
    expect(await lossAt(4)).not.toBe(here);
    expect(await lossAt(3, 1)).not.toBe(here);
  });

  it("take the parts that are asked for: all of equally long completions is DPO", async () => {
    const same = pairs.map((row) => ({ ...row, rejectedIds: row.chosenIds.map((id) => 12 - id) }));
    const { rows } = await withReferences(same, { policy: reference });
    const lossOptions = { chosenRatio: 1, rejectedRatio: 1 };
    const losses: number[] = [];
    for (const own of [{}, { loss: "sgdpo", lossOptions, reference } as const]) {
      const objective = preferenceObjective({ policy: lm, ...own });
      const micro = await cutRows(objective, rows, [6]);
      losses.push(await lossIn((await objective.step(start(objective.init()), micro)).metrics));
    }
    expect(losses[1]).toBeCloseTo(losses[0]!, 9);
  });

  it("of an evaluation are those of its rows alone", async () => {
    const objective = preferenceObjective({ policy: lm, loss: "sgdpo", reference });
    const direct = named("sgdpo", pilotsOf(logitsAt(policy), referenceLogits, "evaluation"));
    const expected = await direct(pairLogProbs(policy)).loss.item();
    for (const [step, cut] of [
      [0, [6]],
      [7, [1, 2, 3]],
    ] as const) {
      const at = { ...start(objective.init()), step };
      const micro = await cutRows(objective, await referencedPairs(), cut);
      expect(await lossIn(await objective.evaluate(at, micro))).toBeCloseTo(expected, 9);
    }
  });
});

describe("ASPO", () => {
  const readAll = async () => (await referencedPairs()).read([0, 1, 2, 3, 4, 5]);

  it("with completions of one sentence is DPO", async () => {
    const one = (await readAll()).map((row) => ({
      ...row,
      chosenSentences: Array.from(row.chosenIds, () => 0),
    }));
    const [aspo, dpo] = [
      preferenceObjective({ policy: lm, loss: "aspo", reference }),
      preferenceObjective({ policy: lm }),
    ];
    const at = start(dpo.init());
    const { gradient } = await aspo.step(at, await cutRows(aspo, rowsOf(one), [4, 2]));
    const expected = await dpo.step(at, await cutRows(dpo, rowsOf(one), [6]));
    expect(await difference(gradient, expected.gradient)).toBeLessThan(1e-9);
  });

  it("weighs by similarities, where rows have them", async () => {
    const similarities = [0.1, 0.7, 0.4];
    const rows = rowsOf((await readAll()).map((row) => ({ ...row, similarities })));
    const own = { loss: "aspo", lossOptions: { alpha: 1 }, reference } as const;
    const objective = preferenceObjective({ policy: lm, ...own });
    const at = start(objective.init());
    const { metrics } = await objective.step(at, await cutRows(objective, rows, [4, 2]));
    const weights = pairs.map(({ chosenSentences }) => {
      const present = similarities.slice(0, chosenSentences.at(-1)! + 1);
      const [low, high] = [Math.min(...present), Math.max(...present)];
      const scaled = present.map((value) => (high > low ? (value - low) / (high - low) : 0));
      return [...scaled, 0, 0].slice(0, 3);
    });
    const given = { ...sentences(policy), weights: tensor(weights, { dtype: "float64" }) };
    const expected = await named("aspo", given)(pairLogProbs(policy)).loss.item();
    expect(await lossIn(metrics)).toBeCloseTo(expected, 6);
  });

  it("names the row that has no sentences", async () => {
    const rows = rowsOf(pairs.map(({ chosenSentences: _, ...row }) => row));
    const objective = preferenceObjective({ policy: lm, loss: "aspo", reference });
    const at = start(objective.init());
    const step = async () => objective.step(at, await cutRows(objective, rows, [6]));
    await expect(step).rejects.toThrow("row 0 has no chosenSentences; withSentences(rows");
  });
});

describe("what does not go together is refused", () => {
  const refused = (options: Partial<PreferenceObjectiveOptions<GptParameters>>) => () =>
    preferenceObjective({ policy: lm, ...options });

  it.each<readonly [Partial<PreferenceObjectiveOptions<GptParameters>>, RegExp]>([
    [
      { loss: ["sigmoid", "dmpo"] },
      /dmpo takes squared denoising errors .* where f gives dmpoLoss/,
    ],
    [{ loss: "diffusion_dpo" }, /f gives diffusionDpoLoss its errors/],
    [{ loss: "spo" }, /spo is an option beside the loss/],
    [{ loss: "sigmod" as "sigmoid" }, /did you mean "sigmoid"/],
    [{ loss: 3 as never }, /loss must be a loss's name/],
    [{ lossOptions: { bta: 1 } }, /did you mean `beta`/],
    [{ spo: { method: "barrier", gamma: 1 } }, /method "barrier" has no option `gamma`/],
    [{ spo: { method: "lookahead" } }, /alpha must be a number > 0/],
    [{ spo: { floor: "optimum" as never } }, /floor must be a number or "reference"/],
    [
      { spo: { method: "barrier", per: "word" as never } },
      /per must be one of "token", "sequence"/,
    ],
    [{ spo: { method: "barrier", epsilon: Number.NaN } }, /epsilon must be a number ≥ 0, got NaN/],
    [{ spo: { gamma: Number.NaN } }, /gamma must be a number ≥ 0, a schedule, or "dual", got NaN/],
    [{ spo: { gamma: "dul" as never } }, /or "dual", got "dul"/],
    [{ spo: { gamma: "dual", dualRate: -1 } }, /dualRate must be a number > 0, got -1/],
    [{ spo: { gamma: 1, dualRate: 3 } }, /`dualRate` belongs to gamma: "dual"/],
    [{ spo: { hinge: "yes" as never } }, /hinge must be true or false, got "yes"/],
    [{ spo: "dual" as never }, /options must be an object/],
    [{ loss: "exo_pair", lossOptions: { label_smoothing: 0 } }, /labelSmoothing must be a number/],
    [{ loss: "kto" }, /kl/],
    [{ batchSemantics: "whole batch" as never }, /batchSemantics must be one of "whole", "trl"/],
    [{ policy: model as never }, /policy must be what fullPolicy/],
    [{ chunkSize: 0 }, /chunkSize must be an integer ≥ 1/],
  ])("%o", (options, message) => {
    expect(refused(options)).toThrow(message);
  });

  it("a reference model that is missing, that nothing reads, or of another vocabulary", () => {
    for (const loss of ["tdpo1", ["sft", "tdpo1"], tdpoLoss] as const) {
      expect(refused({ loss })).toThrow(
        "tdpo1 compares with the reference model in every step: give it as reference",
      );
    }
    expect(refused({ reference })).toThrow(
      /reference is for the losses aspo, sgdpo, tdpo1, tdpo2; what others/,
    );
    expect(refused({ loss: "tdpo2", reference: model as never })).toThrow(
      /policy must be what full/,
    );
    const larger = { ...reference, vocabularySize: 14 };
    expect(refused({ loss: "tdpo2", reference: larger })).toThrow(
      "distributions over one vocabulary, but the policy's has 13 tokens and the reference's 14",
    );
  });

  it("options of losses that read the reference", () => {
    for (const [loss, lossOptions, message] of [
      ["tdpo1", { alpha: 1 }, "alpha belongs to version 2"],
      ["sgdpo", { chosenRatio: 2 }, "chosenRatio must be a number in (0, 1], got 2"],
      ["sgdpo", { chosenRatios: 0.5 }, "chosenRatios"],
      [["sft", "sgdpo"], { sgdpo: { rejectedRatio: 0 } }, "rejectedRatio must be a number in"],
      ["aspo", { alpha: 3 }, "alpha must be a number in [0, 1], got 3"],
      ["aspo", { normalize: "no" }, 'normalize must be one of "weights", "rewards"'],
    ] as const) {
      expect(refused({ loss, reference, lossOptions })).toThrow(message);
    }
  });

  it("rows without references, by their number", async () => {
    const objective = unpairedObjective({ policy: lm });
    const row = { row: 7, promptIds: [1], completionIds: [2], mismatchedIds: [3], desirable: true };
    await expect(async () => objective.collate([row])).rejects.toThrow(/row 7 has no reference;/);
    const ofPairs = preferenceObjective({ policy: lm });
    const at = start(ofPairs.init());
    const step = async () => ofPairs.step(at, await cutRows(ofPairs, rowsOf(pairs), [6]));
    await expect(step).rejects.toThrow(/needs `referenceChosen`/);
    for (const [has, lacks] of [
      [{ referenceChosen: -1, referenceRejected: -1 }, "referenceChosen"],
      [{ referenceChosen: -1 }, "referenceRejected"],
    ] as const) {
      const some = pairs.map((pair) =>
        pair.row === 3 && lacks === "referenceChosen" ? pair : { ...pair, ...has },
      );
      await expect(async () => ofPairs.collate(some)).rejects.toThrow(
        `row ${lacks === "referenceChosen" ? 3 : 0} has no ${lacks}, others have; withReferences(rows, …)`,
      );
    }
  });

  it("rows of another kind, by their number", async () => {
    const [pair] = await (await referencedPairs()).read([2]);
    const [judged] = await (await referencedCompletions()).read([2]);
    const collate = (objective: AnyObjective<GptParameters, never>, row: unknown) => async () =>
      objective.collate([row as never]);
    for (const [objective, row, lacks] of [
      [preferenceObjective({ policy: lm }), judged, "chosenIds"],
      [preferenceObjective({ policy: lm }), texts[2], "promptIds"],
      [unpairedObjective({ policy: lm }), pair, "completionIds"],
      [textObjective({ policy: lm }), pair, "ids"],
    ] as const) {
      await expect(collate(objective, row)).rejects.toThrow(
        `row 2 has no ${lacks}; rows that read`,
      );
    }
  });

  it("token ids that the model does not have, by their row", async () => {
    const foreign = texts.map((text) =>
      text.row === 4 ? { ...text, ids: [13, ...text.ids.slice(1)] } : text,
    );
    const objective = textObjective({ policy: lm });
    const at = start(objective.init());
    const stepOf = async (own: typeof texts) =>
      objective.step(at, await cutRows(objective, rowsOf(own), [4, 2]));
    await expect(stepOf(foreign)).rejects.toThrow(
      "row 4 has the token id 13, but the model's are 0 … 12: was another model's tokenizer used?",
    );
    for (const wrong of [-1, 1.5, Number.NaN]) {
      const own = texts.map((text) => ({ ...text, ids: [...text.ids.slice(1), wrong] }));
      await expect(stepOf(own)).rejects.toThrow(`row 0 has ${wrong} among its token ids`);
    }
  });
});
