/**
 * How far things are: a line that changes on a terminal, elsewhere and with `NO_COLOR` a line now and then.
 * @module
 */

import type { PromptProgress } from "../methods/prompts/optimizePrompt.js";
import type { LoadProgress } from "../models/checkpoint.js";
import type { LogRow } from "../training/fitState.js";
import type { RunObserver } from "../training/run.js";
import { duration, hasColours, integer } from "./text.js";

/** A line that says how far loading is, and is gone at its end. Where there are no bars, nothing is shown. */
export function loadingLine(stream: NodeJS.WriteStream): LoadProgress {
  let shown = -1;
  return ({ bytes, of }) => {
    if (!hasColours(stream)) return;
    const percent = Math.floor((100 * bytes) / of);
    if (percent === shown) return;
    shown = percent;
    stream.write(bytes === of ? "\r\x1b[K" : `\rloading ${percent} %`);
  };
}

/** Cells of the bar. */
const BAR = 24;
/** Metrics that a line has room for. */
const SHOWN = ["loss", "rewards/margins", "rewards/accuracies", "spo/gap", "grad_norm"];

/** Shows how a run goes. */
export function runProgress(stream: NodeJS.WriteStream): RunObserver & { stop(): void } {
  const isBar = hasColours(stream);
  let begun = { time: 0, step: 0 };
  let steps = 0;
  let figures = "";
  let before = Number.POSITIVE_INFINITY;
  const write = (line: string): void => {
    stream.write(isBar ? `\r\x1b[K${line}\n` : `${line}\n`);
  };
  const show = (done: number, of: number, rest: string): void => {
    if (!isBar) return;
    const cells = Math.round((BAR * done) / of);
    const bar = "█".repeat(cells) + "░".repeat(BAR - cells);
    // A terminal that does not know its width says 0.
    const width = (stream.columns || 80) - 1;
    stream.write(`\r\x1b[K${`${bar} ${done}/${of}  ${rest}`.slice(0, width)}`);
  };
  /** Seconds a step took so far, evaluations included. */
  const pace = (step: number): number =>
    (performance.now() - begun.time) / 1000 / (step - begun.step);
  const left = (step: number): string => `${duration(pace(step) * (steps - step))} left`;
  return {
    stop() {
      if (isBar) stream.write("\r\x1b[K");
    },
    notice: write,
    references: (done, rows) => show(done, rows, "reference"),
    floor: (done, of) => show(done, of, "v*"),
    start(plan) {
      steps = plan.steps;
      begun = { time: performance.now(), step: plan.step };
      const { batchSize, gradientAccumulationSteps } = plan.settings;
      const rows = batchSize * gradientAccumulationSteps;
      const from = plan.step > 0 ? `, from step ${plan.step} on` : "";
      write(`${steps} steps of ${rows} rows, ${plan.stepsPerEpoch} an epoch${from}`);
    },
    step({ step }) {
      const each = pace(step);
      const rate = each > 1 ? `${each.toFixed(1)} s a step` : `${(1 / each).toFixed(1)} steps/s`;
      show(step, steps, `${rate}  ${left(step)}  ${figures}`);
    },
    log(row) {
      figures = figuresText(row, "");
      if (isBar) return;
      const { step = 0 } = row;
      write(`step ${step}/${steps}  ${figures}${step < steps ? `  ${left(step)}` : ""}`);
    },
    evaluation(row, best) {
      const { step = 0, eval_loss: loss = Number.NaN } = row;
      if (step === 0) before = loss;
      // The best of the steps may be worse than the model was.
      const mark = best && !(loss > before) ? "  (best)" : "";
      write(`step ${step}/${steps}  ${figuresText(row, "eval_")}${mark}`);
    },
    badStep({ step, loss, gradNorm, rows }) {
      write(
        `step ${step} is not applied: loss ${loss}, norm ${gradNorm}, rows ${rows.slice(0, 8).join(", ")}`,
      );
    },
  };
}

function figuresText(row: LogRow, prefix: string): string {
  return SHOWN.flatMap((name) => {
    const value = row[prefix + name];
    return value === undefined ? [] : [`${prefix}${name} ${Number(value.toPrecision(4))}`];
  }).join("  ");
}

/** A line that changes on a terminal. Elsewhere each is a line of its own. */
function lineOn(stream: NodeJS.WriteStream) {
  const isBar = hasColours(stream);
  const notice = (line: string): void => {
    stream.write(isBar ? `\r\x1b[K${line}\n` : `${line}\n`);
  };
  return {
    isBar,
    notice,
    show(line: string): void {
      if (!isBar) notice(line);
      else stream.write(`\r\x1b[K${line.slice(0, (stream.columns || 80) - 1)}`);
    },
    stop(): void {
      if (isBar) stream.write("\r\x1b[K");
    },
  };
}

/** Shows how the search for a prompt goes. */
export function promptProgress(stream: NodeJS.WriteStream) {
  const { notice, show, stop } = lineOn(stream);
  return {
    notice,
    stop,
    step({ stage, done, of, best, requests, tokens }: PromptProgress): void {
      const name = stage === "examples" ? "example" : "round";
      const score = best ? `  mean score ${best.reward.toFixed(2)}` : "";
      show(
        `${name} ${done}/${of}${score}  ${integer(requests)} requests, ${integer(tokens)} tokens`,
      );
    },
  };
}

/** Seconds between lines where there are no bars. */
const BETWEEN = 10;

/** Shows how sampling goes. @param first The first prompt that is sampled. */
export function sampleProgress(stream: NodeJS.WriteStream, first: number, of: number) {
  const { isBar, notice, show, stop } = lineOn(stream);
  const begun = performance.now();
  let shown = begun;
  return {
    notice,
    stop,
    step(done: number, meanScore: number): void {
      const now = performance.now();
      if (!isBar && done < of && now - shown < 1000 * BETWEEN) return;
      shown = now;
      const each = (now - begun) / 1000 / (done - first);
      const left = done < of ? `  ${duration(each * (of - done))} left` : "";
      show(`prompt ${done}/${of}  mean score ${Number(meanScore.toPrecision(4))}${left}`);
    },
  };
}
