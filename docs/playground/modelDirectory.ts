/**
 * The files of a model directory that was picked or dropped.
 * @module
 */

/** Files that a model needs: one of each line. */
const NEEDED = [
  ["config.json"],
  ["tokenizer.json"],
  ["model.safetensors", "model.safetensors.index.json"],
];

/** What files lack to be a model, in words; null if nothing. */
export function lack(files: readonly File[]): string | null {
  const names = new Set(files.map(({ name }) => name));
  const missing = NEEDED.filter((any) => !any.some((name) => names.has(name))).map(
    ([first]) => first!,
  );
  if (missing.length === 0) return null;
  const list = new Intl.ListFormat("en").format(missing);
  return (
    `This is no model directory that can be read: ${list} ${missing.length > 1 ? "are" : "is"} missing. ` +
    "In Python, save_pretrained(directory) of the model and of its tokenizer writes what is needed."
  );
}

/** Files that were picked. Those in directories below may have the same names, and are left out. */
export function pickedFiles(input: HTMLInputElement): File[] {
  return Array.from(input.files ?? []).filter(
    ({ webkitRelativePath: path }) => path.split("/").length <= 2,
  );
}

/** Files that were dropped, and those of directories that were, without those in directories below. */
export async function droppedFiles({ items }: DataTransfer): Promise<File[]> {
  // All are asked for at once: after the event there are none.
  const found = Array.from(items, (item) => {
    const entry = item.webkitGetAsEntry();
    return entry?.isDirectory ? filesIn(entry as FileSystemDirectoryEntry) : item.getAsFile();
  });
  return (await Promise.all(found)).flat().filter((file) => file !== null);
}

async function filesIn(directory: FileSystemDirectoryEntry): Promise<File[]> {
  const reader = directory.createReader();
  const files: File[] = [];
  // Each call gives some of them, the last none.
  for (;;) {
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (entries.length === 0) return files;
    for (const entry of entries) {
      if (!entry.isFile) continue;
      files.push(
        await new Promise<File>((resolve, reject) =>
          (entry as FileSystemFileEntry).file(resolve, reject),
        ),
      );
    }
  }
}
