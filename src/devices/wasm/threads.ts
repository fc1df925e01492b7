/**
 * Worker threads that share the device's memory. The caller opens one kernel call at a time. Every thread
 * that is awake takes shares of it until nothing is left, the caller included. The caller then waits for
 * the workers inside the call and for no others: a worker that is asleep, late or dead costs nothing.
 *
 * The workers' code is a string: it needs no file of its own, so it works from every bundle.
 * @module
 */

/**
 * Int32 fields of the control block. Fields that several threads write often have cache lines of their
 * own. `STATE` is odd while a call is open, and changes when workers have something to look at.
 */
const STATE = 0;
/** Workers inside the open call. */
const ACTIVE = 16;
/** First item of the open call that nobody has taken. */
const NEXT = 32;
/** Workers that sleep until the state changes. */
const SLEEPING = 48;
const FAILED = 49;
/** Messages about kernels so far. */
const NEWS = 50;
/** Address of the latest message. */
const NEWS_ADDRESS = 51;
/** How many messages were read, summed over all workers. */
const READ = 52;
/** Shares taken by workers, ever. */
const HELPED = 53;
/** Threads that take part, the caller included. */
const THREADS = 54;
/** The open call. */
const CALL = 56;
const CONTROL_LENGTH = 64;

/**
 * A share is this fraction (1/n) of an equal part of what is left. Later shares are smaller, so that a
 * thread that is slowed down does not keep the others waiting.
 */
const DIVISIONS = 2;

/** Milliseconds that a worker with nothing to do stays awake. Pauses within a plan and between two are shorter. */
const AWAKE = 0.2;
/** Milliseconds that the caller waits awake for a worker's last share. */
const CALLER_AWAKE = 0.2;
/** Milliseconds after which the caller gives a worker up, at least. */
const PATIENCE = 30_000;
/** The caller waits at least this many times as long as it worked on its own shares. */
const PATIENCE_FACTOR = 10;
/** Milliseconds between two looks count as at most this many, since a longer pause means that the whole process was stopped. */
const LONGEST_LOOK = 100;

/** A compiled kernel: runs items `begin … end`. */
export type KernelFunction = (
  buffers: number,
  constants: number,
  begin: number,
  end: number,
  workspace: number,
) => void;

/** A kernel call whose items can be divided. */
export interface SharedCall {
  /** The number by which the workers know the kernel. */
  readonly kernel: number;
  readonly buffers: number;
  readonly constants: number;
  readonly items: number;
  /** Shares start at multiples of it. */
  readonly grain: number;
  /** Items that a share has at least. */
  readonly least: number;
  readonly workspace: number;
  /** Bytes of the workspace that belong to each thread. */
  readonly workspaceBytes: number;
}

/** Kernels that a module exports as `kernel0`, `kernel1`, …, numbered from `first` on. */
export interface KernelModule {
  readonly bytes: Uint8Array;
  readonly first: number;
  readonly count: number;
}

