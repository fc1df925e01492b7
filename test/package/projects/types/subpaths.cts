import prefgrad = require("prefgrad");
import core = require("prefgrad/core");
import losses = require("prefgrad/losses");
import nn = require("prefgrad/nn");

const zero = core.tensor([0]);
const output: prefgrad.Tensor = nn.linear(nn.initLinear(2, 1, { seed: 1 }), core.tensor([[1, 2]]));
const pairs: prefgrad.PairLogProbs = {
  chosen: output,
  rejected: zero,
  referenceChosen: zero,
  referenceRejected: zero,
};
export const loss: core.Tensor = losses.dpoLoss(pairs).loss;
// @ts-expect-error: internals are not published
export const internal = output.primitive;
