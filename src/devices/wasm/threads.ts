/**
 * Worker threads that share the device's memory. A program (a list of calls in that memory) is run
 * by all threads at once; between dependent calls they wait for each other in shared memory, so a
 * plan costs one wake-up and not one message per kernel.
 *
 * The workers' code is a string: it needs no file of its own, so it works from every bundle.
 * @module
 */

/** Int32 fields of a call in a program: kernel, arguments, constants, items, owner, barrier. */
export const CALL_FIELDS = 6;

/**
 * Int32 fields of the control block. `sequence` counts commands; `arrived` and `generation` make the
 * barrier; `failed` is the number of a thread that threw; four arguments follow `command`.
 */
const SEQUENCE = 0;
const ARRIVED = 1;
const GENERATION = 2;
const FAILED = 3;
const READY = 4;
const COMMAND = 5;
const THREADS = 10;
const CONTROL_LENGTH = 16;

const RUN = 1;
const LOAD = 2;

/** Milliseconds in which a barrier must be reached; no single kernel takes as long. */
const PATIENCE = 60_000;
/** Looks at the barrier before sleeping, or before looking at the clock. */
const SPINS = 5_000;

/** A module and the numbers of the kernels it exports as `kernel0`, `kernel1`, … */
export interface KernelModule {
  readonly module: WebAssembly.Module;
  readonly first: number;
  readonly count: number;
}

