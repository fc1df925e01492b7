/**
 * Rows that are held out of training.
 * @module
 */

import type { Rows } from "../data/rows.js";
import { randomOrder } from "./order.js";

/** Rows that are held out, at most. */
const MOST = 256;

/** Rows to train on, and rows to measure on. */
export interface SplitRows<Row> {
  readonly train: Rows<Row>;
  /** Null where none are held out. */
  readonly heldOut: Rows<Row> | null;
}

/** Holds out a share of rows, at least one and at most 256 of them, chosen by a seed; both parts keep their order. */
export function heldOut<Row>(rows: Rows<Row>, share: number, seed: number): SplitRows<Row> {
  const count = Math.min(MOST, Math.ceil(share * rows.length), rows.length - 1);
  if (count <= 0) return { train: rows, heldOut: null };
  const order = Uint32Array.from(randomOrder(rows.length, seed)(0));
  return {
    train: subset(rows, order.slice(count).sort()),
    heldOut: subset(rows, order.slice(0, count).sort()),
  };
}

function subset<Row>(rows: Rows<Row>, indices: Uint32Array): Rows<Row> {
  return {
    length: indices.length,
    read: (own) => rows.read(own.map((i) => indices[i]!)),
  };
}
