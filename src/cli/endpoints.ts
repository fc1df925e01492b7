/**
 * Models behind endpoints, as options name them. Keys come from the environment only.
 * @module
 */

import type { ChatModel } from "../methods/chat/chatModel.js";
import { endpointModel } from "../methods/chat/endpointModel.js";

/** Where keys are read. They are no options: those stand in files, and in lists of processes. */
export const KEY = "PREFGRAD_API_KEY";
export const JUDGE_KEY = "PREFGRAD_JUDGE_API_KEY";

/** A model at an address; with the key that is for it, if there is one. */
export function atEndpoint(url: string, model: string, key: string | undefined): ChatModel {
  return endpointModel({ url, model, ...(key && { apiKey: key.trim() }) });
}

/** Parts of an address; empty ones of what is none, which is refused elsewhere. */
export function placeOf(address: string): { readonly origin: string; readonly pathname: string } {
  return URL.canParse(address) ? new URL(address) : { origin: "", pathname: "" };
}

/** An address without its query, which may hold a key. */
export function withoutQuery(address: string): string {
  const { origin, pathname } = placeOf(address);
  return origin + pathname;
}
