/**
 * The page in which the cases of the GPU run in a browser.
 */

import {
  type GpuCaseReport,
  runSession,
  type SessionOptions,
  type SessionStart,
} from "./session.js";

/** What the page has for its driver, and what the driver has for the page. */
export interface PageGlobals {
  /** Runs a session, telling `started` and `done` of it. */
  runGpuSession(options: SessionOptions): Promise<void>;
  started(start: SessionStart): Promise<void>;
  done(report: GpuCaseReport): Promise<void>;
}

const globals = globalThis as unknown as PageGlobals;

Object.assign(globals, {
  runGpuSession: async (options: SessionOptions): Promise<void> => {
    const told: Promise<void>[] = [];
    await runSession(
      options,
      (start) => told.push(globals.started(start)),
      (report) => told.push(globals.done(report)),
    );
    await Promise.all(told);
  },
});
