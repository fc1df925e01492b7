import { fileURLToPath } from "node:url";

const path = fileURLToPath(new URL("dist/index.js", import.meta.url));

/** Leaves what only `import()` reaches out of the bundle, as a page's first load does. */
const lazy = {
  name: "lazy",
  setup(build) {
    build.onResolve({ filter: /.*/ }, (request) =>
      request.kind === "dynamic-import" ? { path: request.path, external: true } : undefined,
    );
  },
};

export default [
  {
    name: "first load: { dpoLoss, tensor, grad }",
    path,
    import: "{ dpoLoss, tensor, grad }",
    gzip: true,
    limit: "40 kB",
    modifyEsbuildConfig: (config) => ({ ...config, plugins: [lazy] }),
  },
  { name: "everything, every device included", path, gzip: true },
];
