/**
 * Fresh projects that have the packed tarball installed, as users do.
 * @module
 */

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));
const projects = fileURLToPath(new URL("projects/", import.meta.url));

/** Runs a command; throws where it fails. */
export function execute(directory: string, command: string, ...args: string[]): void {
  const { status, error } = spawnSync(command, args, {
    cwd: directory,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`in ${directory}: ${command} ${args.join(" ")}`);
}

/** Packs the built package into `directory` and returns the tarball's path. */
export function pack(directory: string): string {
  if (!existsSync(join(root, "dist", "index.js"))) {
    throw new Error("dist/index.js is missing: run `npm run build` first");
  }
  execute(root, "npm", "pack", "--ignore-scripts", "--pack-destination", directory);
  const tarball = readdirSync(directory).find((name) => name.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("npm pack wrote no tarball");
  return join(directory, tarball);
}

/** A copy of `projects/<name>` with the tarball installed. */
export function freshProject(directory: string, name: string, tarball: string): string {
  const project = join(directory, name);
  cpSync(join(projects, name), project, { recursive: true });
  execute(project, "npm", "install", "--no-audit", "--no-fund", tarball);
  return project;
}
