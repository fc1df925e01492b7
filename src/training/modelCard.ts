/**
 * The model card of a run's result, `README.md` as the hub has it.
 * @module
 */

import type { LoadedModel } from "../models/loadModel.js";
import { figuresOf } from "./report/figures.js";
import type { RunRecord } from "./runFiles.js";

/** The card: what it is made from, how, and its figures. */
export function modelCard(
  lm: LoadedModel,
  { settings, rows, fit }: RunRecord,
  isAdapter: boolean,
): string {
  const base = lm.source ?? "the base model";
  const { command, loss } = settings;
  const how =
    command === "sft"
      ? "supervised fine-tuning"
      : `preference optimization (${[loss].flat().join(" + ")})`;
  const figures = figuresOf(rows).map(
    ({ name, first, last }) => `| ${name} | ${first} | ${last} |`,
  );
  const library = isAdapter ? "peft" : "transformers";
  return `---
base_model: ${JSON.stringify(base)}
library_name: ${library}
tags:
- prefgrad
- ${command}
---

# ${isAdapter ? "An adapter for" : "A model made of"} ${base}

Made by [prefgrad](https://www.npmjs.com/package/prefgrad) with ${how}.

${
  isAdapter
    ? `\`\`\`python
from peft import PeftModel
from transformers import AutoModelForCausalLM

model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(${JSON.stringify(base)}), "DIRECTORY")
\`\`\`

`
    : ""
}${
  figures.length > 0
    ? `## Figures
| | at the beginning | at the end |
|---|---|---|
${figures.join("\n")}

`
    : ""
}## Settings
\`\`\`json
${JSON.stringify({ ...settings, fit }, null, 2)}
\`\`\`
`;
}
