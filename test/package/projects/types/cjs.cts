import prefgrad = require("prefgrad");

const { dpoLoss, grad, tensor } = prefgrad;
const lossOf = (chosen: prefgrad.Tensor): prefgrad.Tensor =>
  dpoLoss(
    {
      chosen,
      rejected: tensor([-3]),
      referenceChosen: tensor([-2]),
      referenceRejected: tensor([-2]),
    },
    { beta: 0.5 },
  ).loss;
const slope: prefgrad.Tensor = grad(lossOf)(tensor([-1], { dtype: "float64", shape: [1] }));
export const value: Promise<number> = lossOf(slope).item();
// @ts-expect-error: a tensor is not a number
export const wrong: number = slope;
