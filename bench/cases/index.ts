/**
 * All cases.
 */

import type { Case } from "../runner/case.js";
import { elementwiseCases } from "./elementwise.js";
import { gptCases } from "./gpt.js";
import { matmulCases } from "./matmul.js";
import { mlpCases } from "./mlp.js";
import { rowCases } from "./rows.js";
import { scalingCases } from "./scaling.js";

export const ALL_CASES: readonly Case[] = [
  ...matmulCases,
  ...elementwiseCases,
  ...rowCases,
  ...mlpCases,
  ...gptCases,
  ...scalingCases,
];
