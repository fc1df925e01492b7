/**
 * Data of any size reaches no call by spreading: every argument takes room on the stack, and some
 * 120,000 of them overflow it (`Math.max(...values)`, `list.push(...items)`). A call may spread only
 *
 * - a rest parameter, which holds what somebody wrote out,
 * - a tuple, whose type fixes its length,
 * - into one of the {@link FEW}, each with the reason why its arguments are few.
 */

import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const FOLDERS = ["src", "bench/demo", "docs/playground"];

/** Calls that may spread a list, by the text of what is called. */
const FEW: Readonly<Record<string, string>> = {
  slice: "a range for each axis of a tensor",
  f: "the inputs of a function under test",
  checkOptions: "the names of a function's options",
  mixLosses: "a term for each loss that somebody named",
  updateTree: "no moment or one: the velocity",
  "sum.add": "a value for each vector of an unrolled loop",
  body: "a value for each operand of a function of numbers",
  run: "the buffers and numbers of one kernel",
  "run.build": "the buffers and numbers of one kernel",
};

/** `FILE:LINE: call` of all calls that spread what they may not. */
function spreads(program: ts.Program, files: readonly string[]): string[] {
  const checker = program.getTypeChecker();
  const isTuple = (type: ts.Type): boolean =>
    checker.isTupleType(type) && !(type as ts.TupleTypeReference).target.hasRestElement;
  const isRestParameter = (operand: ts.Expression): boolean => {
    const declaration = checker.getSymbolAtLocation(operand)?.valueDeclaration;
    return !!declaration && ts.isParameter(declaration) && !!declaration.dotDotDotToken;
  };
  return files.flatMap((name) => {
    const file = program.getSourceFile(name)!;
    const found: string[] = [];
    const visit = (node: ts.Node): void => {
      ts.forEachChild(node, visit);
      if (!(ts.isCallExpression(node) || ts.isNewExpression(node))) return;
      const operands = [...(node.arguments ?? [])].filter((argument) =>
        ts.isSpreadElement(argument),
      );
      const isFine = ({ expression }: ts.SpreadElement): boolean =>
        isRestParameter(expression) || isTuple(checker.getTypeAtLocation(expression));
      if (node.expression.getText() in FEW || operands.every(isFine)) return;
      const { line } = file.getLineAndCharacterOfPosition(node.getStart());
      found.push(`${name.replace(ROOT, "")}:${line + 1}: ${node.getText().split("\n")[0]}`);
    };
    visit(file);
    return found;
  });
}

const EXAMPLE = `${ROOT}src/example.ts`;
const LINES = [
  "declare const list: number[], pair: readonly [number, number];",
  "const good = (...given: number[]) => Math.max(...given, ...pair);",
  "const bad = Math.max(...list);",
  "list.push(...list.map((x) => x + 1));",
  "new Set([...list]);",
  "new Array(...list);",
];

/** The files, and an example beside them. */
function programOf(files: readonly string[]): ts.Program {
  const { config } = ts.readConfigFile(`${ROOT}tsconfig.json`, ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (file, version, ...rest) =>
    file === EXAMPLE
      ? ts.createSourceFile(file, LINES.join("\n"), version, true)
      : getSourceFile(file, version, ...rest);
  return ts.createProgram([...files, EXAMPLE], options, host);
}

const files = FOLDERS.flatMap((folder) =>
  readdirSync(`${ROOT}${folder}`, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${ROOT}${folder}/${name}`),
);
const program = programOf(files);

test("no call spreads data of any size into its arguments", () => {
  expect(files.length).toBeGreaterThan(100);
  expect(spreads(program, files)).toEqual([]);
});

test("the rule tells what may be spread from what may not", () => {
  expect(spreads(program, [EXAMPLE])).toEqual([
    "src/example.ts:3: Math.max(...list)",
    "src/example.ts:4: list.push(...list.map((x) => x + 1))",
    "src/example.ts:6: new Array(...list)",
  ]);
});
