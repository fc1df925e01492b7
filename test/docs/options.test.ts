/**
 * The page of options says what the table says.
 */

import { expect, it } from "vitest";
import { optionsPage } from "./optionsPage.js";

it("docs/options.md is made of the table; -u writes it", async () => {
  await expect(optionsPage()).toMatchFileSnapshot("../../docs/options.md");
});
