/**
 * The sources and the guides as texts.
 */

import { readdirSync, readFileSync } from "node:fs";

/** A file's text. */
export const textOf = (path: string): string => readFileSync(path, "utf8");

const filesIn = (folder: string, extension: string, recursive: boolean): string[] =>
  readdirSync(folder, { recursive, encoding: "utf8" })
    .map((path) => `${folder}/${path.replaceAll("\\", "/")}`)
    .filter((path) => path.endsWith(extension))
    .sort();

/** Paths of the sources, from the repository's root. */
export const sources = (): string[] => filesIn("src", ".ts", true);

/** Paths of the guides. */
export const guides = (): string[] => filesIn("docs", ".md", false);

/** A source's text in which the lines of a comment are one line. */
export const unwrapped = (path: string): string => textOf(path).replace(/\n\s*(\*|\/\/)\s?/g, " ");
