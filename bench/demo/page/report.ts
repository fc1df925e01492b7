/**
 * The script of `report.html`: draws the charts that the page holds as JSON.
 * @module
 */

import "uplot/dist/uPlot.min.css";
import "./charts.css";
import "./report.css";
import type { Chart } from "../charts.js";
import { addPlot } from "./plots.js";

const charts = JSON.parse(document.getElementById("data")!.textContent!) as Chart[];
const place = document.getElementById("charts")!;
// All have their place before the first is drawn: a chart is as wide as the grid leaves it.
const plots = charts.map(() => addPlot(place));
for (const [i, chart] of charts.entries()) plots[i]!.show(chart);
