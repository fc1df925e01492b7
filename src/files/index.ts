/**
 * Trees of tensors ↔ files.
 * @module
 */

export type { FileTarget, HandleTarget } from "./atomic.js";
export type { DirectoryHandle, DirectoryTarget } from "./outputDirectory.js";
export type { DirectoryTreeHandle, DirectoryTreeTarget } from "./outputTree.js";
export { decodeSafetensors, encodeSafetensors, type Safetensors } from "./safetensors.js";
export type { BlobSource, ByteSource, FileSource, HandleSource } from "./source.js";
export { decodeTree, encodeTree, loadTree, type SaveTreeOptions, saveTree } from "./tree.js";
