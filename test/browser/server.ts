/**
 * A server of static files, with headers of one's choice.
 * @module
 */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".map": "application/json",
};

/** A server that answers. */
export interface Site {
  readonly origin: string;
  close(): void;
}

/** Serves a directory at any free port. */
export async function serve(
  directory: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Site> {
  const server = createServer(async ({ url = "/" }, response) => {
    const path = normalize(new URL(url, "http://localhost").pathname);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (path === "/favicon.ico") return response.writeHead(204).end();
    try {
      const file = path.endsWith("/") ? `${path}index.html` : path;
      const content = await readFile(join(directory, file));
      const type = TYPES[extname(file)] ?? "application/octet-stream";
      return response.writeHead(200, { "Content-Type": type }).end(content);
    } catch {
      return response.writeHead(404).end();
    }
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    origin: `http://localhost:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
