/**
 * Types of the platform that programs without its declarations compile with, too.
 * @module
 */

/** The signal of an `AbortController`. */
export type PlatformSignal = typeof globalThis extends { AbortSignal: { prototype: infer Signal } }
  ? Signal
  : { readonly aborted: boolean };

/** The platform's `fetch`. */
export type PlatformFetch = typeof globalThis extends { fetch: infer Fetch }
  ? Fetch
  : (address: string, request?: object) => Promise<object>;
