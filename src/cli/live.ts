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
  close(): void;
}

/** Replaces the page's contents when the run has new ones; what was opened stays open. */
const SCRIPT = `<script>
new EventSource("/events").onmessage = ({ data }) => {
  const open = [...document.querySelectorAll("details")].map((details) => details.open);
  document.querySelector("main").outerHTML = JSON.parse(data);
  document.querySelectorAll("details").forEach((details, i) => { details.open = open[i] ?? false; });
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
      // It is not over, and need not be gone on with either.
      return { ...(await readRun(directory, directory)), done: true };
    } catch {
      return { name: directory, settings: {}, fit: {}, rows: [], answers: [], done: true };
    }
  };
  const event = async () => `data: ${JSON.stringify(reportMain([await record()]))}\n\n`;
  const server = createServer(async ({ url, headers }, response) => {
    if (!OWN.test(headers.host ?? "")) {
      response.writeHead(403).end();
    } else if (url === "/events") {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      response.write(await event());
      listeners.add(response);
      response.on("close", () => listeners.delete(response));
    } else if (url === "/") {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
      response.end(runReport([await record()], SCRIPT));
    } else response.writeHead(404).end();
  });
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject).listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async update() {
      if (listeners.size === 0) return;
      const text = await event();
      for (const listener of listeners) listener.write(text);
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
