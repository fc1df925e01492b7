/**
 * Directories that are made, and those that the system makes nothing in.
 */

import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeDirectory } from "../../src/files/makeDirectory.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefgrad-directory-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("makeDirectory", () => {
  it("makes a directory and those above it, once or more, by several at a time", async () => {
    const deep = join(folder, "a", "b", "c");
    await Promise.all([makeDirectory(deep), makeDirectory(`${deep}/`), makeDirectory(`${deep}/d`)]);
    await makeDirectory(deep);
    expect(existsSync(join(deep, "d"))).toBe(true);
    await makeDirectory(relative(process.cwd(), join(folder, "e", "f")));
    expect(existsSync(join(folder, "e", "f"))).toBe(true);
  });

  it("refuses what is a file, or below one", async () => {
    await writeFile(join(folder, "file"), "");
    await expect(makeDirectory(join(folder, "file"))).rejects.toThrow(/EEXIST/);
    await expect(makeDirectory(join(folder, "file", "a"))).rejects.toThrow(/ENOTDIR/);
  });

  // Node's own never ends there.
  it.runIf(existsSync("/proc/self"))("says where no directory can be made", async () => {
    for (const path of ["/proc/foo", "/proc/foo/bar/", "/proc/self/foo"]) {
      await expect(makeDirectory(path)).rejects.toThrow(
        /^\/proc.*: no directory can be made there$/,
      );
    }
  });
});
