import { dpoLoss, grad } from "prefgrad";
import { Tensor, tensor } from "prefgrad/core";

async function main() {
  const beta = 0.5;
  const pair = {
    rejected: tensor([-3]),
    referenceChosen: tensor([-2]),
    referenceRejected: tensor([-2]),
  };
  const lossOf = (chosen) => dpoLoss({ chosen, ...pair }, { beta }).loss;
  const near = (actual, expected) => {
    if (!(Math.abs(actual - expected) < 1e-6)) throw new Error(`${actual} is not ${expected}`);
  };

  const lazyLoss = lossOf(tensor([-1]));
  if (!(lazyLoss instanceof Tensor)) throw new Error("the bundle has two kinds of tensors");
  const loss = await lazyLoss.item();
  const [slope] = await grad(lossOf)(tensor([-1])).data();
  near(loss, Math.log1p(Math.exp(-beta * 2)));
  near(slope, -beta / (1 + Math.exp(beta * 2)));
  console.log("browser bundle: loss and gradient are right");
  return [loss, slope];
}

export const done = main();
