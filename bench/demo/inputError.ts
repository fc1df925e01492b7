/**
 * The error for what a user gave.
 * @module
 */

/** Something the user gave that cannot be used. Its message is all they need to see. */
export class InputError extends Error {
  override readonly name = "InputError";
}
