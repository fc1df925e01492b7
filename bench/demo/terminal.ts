/**
 * What a run shows in the terminal: a progress bar per phase, or plain lines where the output is
 * not a terminal, and the final table.
 * @module
 */

import { Presets, SingleBar } from "cli-progress";
import { columns as aligned } from "../../src/cli/text.js";
import { columnsOf, duration, phaseTitle, textOf } from "./columns.js";
import type { Figures } from "./evaluate.js";
import { largest } from "./largest.js";
import type { Observer } from "./train.js";

/** Shows a run's progress on a stream. */
export interface Progress extends Observer {
  /** Takes the bar away, so that lines can be written. */
  stop(): void;
}

/** A bar on a terminal, elsewhere a line for every tenth of a phase. */
export function progressOn(stream: NodeJS.WriteStream, phases: readonly string[]): Progress {
  const width = largest(
    [REFERENCE, OPTIMUM, ...phases.map(phaseTitle)].map(({ length }) => length),
  );
  return stream.isTTY ? barOn(stream, width) : linesOn(stream, width);
}

const REFERENCE = "reference";
const OPTIMUM = "optimum";

function barOn(stream: NodeJS.WriteStream, width: number): Progress {
  let bar: SingleBar | null = null;
  let figures = "";
  const stop = (): void => {
    bar?.stop();
    bar = null;
  };
  const start = (title: string, done: number, total: number): void => {
    stop();
    figures = "";
    bar = new SingleBar(
      {
        stream,
        format: `${title.padEnd(width)} {bar} {value}/{total}  ETA {eta_formatted}  {status}`,
        barsize: 24,
        etaBuffer: 20,
        hideCursor: true,
        // The run stops by itself after an interrupt, with a checkpoint.
        gracefulExit: false,
      },
      Presets.shades_classic,
    );
    bar.start(total, done, { status: "" });
  };
  return {
    stop,
    reference(done, pairs) {
      if (done === 0) start(REFERENCE, done, pairs);
      else bar?.update(done);
    },
    optimum(done, steps) {
      if (done === 0) start(OPTIMUM, done, steps);
      else bar?.update(done);
    },
    phase: (phase, done, steps) => start(phaseTitle(phase), done, steps),
    step(_, step, { loss }) {
      bar?.update(step, { status: `loss ${loss!.toFixed(3)}${figures}` });
    },
    evaluation(_, __, measured) {
      figures = `  ${summary(measured)}`;
    },
  };
}

function linesOn(stream: NodeJS.WriteStream, width: number): Progress {
  let every = 1;
  let total = 0;
  const write = (title: string, text: string): void => {
    stream.write(`${title.padEnd(width)}  ${text}\n`);
  };
  const atTenth = (step: number): boolean => step % every === 0 || step === total;
  return {
    stop() {},
    reference(done, pairs) {
      if (done === pairs) write(REFERENCE, `log-probabilities of ${pairs} pairs`);
    },
    optimum(done, steps) {
      if (done === steps) write(OPTIMUM, `v*, by ${steps} steps on the chosen responses`);
    },
    phase(_, __, steps) {
      total = steps;
      every = Math.max(1, Math.ceil(steps / 10));
    },
    step(phase, step, { loss }) {
      if (atTenth(step)) {
        write(phaseTitle(phase), `step ${step}/${total}  loss ${loss!.toFixed(4)}`);
      }
    },
    evaluation(phase, step, figures) {
      if (atTenth(step)) write(phaseTitle(phase), `step ${step}/${total}  ${summary(figures)}`);
    },
  };
}

/** A few figures in little room. */
function summary(figures: Figures): string {
  return columnsOf([figures])
    .filter(({ key }) => SUMMARY.includes(key))
    .map((column) => `${column.title} ${textOf(column, figures)}`)
    .join("  ");
}

const SUMMARY: readonly (keyof Figures)[] = [
  "greedyAccuracy",
  "chosenPerToken",
  "rejectedPerToken",
  "preferenceAccuracy",
];

const NOTE =
  "log-probabilities in nats; left both: share of the SFT checkpoint's probability of the two responses\n" +
  "that is on neither now";

/** The figures of all phases as a table, and below it what is not plain. */
export function figuresTable(
  figures: ReadonlyMap<string, Figures>,
  seconds: Readonly<Record<string, number>>,
): string {
  const columns = columnsOf(figures.values());
  const rows = [
    ["held-out data", ...columns.map(({ title }) => title), "time"],
    ...Array.from(figures, ([phase, own]) => [
      phaseTitle(phase),
      ...columns.map((column) => textOf(column, own)),
      duration(seconds[phase] ?? 0),
    ]),
  ];
  const lines = aligned(rows).split("\n");
  const rule = "─".repeat(lines[0]!.length);
  return [lines[0], rule, ...lines.slice(1), rule, NOTE].join("\n");
}
