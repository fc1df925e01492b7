/**
 * Curves drawn by uPlot, in the colours of the page's scheme and in the width of their place.
 * @module
 */

import uPlot from "uplot";
import type { Chart } from "../charts.js";

/** A chart on the page. */
export interface Plot {
  /** Draws the chart with the values it has now. */
  show(chart: Chart): void;
}

const HEIGHT = 230;

const FONT = "12px system-ui, sans-serif";

/** Distances of the ticks of the steps, which are whole. */
const STEP_INCREMENTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** Tells when the colours change. */
const scheme = matchMedia("(prefers-color-scheme: dark)");

/** Adds a chart to an element. */
export function addPlot(parent: HTMLElement): Plot {
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
    plot = shown && drawn(shown, place);
    plot?.over.addEventListener("mouseleave", () => queueMicrotask(settleLegend));
    // uPlot fills the legend of a new plot in a microtask.
    queueMicrotask(settleLegend);
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

function drawn(chart: Chart, place: HTMLElement): uPlot {
  const styles = getComputedStyle(document.documentElement);
  const color = (name: string): string => styles.getPropertyValue(`--${name}`).trim();
  const axis: uPlot.Axis = {
    stroke: color("dim"),
    grid: { stroke: color("grid"), width: 1 },
    ticks: { stroke: color("line"), width: 1, size: 5 },
    font: FONT,
    labelFont: FONT,
    labelSize: 18,
    labelGap: 2,
  };
  return new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      padding: [8, 12, 0, 0],
      scales: { x: { time: false }, y: chart.unit === "share" ? { range: shareRange } : {} },
      cursor: { drag: { x: false, y: false } },
      legend: { markers: { fill: (_, i) => color(chart.curves[i - 1]!.run) } },
      axes: [
        { ...axis, label: "step", size: 28, incrs: STEP_INCREMENTS },
        {
          ...axis,
          label: chart.unit,
          size: 46,
          values: (_, ticks) => ticks.map((tick) => written(tick)),
        },
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

/** The tenths around the values; shares are between 0 and 1. */
function shareRange(_: uPlot, least: number, most: number): [number, number] {
  const low = Math.max(0, Math.floor(10 * least - 0.2) / 10);
  return [low, Math.max(low + 0.1, Math.min(1, Math.ceil(10 * most + 0.2) / 10))];
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
