/**
 * The floors of the library, kept by its import statements: a room imports what is below it, rooms of
 * one floor stand alone, and the compiler and the devices are behind one door.
 */

import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const SOURCES = fileURLToPath(new URL("../src/", import.meta.url));

/** From the ground. A room is a folder of `src/`, or a file of that name. */
const FLOORS: readonly (readonly string[])[] = [
  ["kernels"],
  ["checks"],
  ["tensor", "ops"],
  ["autograd"],
  ["optim", "nn"],
  ["logprobs"],
  ["losses"],
  ["bilevel", "dynamics", "interop"],
  ["files"],
  ["models"],
  ["data"],
  ["training"],
  ["methods", "cluster"],
  ["cli"],
];

/** Rooms of one floor that import each other: a method of a tensor is an operation. */
const TOGETHER = ["tensor", "ops"];

/** The rooms beside the floors, and what each imports. No floor imports them. */
const ENGINE: Readonly<Record<string, readonly string[]>> = {
  compiler: ["kernels", "checks", "tensor", "devices"],
  devices: ["kernels"],
  "devices/interpreter": ["kernels", "devices"],
  "devices/wasm": ["kernels", "devices"],
  "devices/gpu": ["kernels", "devices"],
};

/** Files that load a room of the engine, when it is first needed, and the rooms whose types they name. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  "tensor/runtime.ts": ["compiler", "devices"],
  "compiler/runtime.ts": ["devices/interpreter", "devices/wasm", "devices/gpu"],
};

/** Packages, and the only rooms that import them. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  seedrandom: ["tensor"],
  "@huggingface/tokenizers": ["models"],
  "@huggingface/jinja": ["models"],
  hyparquet: ["data"],
  fzstd: ["data"],
  "gpu.js": ["devices/gpu"],
  // Types: the modules themselves are asked of the process where there is one.
  "node:crypto": ["files"],
  "node:fs": ["files"],
  "node:os": ["files"],
  "node:url": ["files"],
  "node:zlib": ["files"],
};

/** What only the command line uses, by the text of an expression. */
const TERMINAL = /^(console|process\.(argv|exit|exitCode|stdin|stdout|stderr|on|once))$/;

/** The one thing that is said to nobody in particular: a loop that compiles every step is warned of. */
const WARNING = "compiler/growth.ts: console.warn";

/** An import of a file: `load` where it happens at run time, `type` where nothing is left of it. */
interface Import {
  readonly from: string;
  /** A path from `src/`, or a package. */
  readonly to: string;
  readonly kind: "value" | "type" | "load";
}

/** The imports and re-exports of a file, whose path is from `src/`. */
function importsOf(from: string, text: string): readonly Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, kind: Import["kind"]): void => {
    if (!specifier || !ts.isStringLiteral(specifier)) return;
    const to = specifier.text.startsWith(".")
      ? posix.join(posix.dirname(from), specifier.text).replace(/\.js$/, ".ts")
      : specifier.text;
    found.push({ from, to, kind });
  };
  const visit = (node: ts.Node): void => {
    ts.forEachChild(node, visit);
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, node.importClause?.isTypeOnly ? "type" : "value");
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, node.isTypeOnly ? "type" : "value");
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, "type");
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], "load");
    }
  };
  visit(ts.createSourceFile(from, text, ts.ScriptTarget.ES2022));
  return found;
}

/** Where a file stands: its room, or "front" for what only collects exports. */
function roomOf(path: string): string {
  const [first, second, third] = path.split("/") as [string, string?, string?];
  const name = first.replace(/\.ts$/, "");
  if (second === undefined) return FLOORS.flat().includes(name) ? name : "front";
  return first === "devices" && third !== undefined ? `devices/${second}` : first;
}

const floorOf = (room: string): number => FLOORS.findIndex((rooms) => rooms.includes(room));

/** Why an import of another file of the library is wrong, or null. */
function wrong({ from, to, kind }: Import): string | null {
  const [room, other] = [roomOf(from), roomOf(to)];
  if (room === other) return null;
  const says = (reason: string): string => `${from} imports ${to}: ${reason}`;
  if (other === "front") return says("a front is for users of the library");
  if (room === "front") return other in ENGINE ? says("a front shows no engine") : null;
  for (const place of [room, other]) {
    if (floorOf(place) < 0 && !(place in ENGINE)) return says(`${place} stands on no floor`);
  }
  if (DOORS[from]?.includes(other)) {
    return kind === "value" ? says("a door loads what is behind it with import()") : null;
  }
  if (room in ENGINE) return ENGINE[room]!.includes(other) ? null : says(`${room} stands below`);
  if (other in ENGINE) return says("the engine has one door");
  if (floorOf(other) > floorOf(room)) return says(`${other} is above ${room}`);
  if (floorOf(other) < floorOf(room)) return null;
  return TOGETHER.includes(room) && TOGETHER.includes(other)
    ? null
    : says("rooms of one floor stand alone");
}

/** Why an import of a package is wrong, or null. */
function wrongPackage({ from, to }: Import): string | null {
  const name = to
    .split("/")
    .slice(0, to.startsWith("@") ? 2 : 1)
    .join("/");
  if (PACKAGES[name]?.includes(roomOf(from)) || roomOf(from) === "cli") return null;
  return `${from} imports ${to}: no package of ${roomOf(from)}`;
}

