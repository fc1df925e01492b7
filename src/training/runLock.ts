/**
 * A directory has one run at a time.
 * @module
 */

import { nodeFileSystem, nodeModule } from "../files/node.js";
import type { DirectoryTreeHandle, DirectoryTreeTarget } from "../files/outputTree.js";

/** The right to write a run into a directory. */
export interface RunLock {
  /** @throws if another run has it. */
  check(): Promise<void>;
  /** Takes it. @throws if another run has it. */
  take(): Promise<void>;
  /** Gives it back, if it was taken. */
  release(): Promise<void>;
}

/**
 * The lock of a directory. That of a path is a file, `run.lock`, that names a process of this machine; of one that is no more, or
 * another one under the same number, it is taken over. That of a handle is the browser's, which ends with its page or
 * worker; a directory outside the origin's own file system has none.
 */
export const runLock = (
  where: string,
  directory: DirectoryTreeTarget,
  caller = "openRunDirectory",
): RunLock => {
  const inUse = (by: string): Error =>
    new TypeError(
      `${caller}: a run in ${where} goes on in ${by}; wait for its end, stop it, or choose another directory`,
    );
  return typeof directory === "string" ? fileLock(directory, inUse) : webLock(directory, inUse);
};

/** The error for a directory that somebody else has. */
type InUse = (by: string) => Error;

/** What tells a process apart. */
interface Holder {
  readonly host: string;
  readonly pid: number;
  /** When it began, where the system tells; null where it does not. */
  readonly start: string | null;
}

function fileLock(directory: string, inUse: InUse): RunLock {
  const fs = nodeFileSystem("writing to a directory");
  const host = nodeModule("node:os", "writing to a directory").hostname();
  const path = `${directory.replace(/[/\\]+$/, "")}/run.lock`;
  /** When a process began: of `/proc/PID/stat`, what follows the name has it as the 20th. */
  const startOf = async (pid: number): Promise<string | null> => {
    const text = await fs.readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  };
  const check = async (): Promise<void> => {
    const holder = holderIn(await fs.readFile(path, "utf8").catch(() => ""));
    if (!holder || holder.host !== host || !isAlive(holder.pid)) return;
    if ((await startOf(holder.pid)) !== holder.start) return;
    throw inUse(holder.pid === process.pid ? "this process" : `process ${holder.pid}`);
  };
  let isTaken = false;
  return {
    check,
    async take() {
      const { pid } = process;
      const own: Holder = { host, pid, start: await startOf(pid) };
      const write = () => fs.writeFile(path, JSON.stringify(own), { flag: "wx" });
      try {
        await write();
      } catch (error) {
        if ((error as { code?: string }).code !== "EEXIST") throw error;
        await check();
        await fs.rm(path, { force: true });
        await write();
      }
      isTaken = true;
    },
    async release() {
      if (isTaken) await fs.rm(path, { force: true });
      isTaken = false;
    },
  };
}

function holderIn(text: string): Holder | null {
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return null;
  }
}

/** Whether there is a process of that number. One that may not be asked is there. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
}

/** What of the browser a lock needs. */
interface Browser {
  readonly locks?: {
    query(): Promise<{ readonly held?: readonly { readonly name?: string }[] }>;
    request(
      name: string,
      options: { readonly ifAvailable: true },
      work: (lock: unknown) => Promise<void>,
    ): Promise<void>;
  };
  readonly storage?: {
    getDirectory(): Promise<{
      resolve?(directory: DirectoryTreeHandle): Promise<readonly string[] | null>;
    }>;
  };
}

function webLock(directory: DirectoryTreeHandle, inUse: InUse): RunLock {
  const { locks, storage } = ((globalThis as { navigator?: unknown }).navigator ?? {}) as Browser;
  const nameOf = async (): Promise<string | null> => {
    const root = locks && (await storage?.getDirectory());
    const path = await root?.resolve?.(directory);
    return path ? `prefgrad run ${JSON.stringify(path)}` : null;
  };
  let give: (() => void) | undefined;
  return {
    async check() {
      const name = await nameOf();
      if (name === null) return;
      const { held = [] } = await locks!.query();
      if (held.some((own) => own.name === name)) throw inUse("this page or another");
    },
    async take() {
      const name = await nameOf();
      if (name === null) return;
      await new Promise<void>((resolve, reject) => {
        const hold = (lock: unknown) => {
          if (!lock) reject(inUse("this page or another"));
          else resolve();
          return lock ? new Promise<void>((done) => (give = done)) : Promise.resolve();
        };
        locks!.request(name, { ifAvailable: true }, hold).catch(reject);
      });
    },
    async release() {
      give?.();
      give = undefined;
    },
  };
}
