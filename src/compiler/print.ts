/**
 * Tensors as text.
 * @module
 */

import type { TypedArray } from "../kernels/dtype.js";
import { formatShape } from "../tensor/shape.js";
import { knownElements, type Tensor } from "../tensor/tensor.js";

/** What {@link Tensor.toString} gives. */
export function print(t: Tensor): string {
  const type = `${t.storage}${formatShape(t.shape)}`;
  const { kind } = t.primitive.lowering;
  if (kind === "constant") return `Tensor ${type} = ${t._element}`;
  const values = knownElements(t);
  if (values) return `Tensor ${type} = ${nested(values, t)}`;
  if (kind === "leaf") return `Tensor ${type}`;
  // A rule for the gradient changes no value.
  if (t.rule) return print(t.inputs[0]!);
  const inputs = t.inputs.map((input) => `${input.dtype}${formatShape(input.shape)}`);
  return `Tensor ${type} = ${t.primitive.name}(${inputs.join(", ")})`;
}

/** Elements in the brackets of their axes; of more than 6 along an axis the first and last three. */
function nested(values: TypedArray, { shape, dtype }: Tensor): string {
  const digits = dtype === "int32" ? 10 : 6;
  const show = (axis: number, at: number): string => {
    const extent = shape[axis];
    if (extent === undefined) {
      return dtype === "bool"
        ? `${values[at] !== 0}`
        : `${Number(values[at]!.toPrecision(digits))}`;
    }
    const items: string[] = [];
    for (let i = 0; i < extent; i++) {
      if (i === 3 && extent > 6) {
        items.push("…");
        i = extent - 3;
      }
      items.push(show(axis + 1, at * extent + i));
    }
    return `[${items.join(", ")}]`;
  };
  return show(0, 0);
}
