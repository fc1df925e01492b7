/**
 * PyTorch on the CPU, in a process of its own: `peers/pytorch.py`. It takes a Python that has torch and
 * numpy (on Debian: `apt-get install python3-torch python3-numpy libopenblas0-pthread`).
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  ADAMW,
  type ElementwiseProblem,
  type GptProblem,
  type Kind,
  type MatmulProblem,
  type MlpProblem,
  type Peer,
  type RowsProblem,
  type Task,
} from "../problem.js";
import { LineProcess } from "../runner/lineProcess.js";
import { bench } from "../runner/paths.js";
import { findPython, threadsOfPython } from "./python.js";

/** What the other side answers. */
interface Answer {
  readonly version?: string;
  readonly milliseconds?: number;
  readonly value?: number | null;
  readonly bytes?: number | null;
  readonly arrays?: readonly (readonly [name: string, offset: number, length: number])[];
}

/** A problem without its arrays, and the arrays. */
interface Message {
  readonly kind: Kind;
  readonly problem: unknown;
  readonly arrays: Readonly<Record<string, Float32Array | Int32Array>>;
}

/** The solver's process. */
class Python extends LineProcess<Answer> {
  private readonly folder = mkdtempSync(join(tmpdir(), "prefgrad-bench-"));

  constructor(threads: number) {
    const script = fileURLToPath(new URL("peers/pytorch.py", bench));
    super(findPython("torch, numpy"), [script, `${threads}`], threadsOfPython(threads));
  }

  async prepare({ kind, problem, arrays }: Message): Promise<void> {
    const file = join(this.folder, "inputs");
    let offset = 0;
    const listed = Object.entries(arrays).map(([name, values]) => {
      const at = offset;
      offset += values.byteLength;
      return [name, values instanceof Int32Array ? "int32" : "float32", at, values.length];
    });
    const bytes = Buffer.alloc(offset);
    Object.values(arrays).forEach((values, i) => {
      bytes.set(
        new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
        listed[i]![2] as number,
      );
    });
    writeFileSync(file, bytes);
    await this.ask({ do: "prepare", kind, problem, file, arrays: listed });
  }

  async results(): Promise<Record<string, Float64Array>> {
    const file = join(this.folder, "results");
    const { arrays } = await this.ask({ do: "results", file });
    const bytes = readFileSync(file);
    const { buffer } = new Uint8Array(bytes);
    return Object.fromEntries(
      arrays!.map(([name, offset, length]) => [name, new Float64Array(buffer, offset, length)]),
    );
  }

  override async close(): Promise<void> {
    await super.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** PyTorch with a number of threads. */
export async function load(threads: number): Promise<Peer> {
  const python = new Python(threads);
  const { version } = await python.ask({ do: "version" });
  const task = async (message: Message): Promise<Task> => {
    await python.prepare(message);
    return {
      run: async () => (await python.ask({ do: "run", runs: 1 })).value ?? undefined,
      time: async (runs) => (await python.ask({ do: "run", runs })).milliseconds!,
      results: () => python.results(),
      close: async () => {
        await python.ask({ do: "close" });
      },
    };
  };
  return {
    version: version!,
    solve: {
      matmul: ({ a, b, ...problem }: MatmulProblem) =>
        task({ kind: "matmul", problem, arrays: { a, b } }),
      elementwise: ({ x, ...problem }: ElementwiseProblem) =>
        task({ kind: "elementwise", problem, arrays: { x } }),
      rows: ({ x, cotangent, weight, bias, ids, ...problem }: RowsProblem) =>
        task({ kind: "rows", problem, arrays: { x, cotangent, weight, bias, ids } }),
      mlp: (problem) => task(mlpMessage(problem)),
      gpt: (problem) => task(gptMessage(problem)),
    },
    peakMemory: async () => (await python.ask({ do: "memory" })).bytes ?? null,
    close: () => python.close(),
  };
}

function mlpMessage({ weights, biases, inputs, targets, ...problem }: MlpProblem): Message {
  const arrays: Record<string, Float32Array | Int32Array> = {
    inputs,
    goal: targets.kind === "classes" ? targets.labels : targets.values,
  };
  weights.forEach((weight, i) => {
    arrays[`weight${i}`] = weight;
    arrays[`bias${i}`] = biases[i]!;
  });
  return { kind: "mlp", problem: { ...problem, targets: targets.kind }, arrays };
}

function gptMessage(problem: GptProblem): Message {
  const { parameters, tokens, mask, referenceChosen, referenceRejected, chosenLengths, ...rest } =
    problem;
  const shapes = parameters.map(({ name, shape }) => [name, shape]);
  const values = Object.fromEntries(parameters.map(({ name, values }) => [name, values]));
  return {
    kind: "gpt",
    problem: { ...rest, parameters: shapes, adamw: ADAMW },
    arrays: { ...values, tokens, mask, referenceChosen, referenceRejected, chosenLengths },
  };
}