const WORKER_SOURCE = `
const start = ({ memory, control, thread }) => {
  const kernels = new Map();
  let news = 0;
  let state = 0;
  const read = () => {
    news = Atomics.load(control, ${NEWS});
    const at = control[${NEWS_ADDRESS}] >>> 0;
    const [length, forgotten] = new Int32Array(memory.buffer, at, 2);
    const words = new Int32Array(memory.buffer, at + 8, length);
    for (let i = 0; i < forgotten; i += 2) {
      for (let k = 0; k < words[i + 1]; k++) kernels.delete(words[i] + k);
    }
    for (let i = forgotten; i < length; i += 4) {
      const bytes = new Uint8Array(memory.buffer, words[i] >>> 0, words[i + 1]).slice();
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
      for (let k = 0; k < words[i + 3]; k++) kernels.set(words[i + 2] + k, exports["kernel" + k]);
    }
    Atomics.add(control, ${READ}, 1);
  };
  const help = () => {
    const [kernel, buffers, constants, items, grain, least, workspace, bytes] = control.subarray(${CALL});
    const run = kernels.get(kernel);
    if (!run || thread >= control[${THREADS}]) return;
    for (;;) {
      const begin = Atomics.load(control, ${NEXT});
      if (begin >= items) return;
      const part = Math.max(least, (items - begin) / (${DIVISIONS} * control[${THREADS}]));
      const end = Math.min(items, begin + Math.ceil(part / grain) * grain);
      if (Atomics.compareExchange(control, ${NEXT}, begin, end) !== begin) continue;
      Atomics.add(control, ${HELPED}, 1);
      run(buffers, constants, begin, end, workspace + thread * bytes);
    }
  };
  let since = performance.now();
  for (let looks = 0; ; looks++) {
    if (Atomics.load(control, ${STATE}) === state) {
      if (looks % 64 > 0 || performance.now() - since < ${AWAKE}) continue;
      Atomics.add(control, ${SLEEPING}, 1);
      Atomics.wait(control, ${STATE}, state);
      Atomics.sub(control, ${SLEEPING}, 1);
    }
    let entered = false;
    try {
      state = Atomics.load(control, ${STATE});
      if (Atomics.load(control, ${NEWS}) !== news) read();
      if (state & 1) {
        Atomics.add(control, ${ACTIVE}, 1);
        entered = true;
        // The open call cannot change from here on: the caller waits for this worker.
        if (Atomics.load(control, ${STATE}) === state) help();
      }
    } catch (error) {
      Atomics.store(control, ${FAILED}, 1);
      throw error;
    } finally {
      if (entered) {
        Atomics.sub(control, ${ACTIVE}, 1);
        Atomics.notify(control, ${ACTIVE});
      }
    }
    since = performance.now();
  }
};
`;

interface Thread {
  terminate(): unknown;
}

/** What starting workers needs of Node's worker_threads. */
interface NodeWorkers {
  Worker: new (
    source: string,
    options: { eval: true; workerData: unknown; execArgv: string[] },
  ) => Thread & { unref(): void; on(event: string, listener: (error: Error) => void): void };
}

/** Node's worker threads, where this is Node. */
function nodeWorkers(): NodeWorkers | null {
  const { process } = globalThis as {
    process?: { getBuiltinModule?: (name: string) => unknown };
  };
  return (process?.getBuiltinModule?.("node:worker_threads") as NodeWorkers | undefined) ?? null;
}

/** Number of threads the machine runs at once; 1 where memory cannot be shared. */
export function availableThreads(): number {
  if (nodeWorkers()) {
    const { process } = globalThis as unknown as {
      process: { getBuiltinModule(name: string): { availableParallelism(): number } };
    };
    return process.getBuiltinModule("node:os").availableParallelism();
  }
  const { crossOriginIsolated, navigator } = globalThis as {
    crossOriginIsolated?: boolean;
    navigator?: { hardwareConcurrency?: number };
  };
  return crossOriginIsolated && typeof Worker === "function"
    ? (navigator?.hardwareConcurrency ?? 1)
    : 1;
}

/** Whether the page may not start workers. It is remembered because the browser reports each attempt as an error. */
let isForbidden = false;

