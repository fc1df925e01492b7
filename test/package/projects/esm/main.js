import assert from "node:assert/strict";
import { dpoLoss, grad, tensor } from "prefgrad";

const beta = 0.5;
const chosen = tensor([-1, -4]);
const rejected = tensor([-3, -3]);
const reference = { referenceChosen: tensor([-2, -2]), referenceRejected: tensor([-2, -2]) };

const lossOf = (policy) => dpoLoss({ chosen: policy, rejected, ...reference }, { beta }).loss;
const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const margins = [2, -1];
const near = (actual, expected) => assert.ok(Math.abs(actual - expected) < 1e-6, `${actual}`);

near(
  await lossOf(chosen).item(),
  margins.reduce((sum, margin) => sum + Math.log1p(Math.exp(-beta * margin)), 0) / 2,
);
const gradient = await grad(lossOf)(chosen).data();
margins.forEach((margin, i) => {
  near(gradient[i], (-beta * sigmoid(-beta * margin)) / 2);
});
console.log("ES module: loss and gradient are right");
