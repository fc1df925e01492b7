/**
 * The run that the browser keeps, in the Origin Private File System: of this site, and seen by nobody else.
 * @module
 */

/** The directories of the page: the run, and what other runs can use again. */
export async function runDirectories() {
  if (!navigator.storage?.getDirectory) {
    throw new TypeError(
      "This browser keeps no files for pages. It needs a secure page: https or localhost.",
    );
  }
  const root = await navigator.storage.getDirectory();
  const own = await root.getDirectoryHandle("prefgrad", { create: true });
  const [output, cache] = await Promise.all(
    ["run", "cache"].map((name) => own.getDirectoryHandle(name, { create: true })),
  );
  return { output: output!, cache: cache! };
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

/** The files of the run that is kept, by name. */
export async function keptFiles(): Promise<ReadonlyMap<string, File>> {
  const { output } = await runDirectories();
  const found = await Promise.all(
    FILES.map(async (name) => {
      try {
        return await (await output.getFileHandle(name)).getFile();
      } catch (error) {
        if ((error as Error).name === "NotFoundError") return null;
        throw error;
      }
    }),
  );
  return new Map(found.flatMap((file) => (file ? [[file.name, file]] : [])));
}