/** Files that import each other in circles, each circle sorted. */
function circles(imports: readonly Import[]): string[][] {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of imports) next.set(from, (next.get(from) ?? new Set()).add(to));
  const reachable = (start: string): Set<string> => {
    const seen = new Set<string>();
    const open = [start];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (const to of next.get(at) ?? []) {
        if (!seen.has(to)) open.push(to);
        seen.add(to);
      }
    }
    return seen;
  };
  const reached = new Map([...next.keys()].map((file) => [file, reachable(file)]));
  const found = new Map<string, string[]>();
  for (const [file, files] of reached) {
    const circle = [...files].filter((other) => reached.get(other)?.has(file)).sort();
    if (circle.length > 0) found.set(circle.join(), circle);
  }
  return [...found.values()];
}

/** Uses of the terminal, as `FILE: EXPRESSION`. */
function terminals(path: string, text: string): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    ts.forEachChild(node, visit);
    if (!ts.isIdentifier(node) && !ts.isPropertyAccessExpression(node)) return;
    const expression = node.getText().replace(/^globalThis\./, "");
    if (!TERMINAL.test(expression) || `${path}: ${node.parent.getText()}` === WARNING) return;
    found.push(`${path}: ${expression}`);
  };
  visit(file);
  return found;
}

const files = new Map(
  readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => name.replaceAll("\\", "/"))
    .map((name) => [name, readFileSync(SOURCES + name, "utf8")]),
);
const imports = [...files].flatMap(([name, text]) => importsOf(name, text));
const own = imports.filter(({ to }) => files.has(to));

describe("every import", () => {
  it("goes down, to the engine through its door", () => {
    expect(own.length).toBeGreaterThan(500);
    expect(own.map(wrong).filter((reason) => reason !== null)).toEqual([]);
  });

  it("of a package is in a room that may have it", () => {
    const packages = imports.filter(({ to }) => !files.has(to));
    expect(packages.map(wrongPackage).filter((reason) => reason !== null)).toEqual([]);
  });

  it("leads in no circle, but for tensors and operations", () => {
    const values = own.filter(({ kind }) => kind === "value");
    const declared = (circle: readonly string[]): boolean =>
      circle.every((file) => TOGETHER.includes(roomOf(file)));
    expect(circles(values).filter((circle) => !declared(circle))).toEqual([]);
  });
});

it("only the command line knows the terminal", () => {
  const below = [...files].filter(([name]) => roomOf(name) !== "cli");
  expect(below.flatMap(([name, text]) => terminals(name, text))).toEqual([]);
});

describe("the rules tell", () => {
  const reasons = (from: string, text: string): (string | null)[] =>
    importsOf(from, text).map(wrong);

  it("what is above, beside, behind the door, and nowhere", () => {
    const text = [
      'import { sum } from "../ops/index.js";',
      'import type { Loss } from "../losses/types.js";',
      'export { adamw } from "../optim/adamw.js";',
      'const { compile } = await import("../compiler/compile.js");',
      'type Heap = import("../devices/wasm/heap.js").Heap;',
      'import { thing } from "../attic/thing.js";',
      'import { tensor } from "../index.js";',
    ].join("\n");
    expect(reasons("nn/linear.ts", text)).toEqual([
      null,
      expect.stringMatching(/losses is above nn/),
      expect.stringMatching(/rooms of one floor stand alone/),
      expect.stringMatching(/the engine has one door/),
      expect.stringMatching(/the engine has one door/),
      expect.stringMatching(/attic stands on no floor/),
      expect.stringMatching(/a front is for users/),
    ]);
  });

  it("a door that loads from one that is always open", () => {
    const from = "tensor/runtime.ts";
    expect(reasons(from, 'await import("../compiler/runtime.js");')).toEqual([null]);
    expect(reasons(from, 'import type { A } from "../devices/device.js";')).toEqual([null]);
    expect(reasons(from, 'import { a } from "../compiler/runtime.js";')).toEqual([
      expect.stringMatching(/a door loads/),
    ]);
  });

  it("a device's own room from another's, and from operations", () => {
    const text = 'import "../wasm/heap.js"; import "../../ops/index.js"; import "../device.js";';
    expect(reasons("devices/gpu/buffer.ts", text)).toEqual([
      expect.stringMatching(/gpu stands below/),
      expect.stringMatching(/gpu stands below/),
      null,
    ]);
  });

  it("circles, packages and terminals", () => {
    const chain = importsOf("nn/a.ts", 'import "./b.js"; import "./d.js";')
      .concat(importsOf("nn/b.ts", 'import "./c.js";'))
      .concat(importsOf("nn/c.ts", 'import "./a.js";'));
    expect(circles(chain)).toEqual([["nn/a.ts", "nn/b.ts", "nn/c.ts"]]);
    const [seedrandom] = importsOf("nn/a.ts", 'import alea from "seedrandom/lib/alea.js";');
    expect(wrongPackage(seedrandom!)).toMatch(/no package of nn/);
    const text = "console.log(a.process.exit); globalThis.process.exit(process.pid);";
    expect(terminals("nn/a.ts", text)).toEqual(["nn/a.ts: console", "nn/a.ts: process.exit"]);
  });
});
