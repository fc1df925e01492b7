/**
 * The objectives against TRL's trainers, step by step. The runs are read from `../shared/golden/models/trainer` where
 * they are there.
 */

import { describe, it } from "vitest";
import { isFull } from "../conformance/devices.js";
import { areThere, meetsTrl } from "./trl.js";

/** Steps of a run that are made, the second after a change; all 12 with `npm run proof`. */
const STEPS: Readonly<Record<string, number>> = {
  "dpo-full-sigmoid": 0,
  "dpo-full-sigmoid-lr1e-4": 2,
  "dpo-full-sigmoid-precompute": 0,
  "dpo-full-ipo": 2,
  "dpo-full-sigmoid-sft": 2,
  "dpo-lora-sigmoid": 2,
  "dpo-lora-sigmoid-precompute": 0,
  "kto-full": 2,
  "sft-full": 12,
};

const runs = Object.entries(STEPS)
  .map(([name, few]) => ({ name, steps: isFull() ? 12 : few }))
  .filter(({ steps }) => steps > 0);

describe.skipIf(!areThere)("a run meets TRL's, step by step", () => {
  it.each(runs)("$name", ({ name, steps }) => meetsTrl(name, steps));
});
