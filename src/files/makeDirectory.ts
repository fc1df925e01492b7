/**
 * Directories that are made with those above them.
 * @module
 */

import { nodeFileSystem } from "./node.js";

/**
 * Makes a directory, and those above it that are not there. Node's own `recursive` never ends where the system makes
 * nothing in a directory that is there, as in Linux's `/proc`.
 *
 * @throws where a file is in its place, and where the system refuses.
 */
export async function makeDirectory(path: string): Promise<void> {
  const { mkdir, stat } = nodeFileSystem("writing to a directory");
  const isThere = (of: string) =>
    stat(of).then(
      (own) => own.isDirectory(),
      () => false,
    );
  if (await isThere(path)) return;
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as { code?: string };
    // Another process may have made it meanwhile.
    if (code === "EEXIST" && (await isThere(path))) return;
    if (code !== "ENOENT") throw error;
    const above = path.replace(/[/\\]+$/, "").replace(/[^/\\]*$/, "");
    if (above === "" || above === path || (await isThere(above))) {
      throw new Error(`${path}: no directory can be made there`, { cause: error });
    }
    await makeDirectory(above);
    await makeDirectory(path);
  }
}
