/**
 * `--live`: a page on a run that shows how it goes, on this machine alone.
 * @module
 */

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { reportMain, runReport } from "../training/report/report.js";
import { type RunRecord, readRun } from "../training/runFiles.js";

/** A page that is served. */
interface LivePage {
  readonly url: string;
  /** Shows what the run's directory has by now. */
  update(): Promise<void>;
  /** Shows what the run has come to, and ends. */
  close(): Promise<void>;
}

/** For the page's head: no icon, and a script that shows what is new of the run; what was opened stays open. */
const HEAD = `<link rel="icon" href="data:,">
<script>
const source = new EventSource("/events");
const show = ({ data }) => {
  const open = [...document.querySelectorAll("details")].map((details) => details.open);
  document.querySelector("main").outerHTML = JSON.parse(data);
  document.querySelectorAll("details").forEach((details, i) => { details.open = open[i] ?? false; });
};
source.onmessage = show;
source.addEventListener("end", (event) => {
  source.close();
  show(event);
});
source.onerror = () => {
  source.close();
  document.querySelector(".eyebrow").textContent = "The run's process is gone.";
};
</script>
`;

/** Only this machine's own names: a page elsewhere may have a name that leads here. */
const OWN = /^(localhost|127\.0\.0\.1)(:\d+)?$/;

/** Serves a page on the run in a directory, on the loopback interface. */
export async function livePage(directory: string): Promise<LivePage> {
  const listeners = new Set<ServerResponse>();
  const record = async (): Promise<RunRecord> => {
    try {
      return await readRun(directory, directory);
    } catch {
      return { name: directory, settings: {}, fit: {}, rows: [], answers: [], done: false };
    }
  };
  const running = async () => {
    const own = await record();
    // It is not over, and need not be gone on with either.
    return [[{ ...own, done: true }], stateOf(own)] as const;
  };
  const event = (main: string) => `data: ${JSON.stringify(main)}\n\n`;
  const server = createServer(async ({ url, headers }, response) => {
    if (!OWN.test(headers.host ?? "")) {
      response.writeHead(403).end();
    } else if (url === "/events") {
      response.on("close", () => listeners.delete(response));
      const head = { "content-type": "text/event-stream", "cache-control": "no-store" };
      response.writeHead(200, { ...head, connection: "close" });
      response.write(event(reportMain(...(await running()))));
      listeners.add(response);
    } else if (url === "/") {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
      response.end(runReport(...(await running()), HEAD));
    } else response.writeHead(404).end();
  });
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject).listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async update() {
      if (listeners.size === 0) return;
      const text = event(reportMain(...(await running())));
      // A later event has all that one has which a slow reader does not get.
      for (const listener of listeners) if (!listener.writableNeedDrain) listener.write(text);
    },
    async close() {
      const text = `event: end\n${event(reportMain([await record()]))}`;
      for (const listener of listeners) {
        listener.end(text);
        // A reader that has stopped does not hold the process.
        listener.socket?.unref();
      }
      server.close();
    },
  };
}

/** How far a run is. */
function stateOf({ rows, fit }: RunRecord): string {
  const { step } = rows.at(-1) ?? {};
  return step === undefined ? "The run begins" : `Running: step ${step} of ${fit.steps}`;
}
