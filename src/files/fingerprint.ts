/**
 * What tells contents apart: SHA-256 over pieces, so that they need not be in memory together.
 * @module
 */

/**
 * The fingerprint of contents that come in pieces, as 64 hexadecimal digits: h ← SHA-256(h, piece) from zeros on. The
 * same contents in other pieces have another one.
 */
export async function fingerprint(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<string> {
  const { crypto } = globalThis;
  if (!crypto?.subtle) {
    throw new TypeError(
      "a fingerprint needs the page to come from a secure address (https or localhost)",
    );
  }
  let hash = new Uint8Array(32);
  for await (const piece of pieces) {
    const joined = new Uint8Array(hash.length + piece.length);
    joined.set(hash);
    joined.set(piece, hash.length);
    hash = new Uint8Array(await crypto.subtle.digest("SHA-256", joined));
  }
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
