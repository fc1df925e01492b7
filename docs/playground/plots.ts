/**
 * Curves drawn by uPlot, in the colours of the page's scheme.
 * @module
 */

import uPlot from "uplot";
import type { Chart } from "../../bench/demo/charts.js";

/** A chart on the page. */
export interface Plot {
  /** Draws the chart with the values it has now. */
  show(chart: Chart): void;
}

/** How a chart is drawn. */
export interface PlotOptions {
  /** The values are shares: the axis goes from 0 to 1. */
  readonly shares?: boolean;
}

const HEIGHT = 210;

/** Distances of the ticks of the steps, which are whole. */
const STEP_INCREMENTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** Tells when the colours change. */
const scheme = matchMedia("(prefers-color-scheme: dark)");

/** Adds a chart to an element. */
export function addPlot(parent: HTMLElement, options: PlotOptions = {}): Plot {
  const figure = parent.appendChild(document.createElement("figure"));
  const caption = figure.appendChild(document.createElement("figcaption"));
  const heading = caption.appendChild(document.createElement("h3"));
  const note = caption.appendChild(document.createElement("p"));
  note.className = "note";
  const place = figure.appendChild(document.createElement("div"));
  let shown: Chart | null = null;
  let plot: uPlot | null = null;

  /** Values under the pointer, else the last of each curve. */
  const settleLegend = (): void => {
    if (!plot || plot.cursor.idx != null) return;
    const { steps, curves } = shown!;
    plot.setLegend({ idxs: [steps.length - 1, ...curves.map(({ values }) => lastOf(values))] });
  };
  const redraw = (): void => {
    plot?.destroy();
    plot = shown && drawn(shown, place, options);
    plot?.over.addEventListener("mouseleave", () => queueMicrotask(settleLegend));
    settleLegend();
  };
  scheme.addEventListener("change", redraw);
  new ResizeObserver(() => {
    if (plot) plot.setSize({ width: place.clientWidth, height: HEIGHT });
  }).observe(place);

  return {
    show(chart) {
      const same = shown && plot && identity(shown) === identity(chart);
      shown = chart;
      heading.textContent = chart.title;
      note.textContent = chart.note;
      if (!same) return redraw();
      plot!.setData(dataOf(chart));
      settleLegend();
    },
  };
}

/** Charts that differ in this need another plot. */
function identity({ title, curves }: Chart): string {
  return JSON.stringify([title, curves.map(({ name }) => name)]);
}

function dataOf({ steps, curves }: Chart): uPlot.AlignedData {
  return [[...steps], ...curves.map(({ values }) => [...values])];
}

function drawn(chart: Chart, place: HTMLElement, { shares }: PlotOptions): uPlot {
  const styles = getComputedStyle(document.documentElement);
  const color = (name: string): string => styles.getPropertyValue(`--${name}`).trim();
  const axis = {
    stroke: color("dim"),
    grid: { stroke: color("grid"), width: 1 },
    ticks: { stroke: color("line"), width: 1, size: 5 },
    font: "12px system-ui, sans-serif",
  };
  return new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      padding: [8, 12, 0, 0],
      scales: { x: { time: false }, y: shares ? { range: [0, 1] } : {} },
      cursor: { drag: { x: false, y: false } },
      legend: { markers: { fill: (_, i) => color(chart.curves[i - 1]!.run) } },
      axes: [
        { ...axis, size: 30, incrs: STEP_INCREMENTS },
        { ...axis, size: 52, values: (_, ticks) => ticks.map((tick) => written(tick)) },
      ],
      series: [
        { label: "step" },
        ...chart.curves.map(({ name, run, dashed }) => ({
          label: name,
          stroke: color(run),
          width: dashed ? 1.5 : 2,
          ...(dashed && { dash: [6, 5] }),
          points: { show: false },
          spanGaps: true,
          value: (_: uPlot, value: number | null) => written(value),
        })),
      ],
    },
    dataOf(chart),
    place,
  );
}

/** Where the last value is. */
function lastOf(values: readonly (number | null)[]): number | null {
  const found = values.flatMap((value, i) => (value === null ? [] : [i]));
  return found.at(-1) ?? null;
}

/** A number with a minus sign for a hyphen; a dash for none. */
function written(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return String(Number(value.toPrecision(3))).replace("-", "−");
}
