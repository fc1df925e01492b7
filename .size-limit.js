import { fileURLToPath } from "node:url";

/** Leaves what only `import()` reaches out of the bundle, as a page's first load does. */
const lazy = {
  name: "lazy",
  setup(build) {
    build.onResolve({ filter: /.*/ }, (request) =>
      request.kind === "dynamic-import" ? { path: request.path, external: true } : undefined,
    );
  },
};

/** A measurement of `dist/FILE.js`. Chunks import each other for order only, which may be ignored. */
function entry(file, name, limit, { imports, plugins = [lazy] } = {}) {
  return {
    name,
    path: fileURLToPath(new URL(`dist/${file}.js`, import.meta.url)),
    ...(imports && { import: imports }),
    gzip: true,
    limit,
    modifyEsbuildConfig: (config) => ({
      ...config,
      // A page loads modules; a script would have esbuild's stand-in for `require` besides.
      format: "esm",
      plugins,
      logOverride: { "ignored-bare-import": "silent" },
    }),
  };
}

/** The first load of a page that uses all of a subpath, tensors and gradients included. */
const subpath = (name, limit) => entry(name, `prefgrad/${name}`, limit);

// Each limit is what was measured when it was set, and 5 %.
export default [
  entry("index", "first load: { dpoLoss, tensor, grad }", "11.9 kB", {
    imports: "{ dpoLoss, tensor, grad }",
  }),
  entry("index", "first load: everything", "135 kB"),
  subpath("core", "18.4 kB"),
  subpath("optim", "14.5 kB"),
  subpath("nn", "14.1 kB"),
  subpath("losses", "23.7 kB"),
  subpath("bilevel", "16.6 kB"),
  subpath("dynamics", "18.4 kB"),
  subpath("files", "14.5 kB"),
  subpath("interop", "11.9 kB"),
  subpath("models", "37.9 kB"),
  subpath("data", "16.2 kB"),
  subpath("training", "83.9 kB"),
  subpath("methods", "85.0 kB"),
  entry("index", "everything, every device and the libraries of tokenizers included", "426 kB", {
    plugins: [],
  }),
];
