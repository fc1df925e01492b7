/**
 * Says what really computed, from what the platform was asked to do and not from what the library
 * says. Must be imported before the library evaluates anything.
 * @module
 */

let wasm = false;
let webgpu = false;
let webgl2 = false;
const workers = new Set<Worker>();

const COMPUTED = "a kernel ran in this worker";

/** Runs first in a worker: has it report its first call of a WebAssembly function. */
const PROLOGUE = `
{
  const { Instance } = WebAssembly;
  let reported = false;
  const watched = (f) => (...values) => {
    if (!reported) postMessage(${JSON.stringify(COMPUTED)});
    reported = true;
    return f(...values);
  };
  WebAssembly.Instance = function (module, imports) {
    const { exports } = new Instance(module, imports);
    const entries = Object.entries(exports).map(([name, f]) => [name, watched(f)]);
    return { exports: Object.fromEntries(entries) };
  };
}
`;

Object.assign(globalThis, {
  Blob: class extends Blob {
    constructor(parts: BlobPart[], options?: BlobPropertyBag) {
      super(options?.type === "text/javascript" ? [PROLOGUE, ...parts] : parts, options);
    }
  },
  Worker: class extends Worker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options);
      this.addEventListener("message", ({ data }) => {
        if (data === COMPUTED) workers.add(this);
      });
    }
  },
});

interface Watched {
  readonly prototype?: Record<string, (...values: unknown[]) => unknown>;
}

/** Calls `seen` at every call of a method, where the platform has it. */
function watch(type: string, method: string, seen: () => void): void {
  const { prototype: methods } = (globalThis as unknown as Record<string, Watched>)[type] ?? {};
  if (methods === undefined) return;
  const original = methods[method]!;
  methods[method] = function (...values) {
    seen();
    return original.apply(this, values);
  };
}

const { instantiate } = WebAssembly;
WebAssembly.instantiate = ((...values: Parameters<typeof instantiate>) => {
  wasm = true;
  return instantiate(...values);
}) as typeof instantiate;
watch("GPUQueue", "submit", () => {
  webgpu = true;
});
for (const method of ["drawArrays", "drawElements"]) {
  watch("WebGL2RenderingContext", method, () => {
    webgl2 = true;
  });
}

/** What computed since the page was loaded. */
export function whatComputed(): string {
  const threads = 1 + workers.size;
  const seen = [
    ...(wasm ? [`wasm, ${threads} thread${threads > 1 ? "s" : ""}`] : []),
    ...(webgpu ? ["webgpu"] : []),
    ...(webgl2 ? ["webgl2"] : []),
  ];
  return seen.join(" and ") || "nothing";
}
