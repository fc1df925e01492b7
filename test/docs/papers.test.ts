/**
 * The page of papers against the sources' comments.
 */

import { describe, expect, it } from "vitest";
import { COMMANDS } from "../../src/cli/commands.js";
import { optionsOf } from "../../src/cli/options.js";
import * as prefgrad from "../../src/index.js";
import { LOSSES } from "../../src/losses/names/lossNames.js";
import { nameWith } from "../../src/training/settings/setting.js";
import type { CommandName } from "../../src/training/settings/table.js";
import { guides, sources, textOf, unwrapped } from "./files.js";

const ARXIV = /arXiv:? *(\d{4}\.\d{4,5})/g;

/** What may follow "arXiv" on the next line of a comment is on the same one here. */
const idsIn = (text: string): string[] => [...text.matchAll(ARXIV)].map(([, id]) => id!);

/** Which files cite a paper. */
const citations = new Map<string, string[]>();
for (const path of sources()) {
  for (const id of new Set(idsIn(unwrapped(path)))) {
    citations.set(id, [...(citations.get(id) ?? []), path]);
  }
}

/** The rows of papers with an arXiv id, as cells. */
const rows = textOf("docs/papers.md")
  .split("\n")
  .filter((line) => line.startsWith("|") && line.includes("arxiv.org"))
  .map((line) => line.split(/ ?\| ?/).slice(1, -1));

const idOf = ([paper]: string[]): string => paper!.match(/arxiv\.org\/abs\/([\d.]+)/)![1]!;

/** The table that says where methods run, as cells. */
const [, whereTheyRun] = /## Where the methods run\n(.*?)\n## /s.exec(textOf("docs/papers.md"))!;
const runs = whereTheyRun!
  .split("\n")
  .filter((line) => /^\| \w/.test(line) && !line.startsWith("| method"))
  .map((line) => line.split(/ ?\| ?/).slice(1, -1));

describe("the methods", () => {
  it("of the reading list have a row each", () => {
    const wanted = ["SPO", "SGDPO", "AlphaDPO", "SimPO", "ASPO", "Diffusion-DPO", "DMPO"];
    const others = ["RSO", "SLiC-HF", "APO", "DRPO"];
    const names = runs.map(([name]) => name!.split(",")[0]);
    expect(names).toEqual(expect.arrayContaining([...wanted, ...others]));
    expect(new Set(names).size).toBe(names.length);
  });

  it("are started by commands, options, losses and tasks that there are", () => {
    for (const [name, started, program, page] of runs) {
      for (const [, command, option] of started!.matchAll(/`npx prefgrad (\w+)(?: --([\w-]+))?/g)) {
        expect(COMMANDS.map((own) => own.name)).toContain(command);
        const options = optionsOf(command as CommandName).map(([key]) => nameWith("-", key));
        if (option !== undefined) expect(options).toContain(option);
      }
      for (const [, loss] of started!.matchAll(/--loss (\w+)/g))
        expect(LOSSES).toHaveProperty(loss!);
      for (const [, task] of started!.matchAll(/--task (\w+)/g)) {
        expect(textOf("bench/demo/commandLine.ts")).toContain(`"${task}"`);
      }
      const functions = [...program!.matchAll(/`(\w+)`/g)].map(([, own]) => own!);
      expect([name, functions.length]).not.toEqual([name, 0]);
      for (const own of functions) if (own !== "spo") expect(prefgrad).toHaveProperty(own);
      const [, file, heading] = /\]\(([\w-]+\.md)(?:#([\w-]+))?\)/.exec(page!)!;
      const headings = textOf(`docs/${file}`).matchAll(/^#+ (.*)$/gm);
      const slugs = [...headings].map(([, text]) => text!.toLowerCase().replace(/[^\w]+/g, "-"));
      if (heading !== undefined) expect(slugs).toContain(heading);
    }
  });
});

describe("the page of papers", () => {
  it("has one row for each paper that the sources cite, and no other", () => {
    expect(citations.size).toBeGreaterThan(40);
    expect(rows.map(idOf).sort()).toEqual([...citations.keys()].sort());
  });

  it("links each paper under its id", () => {
    for (const row of rows) {
      expect(row[0]).toContain(`[${idOf(row)}](https://arxiv.org/abs/${idOf(row)})`);
    }
  });

  it("names the files that cite a paper", () => {
    for (const row of rows) {
      const files = [...row[2]!.matchAll(/`([^`]+)`/g)].map(([, path]) => path!);
      expect([idOf(row), ...files.sort()]).toEqual([idOf(row), ...citations.get(idOf(row))!]);
    }
  });

  it("names functions that the library exports", () => {
    for (const row of rows) {
      const names = [...row[1]!.matchAll(/`(\w+)`/g)].map(([, name]) => name!);
      expect(names).not.toEqual([]);
      for (const name of names) {
        // What is no function is an option or a result's field.
        if (!["fDivergence", "outflow"].includes(name)) expect(prefgrad).toHaveProperty(name);
      }
    }
  });

  it("marks with † exactly the papers whose text was not at hand, as the sources say", () => {
    const unseen = /text was not at hand|were not available/;
    for (const row of rows) {
      const said = citations.get(idOf(row))!.some((path) => {
        const comments = unwrapped(path).split("/**");
        return comments.some((text) => idsIn(text).includes(idOf(row)) && unseen.test(text));
      });
      expect([idOf(row), row[3]!.startsWith("†")]).toEqual([idOf(row), said]);
    }
  });

  it("links every paper that a guide cites", () => {
    for (const path of guides()) {
      for (const id of idsIn(textOf(path).replace(/\s+/g, " "))) {
        expect(textOf("docs/papers.md")).toContain(`https://arxiv.org/abs/${id})`);
      }
    }
  });
});
