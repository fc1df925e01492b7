/**
 * Node's modules, where there is Node. They are asked for when they are used, so that bundles for browsers
 * name none of them.
 * @module
 */

/** Modules of Node's that the library uses. */
interface NodeModules {
  "node:fs/promises": typeof import("node:fs/promises");
  "node:os": typeof import("node:os");
  "node:url": typeof import("node:url");
  "node:crypto": typeof import("node:crypto");
  "node:zlib": typeof import("node:zlib");
}

/** Whether there is Node. */
export function isNode(): boolean {
  return find("node:fs/promises") !== undefined;
}

/** A module of Node's, where there is Node. */
export function nodeModuleIfThere<K extends keyof NodeModules>(
  name: K,
): NodeModules[K] | undefined {
  return find(name);
}

/** A module of Node's. @throws where there is no Node; `purpose` says what it was needed for. */
export function nodeModule<K extends keyof NodeModules>(name: K, purpose: string): NodeModules[K] {
  const found = find(name);
  if (found) return found;
  throw new TypeError(`${purpose} needs Node`);
}

/** Node's `fs/promises`. @throws where there is no Node; `purpose` says what it was needed for. */
export function nodeFileSystem(purpose: string): typeof import("node:fs/promises") {
  const found = find("node:fs/promises");
  if (found) return found;
  throw new TypeError(
    `${purpose} needs Node's file system; elsewhere give bytes, a Blob or a FileSystemFileHandle`,
  );
}

function find<K extends keyof NodeModules>(name: K): NodeModules[K] | undefined {
  const { process } = globalThis as {
    process?: { getBuiltinModule?: (name: string) => unknown };
  };
  return process?.getBuiltinModule?.(name) as NodeModules[K] | undefined;
}
