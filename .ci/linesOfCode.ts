/**
 * Lines that hold code: comments and blank lines count nothing.
 * @module
 */

import ts from "typescript";

/** How many lines of a TypeScript text hold a token, or a part of one. */
export function linesOfCode(text: string): number {
  const file = ts.createSourceFile("counted.ts", text, ts.ScriptTarget.ES2022, true);
  const lineAt = (position: number): number => file.getLineAndCharacterOfPosition(position).line;
  const lines = new Set<number>();
  const visit = (node: ts.Node): void => {
    if (ts.isJSDoc(node)) return;
    const parts = node.getChildren(file);
    parts.forEach(visit);
    if (parts.length > 0 || node.getWidth(file) === 0) return;
    for (let line = lineAt(node.getStart(file)); line <= lineAt(node.end); line++) lines.add(line);
  };
  visit(file);
  return lines.size;
}
