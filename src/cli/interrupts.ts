/**
 * Ctrl-C.
 * @module
 */

/** A signal that the first Ctrl-C sets; a second one ends the process. */
export function interrupts(onFirst: () => void) {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
    onFirst();
  };
  process.on("SIGINT", stop);
  return { signal: controller.signal, restore: () => process.off("SIGINT", stop) };
}
