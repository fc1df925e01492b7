import { defineConfig } from "tsup";

export default defineConfig({
  entry: ["src/index.ts"],
  format: ["esm", "cjs"],
  target: "es2022",
  platform: "neutral",
  removeNodeProtocol: false,
  // Devices and the compiler are reached by `import()`: as chunks of their own they load on first use.
  splitting: true,
  dts: true,
  sourcemap: true,
  clean: true,
});
