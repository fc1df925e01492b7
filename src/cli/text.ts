/**
 * Numbers, tables and colours as people read them.
 * @module
 */

/** An integer with its thousands apart. */
export const integer = (value: number): string => value.toLocaleString("en-US");

/** Bytes in the largest unit of which there is one. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** power;
  return `${power === 0 ? value : value.toPrecision(3)} ${units[power]}`;
}

/** Names and values, a line each. */
export function table(rows: readonly (readonly [string, string])[]): string {
  const width = rows.reduce((most, [name]) => Math.max(most, name.length), 0);
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}

/** Whether a stream shows colours and bars: it is a terminal, and nobody asked for none. */
export const hasColours = ({ isTTY }: { readonly isTTY?: boolean }): boolean =>
  isTTY === true && !process.env.NO_COLOR;

/** Rows of cells, the first one to the left, the others to the right. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, c) =>
    rows.reduce((most, row) => Math.max(most, row[c]!.length), 0),
  );
  const cell = (text: string, c: number) =>
    c === 0 ? text.padEnd(widths[c]!) : text.padStart(widths[c]!);
  return rows.map((row) => row.map(cell).join("  ")).join("\n");
}

/** A time in its two largest units. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}
