/**
 * The version of the library, which a run's settings name.
 * @module
 */

export const VERSION = "0.1.0";
