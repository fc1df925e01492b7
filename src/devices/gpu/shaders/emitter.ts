/**
 * Expressions as statements. Each is computed once, as far out of the loops as what it depends on allows.
 *
 * Every buffer is read as float32: integers and booleans are numbers, exact to 2²⁴.
 * @module
 */

import { dependenciesOf, indicesOf } from "../../../kernels/expressions.js";
import type { Affine, Condition, Expression, ScalarOperation } from "../../../kernels/kernel.js";
import { LARGEST_INTEGER } from "../elements.js";
import type { Shader, Special } from "./shader.js";
import { type Body, integer, isOpen, type Loop, type Threads } from "./statements.js";

/** Where a value is computed: before the loop, in it, in it only for points that count, or after it. */
type Place = "before" | "inside" | "counted" | "after";

/** Collects the statements that compute expressions, by the place they belong to. */
export class Emitter {
  private readonly statements: Record<Place, string[]> = {
    before: [],
    inside: [],
    counted: [],
    after: [],
  };
  private readonly names = new Map<number, string>();
  private readonly lookupNames = new Map<number, string>();
  private readonly clampedNames = new Map<number, string>();
  private readonly places = new Map<number, Place>();
  private readonly called = new Set<string>();
  private readonly read = new Set<number>();
  private readonly packed = new Set<number>();
  private readonly constants = new Set<number>();
  private readonly specials = new Set<Special>();
  /** The source of each axis's index. */
  private readonly indices = new Map<number, string>();
  private readonly reducedAxes: ReadonlySet<number>;
  private innermost: Place = "inside";

  constructor(
    private readonly kernel: Body,
    outer: readonly Loop[],
    reduced: readonly Loop[],
    threads: Threads,
    digits: ReadonlyMap<number, string> = new Map(),
  ) {
    outer.forEach(({ axis }, i) => {
      this.indices.set(axis, threads.index[i]!);
    });
    for (const [term, name] of digits) if (term < kernel.axes.length) this.indices.set(term, name);
    for (const { axis } of reduced) this.indices.set(axis, `i${axis}`);
    this.reducedAxes = new Set(reduced.map(({ axis }) => axis));
    this.add("before", threads.statements);
    if (threads.statements.length > 0)
      for (const f of ["quotient", "remainder"]) this.called.add(f);
  }

  lines(place: Place): readonly string[] {
    return this.statements[place];
  }

  add(place: Place, statements: readonly string[]): void {
    for (const statement of statements) this.statements[place].push(statement);
  }

  /** If points are conditional, what the loop computes from now on is computed for points that count only. */
  countFrom(isConditional: boolean): void {
    if (isConditional) this.innermost = "counted";
  }

  shader(statements: readonly string[], threads: readonly number[]): Shader {
    return {
      body: statements.join("\n"),
      buffers: [...this.read].sort((a, b) => a - b),
      packed: [...this.packed].sort((a, b) => a - b),
      constants: [...this.constants].sort((a, b) => a - b),
      special: [...this.specials].sort(),
      functions: [...this.called].sort(),
      threads,
    };
  }

  special(name: Special): string {
    this.specials.add(name);
    return name;
  }

  call(name: string, ...inputs: readonly string[]): string {
    this.called.add(name);
    return `${name}(${inputs.join(", ")})`;
  }

  /** An element of a buffer. */
  element(buffer: number, at: string): string {
    this.read.add(buffer);
    return `b${buffer}[${at}]`;
  }

  /** The name or literal that holds an expression's value. */
  value(number: number): string {
    let name = this.names.get(number);
    if (name === undefined) {
      const expression = this.kernel.expressions[number]!;
      const computed = this.compute(expression);
      if (expression.kind === "constant" || expression.kind === "accumulator") name = computed;
      else {
        name = `v${number}`;
        this.put(this.place(number), `const ${name} = ${computed};`);
      }
      this.names.set(number, name);
    }
    return name;
  }

  affine({ offset, strides }: Affine): string {
    const { axes } = this.kernel;
    const terms: string[] = [];
    strides.forEach((stride, i) => {
      if (stride === 0) return;
      const index = i < axes.length ? this.indices.get(i) : this.clamped(i - axes.length);
      if (index === undefined) return;
      const sign = stride < 0 ? "- " : terms.length > 0 ? "+ " : "";
      const magnitude = Math.abs(stride);
      // An expression must not begin with a sign: gpu.js would take it for a float.
      if (stride < 0 && terms.length === 0) terms.push("0");
      terms.push(`${sign}${index}${magnitude === 1 ? "" : ` * ${magnitude}`}`);
    });
    if (terms.length === 0) return `${offset}`;
    if (offset !== 0) terms.push(`${offset < 0 ? "-" : "+"} ${Math.abs(offset)}`);
    return `(${terms.join(" ")})`;
  }

  /** The condition `0 ≤ index < size`, without a side that always holds. */
  condition({ index, size }: Condition): string {
    const [least, most] = this.range(index);
    const at = this.affine(index);
    const sides: string[] = [];
    if (least < 0) sides.push(`${at} >= 0`);
    if (most >= size) sides.push(`${at} < ${size}`);
    return sides.length === 0 ? "true" : sides.join(" && ");
  }

  /** The integer local that holds what a lookup found, in range or not. */
  lookup(number: number): string {
    let name = this.lookupNames.get(number);
    if (name === undefined) {
      name = `k${number}`;
      const { index } = this.kernel.lookups[number]!;
      const found = this.value(index);
      this.put(this.place(index), integer(name, `~~${found}`));
      this.lookupNames.set(number, name);
    }
    return name;
  }

  inRange(lookup: number): string {
    const name = this.lookup(lookup);
    return `${name} >= 0 && ${name} < ${this.kernel.lookups[lookup]!.size}`;
  }