const WORKER_SOURCE = `
const start = ({ memory, control, thread, modules }) => {
  const kernels = [];
  const load = (module, first, count) => {
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    for (let i = 0; i < count; i++) kernels[first + i] = exports["kernel" + i];
  };
  for (const { module, first, count } of modules) load(module, first, count);
  const threads = () => control[${THREADS}];
  const meet = () => {
    const generation = Atomics.load(control, ${GENERATION});
    if (Atomics.add(control, ${ARRIVED}, 1) + 1 === threads()) {
      Atomics.store(control, ${ARRIVED}, 0);
      Atomics.add(control, ${GENERATION}, 1);
      Atomics.notify(control, ${GENERATION});
      return;
    }
    for (let spins = 0; Atomics.load(control, ${GENERATION}) === generation; spins++) {
      if (spins > ${SPINS}) Atomics.wait(control, ${GENERATION}, generation, 5);
    }
  };
  const run = (address, calls, workspace, workspaceBytes) => {
    const words = new Int32Array(memory.buffer);
    const count = threads();
    for (let i = 0, at = address >>> 2; i < calls; i++, at += ${CALL_FIELDS}) {
      if (words[at + 5]) meet();
      const items = words[at + 3];
      const owner = words[at + 4];
      const alone = owner >= 0;
      if (alone && owner % count !== thread) continue;
      const begin = alone ? 0 : Math.floor((items * thread) / count);
      const end = alone ? items : Math.floor((items * (thread + 1)) / count);
      if (begin < end) {
        kernels[words[at]](words[at + 1], words[at + 2], begin, end, workspace + thread * workspaceBytes);
      }
    }
    meet();
  };
  let sequence = 0;
  Atomics.add(control, ${READY}, 1);
  for (;;) {
    for (let spins = 0; Atomics.load(control, ${SEQUENCE}) === sequence; spins++) {
      if (spins > ${SPINS}) Atomics.wait(control, ${SEQUENCE}, sequence, 1000);
    }
    sequence++;
    const [command, a, b, c, d] = control.subarray(${COMMAND}, ${COMMAND} + 5);
    try {
      if (command === ${RUN}) run(a, b, c, d);
      else {
        const bytes = new Uint8Array(memory.buffer, a >>> 0, b).slice();
        load(new WebAssembly.Module(bytes), c, d);
        meet();
      }
    } catch (error) {
      Atomics.store(control, ${FAILED}, thread);
      Atomics.add(control, ${GENERATION}, 1);
      throw error;
    }
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

/** The calling thread and its workers. Until the workers have started, and if one fails, the caller is alone. */
export class ThreadPool {
  private readonly control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_LENGTH));
  private workers: Thread[] = [];
  private started = false;
  private readonly maySleep = typeof document === "undefined";

  constructor(
    private readonly memory: WebAssembly.Memory,
    /** Threads wanted, the caller included. */
    private readonly threads: number,
  ) {}

  /** Threads that run programs now, the caller included. */
  get size(): number {
    return this.workers.length > 0 && Atomics.load(this.control, READY) === this.workers.length
      ? this.threads
      : 1;
  }

  /** Starts the workers, once. They take part as soon as all have loaded the modules. */
  start(modules: readonly KernelModule[]): void {
    if (this.started || this.threads < 2) return;
    this.started = true;
    const { memory, control } = this;
    control[THREADS] = this.threads;
    try {
      for (let thread = 1; thread < this.threads; thread++) {
        this.workers.push(this.startWorker({ memory, control, thread, modules }));
      }
    } catch {
      this.stop();
    }
  }

  private startWorker(data: unknown): Thread {
    const node = nodeWorkers();
    if (node) {
      const source = `${WORKER_SOURCE}\nstart(require("node:worker_threads").workerData);`;
      const worker = new node.Worker(source, { eval: true, workerData: data, execArgv: [] });
      worker.on("error", () => this.stop());
      worker.unref();
      return worker;
    }
    const source = `${WORKER_SOURCE}\nonmessage = ({ data }) => start(data);`;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const worker = new Worker(url);
    worker.onerror = () => this.stop();
    worker.postMessage(data);
    return worker;
  }

  /** Has the workers instantiate a module whose bytes lie in the shared memory. */
  load(address: number, length: number, first: number, count: number): void {
    this.command(LOAD, address, length, first, count);
    this.meet();
  }

  /** Runs a program: wakes the workers, takes the caller's part by `own`, and waits for all. */
  run(
    program: { readonly address: number; readonly calls: number },
    workspace: { readonly address: number; readonly bytes: number },
    own: () => void,
  ): void {
    this.command(RUN, program.address, program.calls, workspace.address, workspace.bytes);
    try {
      own();
    } catch (error) {
      // The workers wait for a thread that will not come.
      this.stop();
      throw error;
    }
    this.meet();
  }

  private command(...words: readonly number[]): void {
    this.control.set(words, COMMAND);
    Atomics.add(this.control, SEQUENCE, 1);
    Atomics.notify(this.control, SEQUENCE);
  }

  /**
   * Waits until all threads are here.
   * @throws if a worker failed; from then on the caller is alone.
   */
  meet(): void {
    const { control } = this;
    const generation = Atomics.load(control, GENERATION);
    this.checkWorkers();
    if (Atomics.add(control, ARRIVED, 1) + 1 === this.threads) {
      Atomics.store(control, ARRIVED, 0);
      Atomics.add(control, GENERATION, 1);
      Atomics.notify(control, GENERATION);
    } else {
      let deadline = 0;
      for (let spins = 1; Atomics.load(control, GENERATION) === generation; spins++) {
        if (spins < SPINS) continue;
        // A browser's main thread may not sleep; it goes on looking.
        if (this.maySleep) Atomics.wait(control, GENERATION, generation, 5);
        else if (spins % SPINS !== 0) continue;
        this.checkWorkers();
        const now = performance.now();
        deadline ||= now + PATIENCE;
        if (now > deadline) this.fail("stopped answering");
      }
    }
    this.checkWorkers();
  }

  private checkWorkers(): void {
    if (Atomics.load(this.control, FAILED) !== 0) this.fail("failed");
  }

  private fail(how: string): never {
    this.stop();
    throw new Error(`a worker thread of the wasm device ${how}; evaluations go on with one thread`);
  }

  /** Whether the workers have ended; they are not started again. */
  get stopped(): boolean {
    return this.started && this.workers.length === 0;
  }

  /** Ends the workers. */
  stop(): void {
    for (const worker of this.workers) worker.terminate();
    this.workers = [];
  }
}
