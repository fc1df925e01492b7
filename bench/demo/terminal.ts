/**
 * What a run shows in the terminal: a progress bar per phase, or plain lines where the output is
 * not a terminal, and the final table.
 * @module
 */

import { Presets, SingleBar } from "cli-progress";
import { columnsOf, duration, phaseTitle, textOf } from "./columns.js";
import type { Figures } from "./evaluate.js";
import type { Observer } from "./train.js";

/** Shows a run's progress on a stream. */
export interface Progress extends Observer {
  /** Takes the bar away, so that lines can be written. */
  stop(): void;
}

/** A bar on a terminal, elsewhere a line for every tenth of a phase. */
export function progressOn(stream: NodeJS.WriteStream, phases: readonly string[]): Progress {
  const width = Math.max(...phases.map((phase) => phaseTitle(phase).length));
  const nameOf = (phase: string): string => phaseTitle(phase).padEnd(width);
  return stream.isTTY ? barOn(stream, nameOf) : linesOn(stream, nameOf);
}

function barOn(stream: NodeJS.WriteStream, nameOf: (phase: string) => string): Progress {
  let bar: SingleBar | null = null;
  let status = "";
  const stop = (): void => {
    bar?.stop();
    bar = null;
  };
  return {
    stop,
    phase(phase, done, steps) {
      stop();
      status = "";
      bar = new SingleBar(
        {
          stream,
          format: `${nameOf(phase)} {bar} {value}/{total}  ETA {eta_formatted}  {status}`,
          barsize: 24,
          etaBuffer: 20,
          hideCursor: true,
          // The run stops by itself after an interrupt, with a checkpoint.
          gracefulExit: false,
        },
        Presets.shades_classic,
      );
      bar.start(steps, done, { status });
    },
    step(_, step, { loss }) {
      bar?.update(step, { status: `loss ${loss!.toFixed(3)}${status}` });
    },
    evaluation(_, step, figures) {
      status = `  ${summary(figures)}`;
      bar?.update(step);
    },
  };
}

function linesOn(stream: NodeJS.WriteStream, nameOf: (phase: string) => string): Progress {
  let every = 1;
  let total = 0;
  return {
    stop() {},
    phase(_, __, steps) {
      total = steps;
      every = Math.max(1, Math.ceil(steps / 10));
    },
    step(phase, step, { loss }) {
      if (step % every === 0 || step === total) {
        stream.write(`${nameOf(phase)}  step ${step}/${total}  loss ${loss!.toFixed(4)}\n`);
      }
    },
    evaluation(phase, step, figures) {
      if (step % every === 0 || step === total) {
        stream.write(`${nameOf(phase)}  step ${step}/${total}  ${summary(figures)}\n`);
      }
    },
  };
}

/** A few figures in little room. */
function summary(figures: Figures): string {
  return columnsOf([figures])
    .filter(({ key }) => key !== "leftBoth" && key !== "margin")
    .map((column) => `${column.title} ${textOf(column, figures)}`)
    .join("  ");
}

/** The figures of all phases as a table, and below it what they mean. */
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
  const widths = rows[0]!.map((_, c) => Math.max(...rows.map((row) => row[c]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!)))
      .join("  "),
  );
  const rule = "─".repeat(lines[0]!.length);
  return [lines[0], rule, ...lines.slice(1)].join("\n");
}
