/**
 * The report of runs: what it says of them, and that it is a page of its own.
 */

import { describe, expect, it } from "vitest";
import { runReport } from "../../src/training/report/report.js";
import { verdict } from "../../src/training/report/verdict.js";
import type { RunRecord } from "../../src/training/runFiles.js";

/** A run with an evaluation at the beginning, in the middle and at the end. */
function run(own: Partial<RunRecord> = {}, last: Readonly<Record<string, number>> = {}): RunRecord {
  const evaluation = (step: number, loss: number, more = {}) => ({
    step,
    eval_loss: loss,
    "eval_logps/chosen": -10,
    "eval_logps/rejected": -10,
    "eval_rewards/margins": 0,
    "eval_rewards/accuracies": 0,
    ...more,
  });
  return {
    name: "a",
    settings: { command: "align", spo: false },
    fit: {},
    rows: [
      evaluation(0, Math.LN2),
      { step: 10, loss: 0.65, learning_rate: 1e-4 },
      evaluation(10, 0.6),
      { step: 15, loss: null, bad_steps: 1, rows: [3] },
      { step: 20, loss: 0.5, learning_rate: 0 },
      evaluation(20, 0.55, {
        "eval_rewards/margins": 0.4,
        "eval_rewards/accuracies": 0.75,
        ...last,
      }),
    ],
    answers: [],
    done: true,
    ...own,
  };
}

describe("the verdict", () => {
  it("says how many pairs are told apart, and where the probabilities went", () => {
    const moved = { "eval_logps/chosen": -9, "eval_logps/rejected": -14 };
    expect(verdict(run({}, moved))).toEqual([
      "75.0 % of the held-out pairs are told apart the right way, with a mean margin of 0.4.",
      "The log-probability of chosen completions rose from −10 to −9, that of rejected ones fell from −10 to −14.",
    ]);
  });

  it("names what helps where both became less likely, unless it is there", () => {
    const moved = { "eval_logps/chosen": -12, "eval_logps/rejected": -14, eval_left_both: 0.8 };
    const plain = verdict(run({}, moved));
    expect(plain[1]).toContain(
      "both became less likely; stable preference optimization (--spo) holds on",
    );
    expect(plain[2]).toBe(
      "80.0 % of the probability that the pairs had went to neither of their completions.",
    );
    const stable = verdict(run({ settings: { spo: "dual" } }, moved));
    expect(stable[1]).toMatch(/: both became less likely\.$/);
  });

  it("points to a better checkpoint, and to a run that was not finished", () => {
    expect(verdict(run({ done: false }, { eval_loss: 0.66 }))).toEqual([
      "The run was not finished: --resume goes on with it.",
      expect.stringMatching(/^75\.0 %/),
      expect.stringMatching(/^The log-probability/),
      "The held-out loss was lowest at step 10, 0.6, and is 0.66 at the end: checkpoint-10 is the best model.",
    ]);
    const worse = run({}, { eval_loss: 0.8 });
    const rows = worse.rows.filter((row) => row.step !== 10);
    expect(verdict({ ...worse, rows }).at(-1)).toBe(
      "The held-out loss was lowest before training, 0.6931, and is 0.8 at the end.",
    );
  });

  it("says by how much where four digits show no change, and where there was none", () => {
    const rows = [
      { step: 1, loss: 0.7, "logps/chosen": -246.71, "logps/rejected": -250 },
      { step: 2, loss: 0.6, "logps/chosen": -246.74, "logps/rejected": -250 },
    ];
    const [both] = verdict(run({ rows }));
    expect(both).toBe(
      "The log-probability of chosen completions fell by 0.03 to −246.7, that of rejected ones stayed at −250.",
    );
    const still = [1, 2].map((step) => ({ step, loss: 3 }));
    expect(verdict(run({ rows: still }))).toEqual([
      "The training loss stayed at 3 nats per token.",
    ]);
  });

  it("is about training rows until held-out ones are measured again", () => {
    const all = run();
    const began = { ...all, rows: all.rows.slice(0, 2), done: false };
    expect(verdict(began).at(-1)).toBe("The training loss stayed at 0.65 nats per token.");
    expect(runReport([began])).toContain('<th scope="row">loss</th><td>0.65</td>');
    // A point alone is seen: of the training loss, and of each held-out metric.
    expect(runReport([began]).match(/ d="M[\d.]+ [\d.]+m-3 0h6"/g)).toHaveLength(7);
  });

  it("is about the loss of texts, and about training rows where none are held out", () => {
    const rows = [
      { step: 1, loss: 3 },
      { step: 2, loss: 2.5 },
    ];
    expect(verdict(run({ rows, settings: { command: "sft" } }))).toEqual([
      "The training loss fell from 3 to 2.5 nats per token.",
    ]);
    expect(verdict(run({ rows: [] }))).toEqual(["Nothing was logged."]);
  });
});

describe("the page", () => {
  it("has curves, figures, answers and settings of one run, and nothing from elsewhere", () => {
    const answers = [{ prompt: "<1 & 2>", before: "x", after: "y" }];
    const page = runReport([run({ answers })]);
    expect(page).toContain("&lt;1 &amp; 2&gt;");
    expect(page).toMatch(
      /<tr><th scope="row">eval_<wbr>rewards\/<wbr>margins<\/th><td>0<\/td><td>0\.4<\/td><\/tr>/,
    );
    // Loss, margin, accuracy, chosen, rejected, learning rate.
    expect(page.match(/<figure>/g)).toHaveLength(6);
    expect(page).not.toMatch(/<script|(src|href)=|url\(|NaN/);
  });

  it("lays several runs over each other, with the answer from before once", () => {
    const answers = [{ prompt: "p", before: "x", after: "y" }];
    const other = run({ name: "b", answers: [{ ...answers[0]!, after: "z" }] });
    const page = runReport([run({ answers }), other]);
    expect(page.match(/<dt>before<\/dt>/g)).toHaveLength(1);
    expect(page).toContain('</span>b</dt><dd class="text">z</dd>');
    expect(page).toContain("var(--run-1)");
    expect(page).toContain("b held out");
  });
});
