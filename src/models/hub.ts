/**
 * Models and datasets of the Hugging Face hub, through the cache that Python's `huggingface_hub` has on the same disk:
 * `models--org--name/` (or `datasets--…`) with the files by their hash in `blobs/`, links to them in `snapshots/COMMIT/`, and the commit of
 * a branch in `refs/`. A file is fetched when it is first asked for.
 *
 * Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
 * @module
 */

import { makeDirectory } from "../files/makeDirectory.js";
import { nodeFileSystem, nodeModule } from "../files/node.js";
import { inDirectory, type ModelFiles } from "./directory.js";

/** The environment, as `huggingface_hub` reads it. */
const variables = (): Readonly<Record<string, string | undefined>> => globalThis.process?.env ?? {};

/** The hub's address: `HF_ENDPOINT`, or https://huggingface.co. */
export function hubEndpoint(): string {
  return (variables().HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "");
}

/** Whether `HF_HUB_OFFLINE` says that nothing is to be fetched. */
function isOffline(): boolean {
  return /^(1|on|yes|true)$/i.test(variables().HF_HUB_OFFLINE ?? "");
}

/** The folder of the cache. */
function cacheFolder(): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = variables();
  const { homedir } = nodeModule("node:os", "the cache of the hub");
  const home = HF_HOME || `${XDG_CACHE_HOME || `${homedir()}/.cache`}/huggingface`;
  return (HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE || `${home}/hub`).replace(/^~(?=\/)/, homedir());
}

/** Answers that another try may turn. */
const BUSY = [408, 429, 500, 502, 503, 504];
const TRIES = 5;
/** Most seconds that a server's `Retry-After` is followed. */
const LONGEST_WAIT = 60;

const seconds = (count: number) => new Promise((resolve) => setTimeout(resolve, 1000 * count));

/** The hub answered with an error. */
class HubError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** What the hub has. */
export type HubKind = "models" | "datasets";

/** The page of a repository on the hub. */
const pageOf = (id: string, kind: HubKind): string =>
  `${hubEndpoint()}/${kind === "models" ? "" : `${kind}/`}${id}`;

/** Where the files of a repository on the hub are, but for revision and name. */
export function hubAddress(id: string, kind: HubKind = "models"): string {
  return `${pageOf(id, kind)}/resolve`;
}

/** A path, to stand in an address. */
export const encodePath = (path: string): string =>
  path.split("/").map(encodeURIComponent).join("/");

/** A model or dataset on the hub. */
class HubRepository {
  private readonly endpoint = hubEndpoint();

  constructor(
    private readonly id: string,
    private readonly revision: string,
    private readonly kind: HubKind,
  ) {}

  /** Its files at the revision: those in the cache, and where that is allowed those on the hub. */
  async files(): Promise<ModelFiles> {
    const folder = `${cacheFolder()}/${this.kind}--${this.id.replace("/", "--")}`;
    const known = await this.cachedCommit(folder);
    if (isOffline()) return this.fromCache(folder, known, "HF_HUB_OFFLINE is set");
    let answer: Response;
    try {
      answer = await this.get(
        `${this.endpoint}/api/${this.kind}/${this.id}/revision/${encodeURIComponent(this.revision)}`,
      );
    } catch (error) {
      if (error instanceof HubError && !BUSY.includes(error.status)) throw error;
      return this.fromCache(folder, known, (error as Error).message);
    }
    const { sha, siblings } = (await answer.json()) as { sha?: unknown; siblings?: unknown };
    if (typeof sha !== "string" || !/^[0-9a-f]{40}$/.test(sha) || !Array.isArray(siblings)) {
      throw new TypeError(`${this.endpoint} does not answer as the hub does for ${this.id}`);
    }
    const named = siblings.map((sibling) => String(sibling?.rfilename));
    const names = new Set(named.filter((name) => !name.split("/").includes("..")));
    const { writeFile } = nodeFileSystem("the cache of the hub");
    const snapshot = `${folder}/snapshots/${sha}`;
    await makeDirectory(snapshot);
    await makeDirectory(`${folder}/blobs`);
    if (this.revision !== sha) {
      const ref = `${folder}/refs/${this.revision}`;
      await makeDirectory(ref.slice(0, ref.lastIndexOf("/")));
      await writeFile(ref, sha);
    }
    const cached = inDirectory(snapshot);
    return {
      where: `${this.id} (${this.revision})`,
      has: async (name) => names.has(name),
      list: async () => [...names],
      open: async (name) => {
        const file = await cached.open(name);
        if (file || !names.has(name)) return file;
        await this.fetchFile(folder, sha, name);
        return cached.open(name);
      },
    };
  }

