/**
 * Files at an address, read in ranges where the server gives them. In a page they are kept in its cache.
 * @module
 */

import { type ByteSource, openSource } from "./source.js";

/** The page's cache of files. */
const CACHE = "prefgrad";

/** Opens the file at an address; null where the server has none (404). */
export async function openAddress(url: string): Promise<ByteSource | null> {
  if (typeof caches === "undefined") return inRanges(url);
  const cache = await caches.open(CACHE);
  const kept = await cache.match(url);
  if (kept) return openSource(await kept.blob());
  const response = await fetch(url);
  if (response.status === 404) return null;
  if (!response.ok) throw refused(url, response);
  try {
    await cache.put(url, response);
  } catch {
    // The page may keep no more.
    return inRanges(url);
  }
  return openSource(await (await cache.match(url))!.blob());
}

async function inRanges(url: string): Promise<ByteSource | null> {
  const response = await fetch(url, { headers: { Range: "bytes=0-0" } });
  if (response.status === 404) return null;
  // An empty file has no first byte.
  if (response.status === 416) return openSource(new Uint8Array(0));
  if (!response.ok) throw refused(url, response);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (response.status !== 206) return openSource(bytes);
  const size = Number(/\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1]);
  if (!Number.isSafeInteger(size)) throw new TypeError(`${url}: the server does not say its size`);
  return { size, read: (from, to) => readRange(url, from, to), close: async () => {} };
}

async function readRange(url: string, from: number, to: number): Promise<Uint8Array> {
  if (from === to) return new Uint8Array(0);
  const response = await fetch(url, { headers: { Range: `bytes=${from}-${to - 1}` } });
  if (response.status !== 206) throw refused(url, response);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length === to - from) return bytes;
  throw new RangeError(`${url} gave ${bytes.length} of the bytes ${from} to ${to}`);
}

function refused(url: string, { status }: Response): Error {
  return new Error(`${url} cannot be read: the server answers with status ${status}`);
}
