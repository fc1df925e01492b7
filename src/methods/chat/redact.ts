/**
 * Texts of others without secrets and without what a terminal would obey.
 * @module
 */

const REDACTED = "[redacted]";
/** Shorter ones are no secrets: servers without keys are given `none` or `EMPTY`. */
const SHORTEST = 6;
/** What looks like a key, whoever's it is. */
const KEYS = /\b(?:Bearer\s+|(?:sk|pk|rk|gsk|xai|hf|key)[-_])[\w.~+/-]{12,}=*/gi;
/** Characters that move a cursor, colour a terminal or end a line. */
const CONTROLS = /[\p{Cc}\u2028\u2029]+/gu;
/** Most characters of a message. */
const LONGEST = 300;

/** Makes texts without some secrets, as they are and as addresses have them. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const all = secrets.filter((secret) => secret.length >= SHORTEST);
  const forms = [...new Set(all.flatMap((secret) => [secret, encodeURIComponent(secret)]))];
  // A secret that is a part of another one comes after it.
  forms.sort((a, b) => b.length - a.length);
  return (text) => forms.reduce((left, form) => left.replaceAll(form, REDACTED), text);
}

/** A message of somebody else's as one line, without what looks like a key, not too long. */
export function messageLine(text: string): string {
  const line = text.replace(KEYS, REDACTED).replace(CONTROLS, " ").trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line;
}

/** A text without control characters but tabs and line ends, and without halves of characters. */
export function plainText(text: string): string {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/(?![\t\n])\p{Cc}/gu, "")
    .replace(/\p{Surrogate}/gu, "\ufffd");
}
