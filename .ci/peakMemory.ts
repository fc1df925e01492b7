/**
 * How much memory a program takes, as the measures of loading and of reading ask it.
 * @module
 */

import { spawnSync } from "node:child_process";

/** The most memory that a process of this program had, in bytes. */
export function peak(program: string): number {
  const report = "console.log(process.resourceUsage().maxRSS)";
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module", "-e", `${program}\n${report}`],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(stderr);
  return 1024 * Number(stdout);
}

/** Bytes as people read them. */
export const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
