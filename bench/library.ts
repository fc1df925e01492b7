/**
 * The library as it is published: the built package, not its sources.
 */

export * from "../dist/index.js";
