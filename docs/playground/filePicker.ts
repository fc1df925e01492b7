/**
 * The ways to give a page files: a directory or files that are picked, and what is dropped on it.
 * @module
 */

import { element } from "./dom.js";
import { droppedFiles, pickedFiles } from "./modelDirectory.js";

/** Who takes files. */
export interface FileTaker {
  /** Nothing is taken meanwhile. */
  isBusy(): boolean;
  take(files: readonly File[]): void;
  fail(message: string): void;
}

/** Tells of files that are picked in `#directory` and `#files`, or dropped anywhere on the page. */
export function offerPicking({ isBusy, take, fail }: FileTaker): void {
  const drop = element("drop");
  for (const id of ["directory", "files"]) {
    const input = element<HTMLInputElement>(id);
    input.onchange = () => {
      const picked = pickedFiles(input);
      // The same ones can be picked again.
      input.value = "";
      take(picked);
    };
  }
  // Beside the zone, a drop would leave the page.
  document.ondragover = (event) => {
    event.preventDefault();
    drop.classList.toggle("over", !isBusy());
  };
  document.ondragleave = () => drop.classList.remove("over");
  document.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer?.types.includes("Files") && !isBusy()) {
      droppedFiles(event.dataTransfer).then(take, (error: Error) => fail(error.message));
    }
  };
}