  /** The commit that the cache has for the revision. */
  private async cachedCommit(folder: string): Promise<string | null> {
    if (/^[0-9a-f]{40}$/.test(this.revision)) return this.revision;
    const { readFile } = nodeFileSystem("the cache of the hub");
    const text = await readFile(`${folder}/refs/${this.revision}`, "utf8").catch(() => "");
    return /^[0-9a-f]{40}$/.test(text.trim()) ? text.trim() : null;
  }

  private async fromCache(folder: string, commit: string | null, why: string): Promise<ModelFiles> {
    const { stat } = nodeFileSystem("the cache of the hub");
    const snapshot = `${folder}/snapshots/${commit}`;
    if (commit === null || !(await stat(snapshot).catch(() => null))) {
      throw new Error(
        `${this.id} (${this.revision}) is neither a directory here nor in ${folder}, and cannot be fetched: ${why}`,
      );
    }
    return { ...inDirectory(snapshot), where: `${this.id} (${this.revision}, in the cache)` };
  }

  /** Puts a file into the cache: the blob first, then the link to it. */
  private async fetchFile(folder: string, commit: string, name: string): Promise<void> {
    const { rename, rm, stat, symlink, copyFile } = nodeFileSystem("the cache of the hub");
    const url = `${hubAddress(this.id, this.kind)}/${commit}/${encodePath(name)}`;
    const head = await this.get(url, { method: "HEAD" }, true);
    const { headers } = head;
    const etag = (headers.get("x-linked-etag") ?? headers.get("etag") ?? "").replace(
      /^(W\/)?"|"$/g,
      "",
    );
    const size = Number(
      headers.get("x-linked-size") ?? headers.get("content-length") ?? Number.NaN,
    );
    if (!/^[\w-]+$/.test(etag) || !Number.isSafeInteger(size)) {
      throw new TypeError(`${this.endpoint} gives no hash and size of ${name} of ${this.id}`);
    }
    const blob = `${folder}/blobs/${etag}`;
    const status = await stat(blob).catch(() => null);
    if (status?.size !== size) {
      await this.fetchBlob(url, `${blob}.incomplete`, size, etag, name);
      await rename(`${blob}.incomplete`, blob);
    }
    const link = `${folder}/snapshots/${commit}/${name}`;
    await makeDirectory(link.slice(0, link.lastIndexOf("/")));
    await rm(link, { force: true });
    try {
      await symlink(`${"../".repeat(name.split("/").length)}../blobs/${etag}`, link);
    } catch {
      // Systems that allow no links.
      await copyFile(blob, link);
    }
  }

