import { dpoLoss, grad, matmul, ones, setDevice, tensor } from "prefgrad";
import { done } from "./main.js";

const beta = 0.5;
const [rejected, referenceChosen, referenceRejected] = [-3, -2, -2].map((value) => tensor([value]));
const lossOf = (chosen) =>
  dpoLoss({ chosen, rejected, referenceChosen, referenceRejected }, { beta }).loss;

/** What `main.js` computes, on a GPU. */
async function onGpu(backend) {
  await setDevice("gpu", { backend });
  return [await lossOf(tensor([-1])).item(), await grad(lossOf)(tensor([-1])).item()];
}

/** A product that is long enough for several threads. */
async function inThreads(threads) {
  await setDevice("wasm", { threads });
  return matmul(ones([500, 500]), ones([500, 500]))
    .sum()
    .item();
}

Object.assign(globalThis, { done, inThreads, onGpu });
