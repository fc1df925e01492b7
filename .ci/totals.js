// Prints "N passed, N failed[, N skipped]" from a vitest JSON report. A test file that fails as a
// whole (it does not load, a hook throws) counts as one failure.
import { readFileSync } from "node:fs";

const path = process.argv[2];
if (path === undefined) throw new Error("usage: totals.js REPORT");
const report = JSON.parse(readFileSync(path, "utf8"));

const brokenFiles = report.testResults.filter(
  (file) => file.status === "failed" && file.assertionResults.every((t) => t.status !== "failed"),
);
const failed = report.numFailedTests + brokenFiles.length;
const skipped = report.numPendingTests + report.numTodoTests;
console.log(
  `${report.numPassedTests} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`,
);