  private put(place: Place, statement: string): void {
    this.statements[place === "inside" ? this.innermost : place].push(statement);
  }

  /** The local that holds what a lookup found, clamped to its range, for addresses. */
  private clamped(number: number): string {
    let name = this.clampedNames.get(number);
    if (name === undefined) {
      name = `a${number}`;
      const { index, size } = this.kernel.lookups[number]!;
      const call = this.call("clamped", this.lookup(number), `${size}`);
      this.put(this.place(index), integer(name, call));
      this.clampedNames.set(number, name);
    }
    return name;
  }

  private range({ offset, strides }: Affine): [least: number, most: number] {
    const { axes, lookups } = this.kernel;
    let [least, most] = [offset, offset];
    strides.forEach((stride, i) => {
      const size = i < axes.length ? axes[i]! : lookups[i - axes.length]!.size;
      if (stride < 0) least += stride * (size - 1);
      else most += stride * (size - 1);
    });
    return [least, most];
  }

  private place(number: number): Place {
    let place = this.places.get(number);
    if (place === undefined) {
      place = this.findPlace(this.kernel.expressions[number]!);
      this.places.set(number, place);
    }
    return place;
  }

  private findPlace(e: Expression): Place {
    if (e.kind === "accumulator") return this.isReduction() ? "after" : "before";
    const places = dependenciesOf(e, this.kernel).map((number) => this.place(number));
    if (places.includes("after")) return "after";
    const turns = indicesOf(e).some(({ strides }) =>
      strides.some((stride, axis) => stride !== 0 && this.reducedAxes.has(axis)),
    );
    return turns || places.includes("inside") ? "inside" : "before";
  }

  private compute(e: Expression): string {
    switch (e.kind) {
      case "constant":
        this.constants.add(e.slot);
        return `c${e.slot}`;
      case "index":
        if (this.range(e.index)[1] > LARGEST_INTEGER) {
          throw new RangeError(
            'positions beyond 2^24 are not exact on the GPU; use setDevice("wasm") for them',
          );
        }
        return this.call("toFloat", this.affine(e.index));
      case "load":
        if (e.storage === "bfloat16") this.packed.add(e.buffer);
        // Where a condition fails the value is not used: an address out of range is safe and gives any element.
        return this.element(e.buffer, this.affine(e.index));
      case "accumulator":
        // The reduced value, or a product's element, which is given as an argument.
        return this.isReduction() ? "accumulated" : this.special("accumulator");
      case "guard": {
        const conditions = [
          ...e.conditions.map((condition) => this.condition(condition)).filter(isOpen),
          ...e.lookups.map((lookup) => this.inRange(lookup)),
        ];
        const inside = this.value(e.inside);
        if (conditions.length === 0) return inside;
        const otherwise = e.otherwise === "nan" ? this.special("invalid") : "0.0";
        return `(${conditions.join(" && ")}) ? ${inside} : ${otherwise}`;
      }
      case "map":
        return this.apply(
          e.operation,
          e.dtype,
          e.inputs.map((input) => this.value(input)),
        );
    }
  }

  private isReduction(): boolean {
    return "reduce" in this.kernel && this.kernel.reduce !== null;
  }

  private apply(operation: ScalarOperation, dtype: string, inputs: readonly string[]): string {
    const [x, y, z] = inputs as [string, string, string];
    const infinite = (): string => this.special("infinite");
    const invalid = (): string => this.special("invalid");
    const truth = (condition: string): string => `(${condition}) ? 1.0 : 0.0`;
    switch (operation) {
      case "neg":
        return `-${x}`;
      case "exp":
        return this.call("exponential", x, infinite());
      case "log":
        return this.call("logarithm", x, infinite(), invalid());
      case "log1p":
        return this.call("log1plus", x, infinite(), invalid());
      case "expm1":
        return this.call("exponentialMinus1", x, infinite());
      case "sqrt":
        return `Math.sqrt(${x})`;
      case "tanh":
        return this.call("hyperbolicTangent", x);
      case "erf":
        return this.call("errorFunction", x);
      case "abs":
        return `Math.abs(${x})`;
      case "sign":
        return this.call("signOf", x);
      case "sin":
        return this.call("sine", x, "0.0", invalid());
      case "cos":
        return this.call("sine", x, "1.0", invalid());
      case "floor":
        return `Math.floor(${x})`;
      case "ceil":
        return `Math.ceil(${x})`;
      case "round":
        return this.call("nearest", x);
      case "not":
        return truth(`${x} === 0.0`);
      case "add":
        return `${x} + ${y}`;
      case "sub":
        return `${x} - ${y}`;
      case "mul":
        return `${x} * ${y}`;
      case "div":
        return `${x} / ${y}`;
      case "pow":
        return this.call("power", x, y, infinite(), invalid());
      case "maximum":
        return this.call("larger", x, y);
      case "minimum":
        return this.call("smaller", x, y);
      case "equal":
        return truth(`${x} === ${y}`);
      case "less":
        return truth(`${x} < ${y}`);
      case "lessEqual":
        return truth(`${x} <= ${y}`);
      case "and":
        return `(${x} === 0.0 || ${y} === 0.0) ? 0.0 : 1.0`;
      case "or":
        return `(${x} === 0.0 && ${y} === 0.0) ? 0.0 : 1.0`;
      case "where":
        // NaN counts as true, but shader compilers treat `NaN !== 0` as false: compare with `===`.
        return `(${x} === 0.0) ? ${z} : ${y}`;
      case "cast":
        if (dtype === "int32") return this.call("truncated", x);
        return dtype === "bool" ? `(${x} === 0.0) ? 0.0 : 1.0` : x;
    }
  }
}
