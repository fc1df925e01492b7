/**
 * The page of the command line's options, made of their table.
 */

import { COMMANDS } from "../../src/cli/commands.js";
import { defaultOf, OPTIONS } from "../../src/cli/options.js";
import { nameWith, type Setting } from "../../src/training/settings/setting.js";
import { IGNORED, NEUTRAL } from "../../src/training/settings/trlKeys.js";

/** `docs/options.md`. */
export function optionsPage(): string {
  const all: readonly (readonly [string, Setting])[] = Object.entries(OPTIONS);
  const groups = [...new Set(all.map(([, { group }]) => group))].flatMap((group) => {
    const rows = all.flatMap(([name, setting]) =>
      setting.group === group ? row(name, setting) : [],
    );
    return rows.length === 0 ? [] : [`## ${group}\n${HEAD}\n${rows.join("\n")}`];
  });
  return `${TOP}\n${groups.join("\n\n")}\n\n${trl()}\n`;
}

const TOP = `---
title: Options
category: Guides
---

# Options

All options of [the command line](cli.md). A flag's name with underscores is its key in a file that \`--config\` names: \`--max-length 512\`
is \`max_length: 512\`. The names in the last column, which are TRL's, are taken as well. A list is given as \`--stop a --stop b\` or, where
values are separated by dots in the table, as \`a,b\` or \`a b\`; a flag without a value has a \`--no-…\` beside it. \`--print-config\` shows what
holds in the end.
`;

const HEAD = "| option | default | meaning | commands | TRL |\n|---|---|---|---|---|";

const escaped = (text: string): string => text.replaceAll("|", "\\|");
const code = (text: string): string => `\`${escaped(text)}\``;

/** A row, where a command has the option. */
function row(name: string, setting: Setting): string[] {
  const of = COMMANDS.map((command) => command.name).filter((own) => setting.of.includes(own));
  if (of.length === 0) return [];
  const { kind, help, trl = [], required } = setting;
  const needed = of.filter((own) => required?.includes(own));
  const who = needed.length < of.length ? ` for ${needed.join(", ")}` : "";
  const standard = defaultOf(setting) ?? (needed.length > 0 ? `required${who}` : "");
  const cells = [
    code(`--${nameWith("-", name)} ${kind.form}`.trim()),
    escaped(standard),
    escaped(help),
    of.join(", "),
    trl.map(code).join(", "),
  ];
  return [`| ${cells.join(" | ")} |`];
}

/** TRL's other keys. */
function trl(): string {
  const rows = Object.entries(NEUTRAL).map(
    ([key, { values, instead }]) =>
      `| ${code(key)} | ${values.map((value) => code(JSON.stringify(value))).join(", ")} | ${escaped(instead)} |`,
  );
  return `## TRL's other keys
A file of TRL's works with \`--config\`. These keys have no meaning here; they are named once, and ignored:
${IGNORED.map(code).join(", ")}.

These would change numbers. They are ignored at the values in the second column, or null, and an error at any other:

| key | ignored at | otherwise |
|---|---|---|
${rows.join("\n")}`;
}
