/**
 * Candidates: in their prompts' order, whatever happens to those behind them, and no longer than somebody wants them.
 */

import { expect, it } from "vitest";
import { candidatesOf } from "../../src/methods/candidates.js";
import { tableOf, tabularModel } from "./tabular.js";

const model = tabularModel(3);
const lm = { model, parameters: tableOf([0.5, 0.3, 0.2]) };
const prompts = [[0], [1], [2]].map((ids) => ({ ids, text: ids as readonly number[] }));
const how = { samples: 4, maxNewTokens: 6, seed: 0 };

it("candidates are ended by a signal within a batch, after the token that is being drawn", async () => {
  const controller = new AbortController();
  let calls = 0;
  const counted: typeof model = {
    ...model,
    hidden(parameters, ids) {
      if (++calls === 3) controller.abort();
      return model.hidden(parameters, ids);
    },
  };
  const found = candidatesOf({ ...lm, model: counted }, prompts, () => [0, 0, 0, 0], {
    ...how,
    signal: controller.signal,
  });
  for await (const one of found) expect.unreachable(`candidates of prompt ${one.index}`);
  expect(calls).toBe(3);
});

it("candidates of a prompt are given before the reward of the next one is known", async () => {
  const seen: number[] = [];
  let release: (() => void) | undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const reward = async (prompt: readonly number[]) => {
    if (prompt[0] === 1) await gate;
    if (prompt[0] === 2) throw new Error("no idea");
    return [1, 2, 3, 4];
  };
  const all = candidatesOf(lm, prompts, reward, how);
  const taken = (async () => {
    for await (const { index } of all) {
      seen.push(index);
      release?.();
    }
  })();
  await expect(taken).rejects.toThrow("no idea");
  expect(seen).toEqual([0, 1]);
});
