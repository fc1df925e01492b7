/**
 * The table of dtypes against the typed arrays of the language.
 */

import { describe, expect, it } from "vitest";
import {
  allocate,
  bytesPerElement,
  DTYPES,
  elementOf,
  isFloating,
  promote,
  viewAs,
} from "../../src/kernels/dtype.js";

const NUMBERS = [0, -0, 1, -1, 0.1, -2.5, 1e10, 2 ** 31, -(2 ** 31), 1e39, Number.NaN];

describe.each(DTYPES)("%s", (dtype) => {
  it("elements of its arrays have its bytes", () => {
    expect(allocate(dtype, 3).BYTES_PER_ELEMENT).toBe(bytesPerElement(dtype));
    const bytes = new ArrayBuffer(64);
    const view = viewAs(dtype, bytes, 16, 2);
    expect([view.buffer, view.byteOffset, view.length]).toEqual([bytes, 16, 2]);
  });

  it("a number becomes the element that its array stores", () => {
    for (const number of NUMBERS) {
      const array = allocate(dtype, 1);
      array[0] = dtype === "bool" ? Number(Boolean(number) || Number.isNaN(number)) : number;
      expect(elementOf(dtype, number)).toBe(array[0]);
    }
  });

  it("is floating point if it holds fractions", () => {
    expect(isFloating(dtype)).toBe(elementOf(dtype, 0.5) === 0.5);
  });

  it("promotes to itself with itself and with bool", () => {
    expect([promote(dtype, dtype), promote("bool", dtype)]).toEqual([dtype, dtype]);
  });
});

it("promotion goes bool, int32, float32, float64", () => {
  expect(DTYPES).toEqual(["bool", "int32", "float32", "float64"]);
});
