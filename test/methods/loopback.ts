/**
 * A server on this machine that answers as an OpenAI-compatible one does, and time that does not pass.
 */

import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ChatTurn, Clock } from "../../src/methods/index.js";

/** What a server was asked. */
export interface Asked {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: { readonly messages: readonly ChatTurn[] } & Readonly<Record<string, unknown>>;
}

/** Answers a request. */
export type Handler = (response: ServerResponse, asked: Asked) => void;

/** A chat completion. */
export const says =
  (content: unknown, rest: object = {}): Handler =>
  (response) => {
    const usage = { prompt_tokens: 30, completion_tokens: 12 };
    const choices = [{ index: 0, message: { role: "assistant", content, ...rest } }];
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ object: "chat.completion", choices, usage }));
  };

/** A status with an error as OpenAI words it. */
export const fails =
  (status: number, message: string, headers: Readonly<Record<string, string>> = {}): Handler =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify({ error: { message, type: "some_error" } }));
  };

/** A server whose requests are answered by `handle`. */
export async function served(handle: Handler) {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const piece of request.setEncoding("utf8")) text += piece;
    const own = { path: request.url!, headers: request.headers, body: JSON.parse(text) };
    asked.push(own);
    handle(response, own);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    asked,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A server that answers each request by the next handler, and all others by the last one. */
export const servedInTurn = (...handlers: readonly Handler[]) => {
  let next = 0;
  return served((response, asked) => {
    handlers[Math.min(next++, handlers.length - 1)]!(response, asked);
  });
};

/** Time that passes at once, but for the one of `timeout` seconds, which ends with its signal or when `late` does. */
export function fakeClock(timeout = 120, late?: Promise<unknown>) {
  const slept: number[] = [];
  const clock: Clock = {
    async sleep(seconds, signal) {
      if (seconds !== timeout) {
        slept.push(seconds);
        return;
      }
      const over = new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve());
      });
      await (late ? Promise.race([over, late]) : over);
    },
  };
  return { clock, slept };
}
