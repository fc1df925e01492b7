/**
 * Rewards, and what is refused of them.
 */

import { describe, expect, it } from "vitest";
import { type Reward, rewardsOf } from "../../src/methods/index.js";

describe("rewardsOf", () => {
  it("gives a reward's numbers, whether they come at once, later, or in a typed array", async () => {
    const lengths: Reward = (prompt, completions) =>
      completions.map((text) => (prompt + text).length);
    expect(await rewardsOf(lengths, "a", ["b", "cd"])).toEqual([2, 3]);
    expect(await rewardsOf(async () => [1, -2.5], "a", ["b", "c"])).toEqual([1, -2.5]);
    expect(await rewardsOf(() => Float32Array.of(0.5, 2), "a", ["b", "c"])).toEqual([0.5, 2]);
    expect(await rewardsOf(lengths, "a", [])).toEqual([]);
  });

  it("reads the ids of tokens as well as texts", async () => {
    const sums: Reward<readonly number[]> = (prompt, completions) =>
      completions.map((ids) => prompt.length + ids.reduce((sum, id) => sum + id, 0));
    expect(await rewardsOf(sums, [7, 7], [[1, 2], [3]])).toEqual([5, 5]);
  });

  it("names the prompt where the numbers do not fit", async () => {
    const given = (value: unknown) => rewardsOf((() => value) as never, "2+2=", ["4", "5"]);
    const wanted = "reward: it must give 2 numbers, one for each completion, got";
    await expect(given([1])).rejects.toThrow(`${wanted} 1 for the prompt "2+2="`);
    await expect(given("ab")).rejects.toThrow(`${wanted} "ab" for the prompt "2+2="`);
    await expect(given(undefined)).rejects.toThrow(`${wanted} undefined for the prompt "2+2="`);
    await expect(given([1, Number.NaN])).rejects.toThrow(
      'reward: it must give finite numbers, got NaN for completion 1 of the prompt "2+2="',
    );
    await expect(given(["1", 2])).rejects.toThrow('got "1" for completion 0');
    await expect(given([1, undefined])).rejects.toThrow("got undefined for completion 1");
    const long = rewardsOf(() => [], "x".repeat(1000), ["y"]);
    await expect(long).rejects.toThrow(`"${"x".repeat(79)}…`);
    await expect(rewardsOf(3 as never, "a", [])).rejects.toThrow(
      "reward: expected a function, got 3",
    );
  });

  it("lets errors of the reward through", async () => {
    const broken: Reward = () => Promise.reject(new Error("no answer"));
    await expect(rewardsOf(broken, "a", ["b"])).rejects.toThrow("no answer");
  });
});
