/**
 * Elements of a page.
 * @module
 */

/** The element of an id. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}