  /** Fetches what is missing of a file, again where the transfer breaks, and checks the whole. */
  private async fetchBlob(
    url: string,
    path: string,
    size: number,
    etag: string,
    name: string,
  ): Promise<void> {
    const { open, rm, stat } = nodeFileSystem("the cache of the hub");
    const held = async () => (await stat(path).catch(() => null))?.size ?? 0;
    let failure = "";
    for (let tries = 0; tries < TRIES && (await held()) !== size; tries++) {
      let from = await held();
      if (from > size) {
        await rm(path);
        from = 0;
      }
      const response = await this.get(
        url,
        from > 0 ? { headers: { Range: `bytes=${from}-` } } : {},
      );
      const file = await open(path, response.status === 206 ? "a" : "w");
      try {
        // More than the file has is not stored.
        let room = size - (response.status === 206 ? from : 0);
        for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
          room -= piece.length;
          if (room < 0) break;
          await file.writeFile(piece);
        }
        failure = room < 0 ? "the hub sends more" : "the transfer ended early";
        if (room < 0) break;
      } catch (error) {
        failure = (error as Error).message;
      } finally {
        await file.close();
      }
    }
    const found = await held();
    if (found !== size) {
      throw new Error(
        `${name} of ${this.id} has ${size} bytes, of which ${found} arrived (${failure}); another call goes on from there`,
      );
    }
    if (await hasHash(path, size, etag)) return;
    await rm(path);
    throw new Error(`${name} of ${this.id} arrived damaged: its hash is not ${etag}; try again`);
  }

  /** Asks the hub. The token goes to the hub's own host, never along to another one. */
  private async get(url: string, init: RequestInit = {}, hubOnly = false): Promise<Response> {
    const { host } = new URL(this.endpoint);
    let at = new URL(url);
    let waited = 0;
    for (let hops = 0; hops < 10; hops++) {
      const headers = new Headers(init.headers);
      const { HF_TOKEN } = variables();
      // Lengths and hashes are those of the plain file.
      headers.set("Accept-Encoding", "identity");
      if (HF_TOKEN && at.host === host) headers.set("Authorization", `Bearer ${HF_TOKEN.trim()}`);
      const response = await fetch(at, { ...init, headers, redirect: "manual" });
      const { status } = response;
      if (status >= 300 && status < 400 && status !== 304) {
        const next = new URL(response.headers.get("location") ?? "", at);
        if (hubOnly && next.host !== host) return response;
        at = next;
        continue;
      }
      if (response.ok) return response;
      await response.body?.cancel();
      const wait = Number(response.headers.get("retry-after") ?? 2 ** waited);
      if (BUSY.includes(status) && waited < TRIES - 1 && wait <= LONGEST_WAIT) {
        waited++;
        hops = -1;
        at = new URL(url);
        await seconds(wait);
        continue;
      }
      throw new HubError(this.explained(status, response.headers), status);
    }
    throw new Error(`${this.endpoint} redirects without end for ${this.id}`);
  }

  private explained(status: number, headers: Headers): string {
    const what = `${this.id} (${this.revision}) on ${this.endpoint}`;
    const gated = headers.get("x-error-code") === "GatedRepo";
    if (gated || status === 403) {
      return `${what} is gated: accept its terms at ${pageOf(this.id, this.kind)}, then set HF_TOKEN to a token of that account`;
    }
    if (status === 401) {
      return `${what} does not exist, or is private: set HF_TOKEN to a token that may read it`;
    }
    if (status === 404) return `${what} does not exist, and there is no directory of that name`;
    if (status === 429) {
      const wait = headers.get("retry-after");
      return `${what} cannot be fetched: too many requests${wait ? `; try again in ${wait} seconds` : ""}`;
    }
    return `${what} cannot be fetched: the hub answers with status ${status}`;
  }
}

/** Whether a file has the hash: SHA-256, or Git's SHA-1 of a blob. Other tags say nothing of contents. */
async function hasHash(path: string, size: number, etag: string): Promise<boolean> {
  const algorithm = { 64: "sha256", 40: "sha1" }[etag.length];
  if (!algorithm || !/^[0-9a-f]+$/.test(etag)) return true;
  const hash = nodeModule("node:crypto", "the hub").createHash(algorithm);
  if (algorithm === "sha1") hash.update(`blob ${size}\0`);
  const file = await nodeFileSystem("the cache of the hub").open(path, "r");
  for await (const piece of file.createReadStream()) hash.update(piece);
  return hash.digest("hex") === etag;
}

/** The files of a model or a dataset on the hub. */
export function hubFiles(
  id: string,
  revision = "main",
  kind: HubKind = "models",
): Promise<ModelFiles> {
  if (!/^[\w-][\w./-]*$/.test(revision) || revision.includes("..")) {
    throw new TypeError(
      `a revision is a branch, a tag or a commit, got ${JSON.stringify(revision)}`,
    );
  }
  return new HubRepository(id, revision, kind).files();
}
