import { expect, test } from "vitest";
import { linesOfCode } from "../.ci/linesOfCode.js";

test("lines of code hold a token; comments and blank lines count nothing", () => {
  const text = [
    "/** A comment, /* also inside. */",
    "export const a = 1; // And one at an end.",
    "",
    "interface B {",
    "  /** Of a field. */",
    "  readonly c: string;",
    "}",
    "/* const commented = out; */",
    "const d = `a template",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: The text has a template.
    "// of which ${a} all",
    "  three lines count`;",
    "const e = /\\/\\*/; const f = '// no comment';",
  ];
  expect(linesOfCode(text.join("\n"))).toBe(8);
  expect(linesOfCode("// Nothing.\n")).toBe(0);
});
