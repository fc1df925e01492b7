/**
 * The run that the browser keeps, in the Origin Private File System: of this site, and seen by nobody else.
 * @module
 */

/** The directories of the page: the run, what other runs can use again, and the arithmetic model. */
export async function runDirectories() {
  if (!navigator.storage?.getDirectory) {
    throw new TypeError(
      "This browser keeps no files for pages. It needs a secure page: https or localhost.",
    );
  }
  const root = await navigator.storage.getDirectory();
  const own = await root.getDirectoryHandle("prefgrad", { create: true });
  const [output, cache, arithmetic] = await Promise.all(
    ["run", "cache", "arithmetic"].map((name) => own.getDirectoryHandle(name, { create: true })),
  );
  return { output: output!, cache: cache!, arithmetic: arithmetic! };
}

/** The files of an adapter, as PEFT has them. */
export const ADAPTER = ["adapter_model.safetensors", "adapter_config.json"] as const;

/** What a run leaves beside its checkpoints. */
const FILES = [
  ...ADAPTER,
  "report.html",
  "README.md",
  "answers.json",
  "metrics.jsonl",
  "settings.json",
  "trainer_state.json",
];

/** The files of a model directory of one file of weights. */
const MODEL = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];

/** The files of the run that is kept, by name. */
export async function keptFiles(): Promise<ReadonlyMap<string, File>> {
  return filesIn((await runDirectories()).output, FILES);
}

/** The files of the arithmetic model, once it was trained here. */
export async function arithmeticFiles(): Promise<readonly File[]> {
  return [...(await filesIn((await runDirectories()).arithmetic, MODEL)).values()];
}

async function filesIn(directory: FileSystemDirectoryHandle, names: readonly string[]) {
  const found = await Promise.all(
    names.map(async (name) => {
      try {
        return await (await directory.getFileHandle(name)).getFile();
      } catch (error) {
        if ((error as Error).name === "NotFoundError") return null;
        throw error;
      }
    }),
  );
  return new Map(found.flatMap((file) => (file ? [[file.name, file]] : [])));
}
