/**
 * Waiting for a turn of the event loop, in Node and in browsers.
 * @module
 */

/** Lets events that wait be handled: signals, messages, painting. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === "function") {
      setImmediate(resolve);
      return;
    }
    // Browsers make nested timers wait for 4 ms, but not messages.
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
