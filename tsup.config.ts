import { defineConfig } from "tsup";

export default defineConfig({
  entry: ["src/index.ts"],
  format: ["esm", "cjs"],
  target: "es2022",
  platform: "neutral",
  removeNodeProtocol: false,
  // Devices and the compiler are reached by `import()`: as chunks of their own they load on first use.
  splitting: true,
  // A chunk of its own, loaded with the GPU device. As a dependency it would bring its own copy of
  // Dawn and a native OpenGL module to everyone who stays on the processor.
  noExternal: [/^gpu\.js/],
  // `Tensor` is disposable, which older configurations do not know of.
  dts: { banner: '/// <reference lib="esnext.disposable" />' },
  sourcemap: true,
  clean: true,
});
