import { defineConfig } from "tsup";
import packageJson from "./package.json" with { type: "json" };

/** Entries of the package by the name of their files in `dist`, in the sources or their types. */
function entries(root: string, extension: string): Record<string, string> {
  const names = Object.keys(packageJson.exports).filter((subpath) => !subpath.endsWith(".json"));
  return Object.fromEntries(
    names.map((subpath) => {
      const name = subpath === "." ? "index" : subpath.slice("./".length);
      const file = name === "index" || name === "core" ? name : `${name}/index`;
      return [name, `${root}/${file}.${extension}`];
    }),
  );
}

export default defineConfig({
  // The command line is a program beside the subpaths: nobody imports it.
  entry: { ...entries("src", "ts"), cli: "src/cli/main.ts" },
  format: ["esm", "cjs"],
  target: "es2022",
  platform: "neutral",
  removeNodeProtocol: false,
  // Entries share chunks, so that `Tensor` exists once. Devices and the compiler are reached by
  // `import()`: as chunks of their own they load on first use.
  splitting: true,
  // A chunk of its own, loaded with the GPU device. As a dependency it would bring its own copy of
  // Dawn and a native OpenGL module to everyone who stays on the processor.
  // Only the command line imports them.
  external: [/^node:/],
  noExternal: [/^gpu\.js/],
  dts: {
    // Declarations that tsc wrote are only joined. From the sources, each folder with an entry
    // would be a program of its own.
    entry: entries("build/types", "d.ts"),
    // `Tensor` is disposable, which older configurations do not know of.
    banner: '/// <reference lib="esnext.disposable" />',
  },
  // The code is readable and says which source file each part is from. Maps without sources would
  // lead to files that nobody has; with them they are larger than the code.
  sourcemap: false,
  clean: true,
});
