/**
 * The look of reports, by day and by night.
 * @module
 */

export const STYLE = `
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1f2430; --soft: #596073; --line: #dfe3e9; --grid: #eceef2;
  --run-0: #0072b2; --run-1: #d55e00; --run-2: #008a63; --run-3: #b0568c; --run-4: #a06a00; --run-5: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --page: #14171c; --card: #1c2027; --ink: #e4e7ec; --soft: #a0a8b8; --line: #333945; --grid: #282d36;
  --run-0: #56b4e9; --run-1: #f28e3c; --run-2: #3cc39a; --run-3: #dd8fbf; --run-4: #e6b84c; --run-5: #9aa3b2; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 36px 20px 64px; }
.eyebrow { margin: 0 0 4px; color: var(--soft); font-size: 13px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 36px 0 4px; }
figure h2 { font-size: 15px; margin: 0; }
.verdict { max-width: 78ch; margin: 0 0 12px; font-size: 17px; }
.lead { margin: 0 0 14px; color: var(--soft); font-size: 13.5px; }
.card, figure { padding: 14px 16px; background: var(--card); border: 1px solid var(--line); border-radius: 6px; min-width: 0; }
.scroll { overflow-x: auto; }
figure { margin: 0; padding-bottom: 10px; }
figcaption p { margin: 0 0 6px; color: var(--soft); font-size: 13px; min-height: 1.5em; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(340px, 100%), 1fr)); gap: 16px; }
.chart text { font-size: 15px; }
.answers { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(340px, 100%), 1fr)); gap: 16px; }
.dot { display: inline-block; width: 0.65em; height: 0.65em; margin-right: 0.45em; border-radius: 50%; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 8px; text-align: right; }
th:first-child { text-align: left; padding-left: 0; font-weight: 600; }
thead th { color: var(--soft); font-weight: 600; }
tbody tr { border-top: 1px solid var(--line); }
.text { font-family: ui-monospace, monospace; font-size: 13px; white-space: pre-wrap; overflow-wrap: anywhere; }
.prompt { margin: 0 0 8px; padding-bottom: 8px; border-bottom: 1px solid var(--line); max-height: 9em; overflow: auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 14px; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
details { margin-top: 24px; }
summary { cursor: pointer; color: var(--soft); overflow-wrap: anywhere; }
pre { overflow-x: auto; font-size: 12.5px; }
@media (max-width: 500px) { main { padding: 24px 14px 48px; } th, td { padding: 6px 4px; font-size: 13.5px; } }
@media print { body { background: #fff; } figure, .card { break-inside: avoid; } }
`;
