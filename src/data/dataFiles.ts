/**
 * The files of a dataset that is a directory or on the hub: those of a split, as Python's `datasets` finds them by
 * their names.
 *
 * Names: https://huggingface.co/docs/hub/datasets-file-names-and-splits
 * @module
 */

import { openAddress } from "../files/address.js";
import { isNode, nodeFileSystem } from "../files/node.js";
import { type ByteSource, openSource } from "../files/source.js";
import { inDirectory, type ModelFiles } from "../models/directory.js";
import { isHubId } from "../models/modelFiles.js";
import { RowProblem } from "./problems.js";

/** A file of a dataset. */
export interface DataFile {
  /** Its path, address or name, for errors. */
  readonly name: string;
  /** Opens it for reading. */
  open(): Promise<ByteSource>;
}

/** Which files are read. */
export interface FileChoice {
  /** The split that is read of several files. */
  readonly split: string | undefined;
  /** A branch, a tag or a commit on the hub. */
  readonly revision: string | undefined;
}

/** The files of a path, an address or an id. */
export async function dataFiles(
  caller: string,
  text: string,
  { split, revision }: FileChoice,
): Promise<readonly DataFile[]> {
  const single = (open: DataFile["open"]): readonly DataFile[] => {
    if (split === undefined) return [{ name: text, open }];
    throw new TypeError(
      `${caller}: split is for directories and ids of the hub; ${text} is one file`,
    );
  };
  if (/^https?:\/\//.test(text)) return single(() => present(openAddress(text)));
  const status = isNode()
    ? await nodeFileSystem("a path")
        .stat(text)
        .catch(() => null)
    : null;
  if (status?.isDirectory()) return ofSplit(caller, inDirectory(text), split);
  if (status) return single(() => openSource(text));
  if (isHubId(text) && !DATA.test(text)) return ofSplit(caller, await onHub(text, revision), split);
  throw new TypeError(`${caller}: there is no file ${text}, and an id of the hub is "owner/name"`);
}

async function present(opening: Promise<ByteSource | null>): Promise<ByteSource> {
  const file = await opening;
  if (file) return file;
  throw new RowProblem("does not exist; check its address");
}

async function onHub(id: string, revision = "main"): Promise<ModelFiles> {
  const { encodePath, hubAddress, hubEndpoint, hubFiles } = await import("../models/hub.js");
  if (isNode()) return hubFiles(id, revision, "datasets");
  const [page, at] = [`${hubEndpoint()}/api/datasets/${id}`, encodeURIComponent(revision)];
  return {
    where: id,
    open: (name) => openAddress(`${hubAddress(id, "datasets")}/${at}/${encodePath(name)}`),
    list: async () => {
      const answer = await fetch(`${page}/revision/${at}`);
      if (!answer.ok)
        throw new Error(`${id} cannot be read: the hub answers with status ${answer.status}`);
      const { siblings } = (await answer.json()) as { siblings: { rfilename: string }[] };
      return siblings.map(({ rfilename }) => rfilename);
    },
  };
}

/** Words in a name that say the split, by the split. */
const SPLITS: Readonly<Record<string, string>> = {
  train: "train|training",
  validation: "validation|valid|dev|val",
  test: "test|testing|eval|evaluation",
};

const DATA = /\.(jsonl|ndjson|json|parquet)(\.gz)?$/i;

/** Hidden files, and those that tell about data, which Python's `datasets` leaves out as well. */
const NOT_DATA = /(^|\/)([._].*|(config|dataset_infos?|dataset_dict)\.json$)/;

/** The data files of a split, in the order of their names. Without a split, of train, or all if no name says a split. */
async function ofSplit(
  caller: string,
  files: ModelFiles,
  split = "train",
): Promise<readonly DataFile[]> {
  const names = (await files.list!()).filter((name) => DATA.test(name) && !NOT_DATA.test(name));
  const saying = (words: string): readonly string[] =>
    names.filter((name) => new RegExp(`(^|[^a-z0-9])(${words})([^a-z0-9]|$)`, "i").test(name));
  const words = SPLITS[split] ?? split.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const anySplit = saying(Object.values(SPLITS).join("|")).length > 0;
  const chosen = anySplit || split !== "train" ? saying(words) : names;
  const tables = chosen.filter((name) => /\.parquet$/i.test(name));
  if (tables.length > 0 && tables.length < chosen.length) {
    const other = chosen.find((name) => !tables.includes(name));
    throw new TypeError(
      `${caller}: ${files.where} has Parquet and JSON of the split "${split}", as ${tables[0]} and ${other}; ` +
        "give the path or the address of one file",
    );
  }
  if (chosen.length === 0) {
    const list = names.slice(0, 10).join(", ");
    throw new TypeError(
      `${caller}: ${files.where} has no data files of the split "${split}"` +
        (list
          ? `; it has ${list}${names.length > 10 ? ", …" : ""}`
          : "; it has no .jsonl, .json or .parquet"),
    );
  }
  return [...chosen].sort().map((name) => ({
    name: `${files.where}/${name}`,
    open: () => present(files.open(name)),
  }));
}
