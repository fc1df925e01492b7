/**
 * What is wrong with a dataset, said at once and where it is.
 * @module
 */

/** Where a record of a dataset is. */
export interface RecordPlace {
  /** Its file; null for records that were given in code. */
  readonly file: string | null;
  /** The line it begins in, from 1, where the file has lines. */
  readonly line: number | null;
  /** Its number among the records of the source, from 0. */
  readonly row: number;
}

/** A record that cannot be trained on. */
export interface DataProblem extends RecordPlace {
  /** What is wrong, and what to do. */
  readonly message: string;
}

/** How many problems are told one by one. */
const TOLD = 20;

/**
 * A dataset that cannot be trained on. Its message has the first 20 problems, each with file, line and remedy, and how
 * many more there are.
 */
export class DataError extends Error {
  override readonly name = "DataError";

  constructor(
    caller: string,
    /** The first 20. */
    readonly problems: readonly DataProblem[],
    /** How many there are in all. */
    readonly count: number,
  ) {
    const more = count - problems.length;
    super(
      [
        `${caller}: the data has ${count === 1 ? "a problem" : `${count} problems`}`,
        ...problems.map((problem) => `${placeText(problem)}: ${problem.message}`),
        ...(more > 0 ? [`and ${more} more`] : []),
      ].join("\n  "),
    );
  }
}

/** `pairs.jsonl:7`, `pairs.parquet, row 7` or `row 7`. */
function placeText({ file, line, row }: RecordPlace): string {
  if (file === null) return row < 0 ? "the rows" : `row ${row}`;
  if (line !== null) return `${file}:${line}`;
  return row < 0 ? file : `${file}, row ${row}`;
}

/** A row that cannot be trained on; whoever knows its place catches it. */
export class RowProblem extends Error {
  /** What is wrong, each for itself. */
  readonly messages: readonly string[];

  constructor(messages: string | readonly string[], options?: ErrorOptions) {
    const list = typeof messages === "string" ? [messages] : messages;
    super(list.join("; "), options);
    this.messages = list;
  }
}

/** What all functions give. @throws RowProblem with the problems of all of those that fail. */
export function together<Results extends readonly unknown[]>(
  gives: readonly [...{ [I in keyof Results]: () => Results[I] }],
): Results {
  const messages: string[] = [];
  const results = gives.map((give) => {
    try {
      return give();
    } catch (error) {
      if (!(error instanceof RowProblem)) throw error;
      for (const message of error.messages) messages.push(message);
      return undefined;
    }
  });
  if (messages.length > 0) throw new RowProblem(messages);
  return results as unknown as Results;
}

/** The problems of a dataset, as they are found. */
export class Problems {
  private readonly told: DataProblem[] = [];
  count = 0;

  add({ file, line, row }: RecordPlace, message: string): void {
    this.count++;
    if (this.told.length < TOLD) this.told.push({ file, line, row, message });
  }

  /** What a record gives; undefined where it is a problem, which is added. */
  of<Result>(place: RecordPlace, give: () => Result): Result | undefined {
    try {
      return give();
    } catch (error) {
      if (!(error instanceof RowProblem)) throw error;
      for (const message of error.messages) this.add(place, message);
      return undefined;
    }
  }

  /** @throws DataError where there are any. */
  check(caller: string): void {
    if (this.count > 0) throw new DataError(caller, this.told, this.count);
  }
}