/** The calling thread and its workers. If one of them fails, the caller is alone from then on. */
export class ThreadPool {
  private readonly control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_LENGTH));
  private workers: Thread[] = [];
  private readonly maySleep = typeof document === "undefined";
  /** For tests: the first share of each call is left to a worker. */
  waitsForHelp = false;
  /** Whether a worker may go on writing to the memory after it was given up. */
  lost = false;

  /** Starts the workers, which take part as soon as they can. */
  constructor(
    private readonly memory: WebAssembly.Memory,
    /** The caller included. */
    readonly most: number,
    private readonly patience = PATIENCE,
  ) {
    this.threads = isForbidden ? 1 : most;
    // In a browser the others follow when the first has started.
    const workers = this.threads - 1;
    this.start(nodeWorkers() ? workers : Math.min(1, workers));
  }

  private start(count: number): void {
    try {
      while (this.workers.length < count) this.workers.push(this.startWorker());
    } catch {
      this.stop();
    }
  }

  /** Threads that take part in calls, the caller included. */
  get threads(): number {
    return this.hasFailed ? 1 : this.control[THREADS]!;
  }

  /** How many threads take part, at most as many as were started. The others sleep. */
  set threads(threads: number) {
    this.control[THREADS] = threads;
  }

  get isStopped(): boolean {
    return this.workers.length === 0;
  }

  /** Shares of calls that workers took so far. */
  get helped(): number {
    return Atomics.load(this.control, HELPED);
  }

  private startWorker(): Thread {
    const { memory, control } = this;
    const data = { memory, control, thread: this.workers.length + 1 };
    const node = nodeWorkers();
    if (node) {
      const source = `${WORKER_SOURCE}\nstart(require("node:worker_threads").workerData);`;
      const worker = new node.Worker(source, { eval: true, workerData: data, execArgv: [] });
      for (const event of ["error", "exit"]) worker.on(event, () => this.stop());
      worker.unref();
      return worker;
    }
    const source = `${WORKER_SOURCE}\nonmessage = ({ data }) => { postMessage(0); start(data); };`;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const worker = new Worker(url);
    let hasStarted = false;
    worker.onmessage = () => {
      hasStarted = true;
      URL.revokeObjectURL(url);
      if (!this.isStopped) this.start(this.most - 1);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      isForbidden ||= !hasStarted;
      this.stop();
    };
    worker.postMessage(data);
    return worker;
  }

  /** Whether every worker has read the last message: its memory is free, and the next may come. */
  get isRead(): boolean {
    const { control } = this;
    return Atomics.load(control, READ) === (this.most - 1) * Atomics.load(control, NEWS);
  }

  /** Tells the workers about kernels: at the address is a message as they read it. */
  tell(address: number): void {
    this.control[NEWS_ADDRESS] = address;
    Atomics.add(this.control, NEWS, 1);
    this.advance(2);
  }

  /** Wakes the workers ahead of a call. */
  wake(): void {
    // No call is open before or after. The state changes, and that wakes the workers.
    if (Atomics.load(this.control, SLEEPING) > 0) this.advance(2);
  }

  private advance(by: number): void {
    Atomics.add(this.control, STATE, by);
    if (Atomics.load(this.control, SLEEPING) > 0) Atomics.notify(this.control, STATE);
  }

  /**
   * Makes a call; `run` is its kernel.
   * @throws if a worker failed; from then on the caller is alone.
   */
  share(call: SharedCall, run: KernelFunction): void {
    const { control } = this;
    const { kernel, buffers, constants, items, grain, least, workspace, workspaceBytes } = call;
    control.set([kernel, buffers, constants, items, grain, least, workspace, workspaceBytes], CALL);
    Atomics.store(control, NEXT, 0);
    this.advance(1);
    const start = performance.now();
    try {
      if (this.waitsForHelp)
        this.waitUntil(() => this.hasFailed || Atomics.load(control, NEXT) > 0);
      for (;;) {
        const begin = Atomics.load(control, NEXT);
        if (begin >= items) break;
        const part = Math.max(least, (items - begin) / (DIVISIONS * this.threads));
        const end = Math.min(items, begin + Math.ceil(part / grain) * grain);
        if (Atomics.compareExchange(control, NEXT, begin, end) !== begin) continue;
        run(buffers, constants, begin, end, workspace);
      }
    } finally {
      Atomics.add(control, STATE, 1);
      const own = performance.now() - start;
      this.waitUntil(() => Atomics.load(control, ACTIVE) === 0, own);
    }
    if (this.hasFailed) this.fail("failed");
  }

  private get hasFailed(): boolean {
    return Atomics.load(this.control, FAILED) > 0;
  }

  /** Waits for the workers; the caller has worked for `own` milliseconds. */
  waitUntil(isSo: () => boolean, own = 0): void {
    const { control } = this;
    const patience = Math.max(this.patience, PATIENCE_FACTOR * own);
    let waited = 0;
    let last = 0;
    for (let looks = 1; !isSo(); looks++) {
      if (looks % 256 > 0) continue;
      const now = performance.now();
      waited += Math.min(now - (last || now), LONGEST_LOOK);
      last = now;
      if (waited > patience) {
        this.lost = true;
        this.fail("stopped answering");
      }
      // A browser's main thread may not sleep; it goes on looking.
      const active = Atomics.load(control, ACTIVE);
      if (waited > CALLER_AWAKE && active > 0 && this.maySleep) {
        Atomics.wait(control, ACTIVE, active, 5);
      }
    }
  }

  private fail(how: string): never {
    this.stop();
    throw new Error(`a worker thread of the wasm device ${how}; evaluations go on with one thread`);
  }

  /** Ends the workers. */
  stop(): void {
    this.threads = 1;
    for (const worker of this.workers) worker.terminate();
    this.workers = [];
  }
}
