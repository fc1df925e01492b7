/**
 * Kernels as gpu.js source: one thread computes one element.
 *
 * Every buffer holds float32: integers and booleans as numbers, exact to 2²⁴. Indices are integers
 * throughout, which gpu.js keeps only for expressions of thread positions, literal loops and locals
 * that are incremented once; hence the `let i = 0; i++;` before an assignment.
 * @module
 */

import type {
  Affine,
  Condition,
  Expression,
  Lookup,
  LoopKernel,
  ScalarOperation,
  ScatterKernel,
  SortKernel,
} from "../../kernels/kernel.js";

/** A kernel in the form gpu.js compiles. Equal kernels are equal as JSON. */
export interface Shader {
  /** Statements of the kernel function. */
  readonly body: string;
  /** Arguments: buffers that are read, then scalars: constants by slot, then {@link SPECIAL} ones. */
  readonly buffers: readonly number[];
  readonly constants: readonly number[];
  readonly special: readonly Special[];
  /** Names of the functions it calls. */
  readonly functions: readonly string[];
  /** Threads along x, y and z, as gpu.js orders them: fastest first. */
  readonly threads: readonly number[];
}

/** Numbers no literal can express, and the element of a product that an epilogue takes. */
export type Special = "infinite" | "invalid" | "accumulator";

/** Part of a reduction or scatter: only points where the conditions hold are counted. */
export type Counted<K> = K & { readonly counted?: readonly Condition[] };

/** One pass of a merge sort: runs of `width` become runs of twice that. */
export interface MergePass extends Omit<SortKernel, "kind"> {
  readonly kind: "merge";
  readonly width: number;
}

/** Most threads along one axis where several axes are used. */
const MOST_THREADS = [524_280, 524_280, 65_535] as const;

/** A loop: one axis of the kernel, or adjacent ones that every index treats as one. */
interface Loop {
  readonly size: number;
  /** The innermost of its axes; its stride is the loop's. */
  readonly axis: number;
}

interface Body {
  readonly axes: readonly number[];
  readonly lookups: readonly Lookup[];
  readonly expressions: readonly Expression[];
}

/** Where a value is computed: before the loop, in it, in it for points that count, or after it. */
type Place = "before" | "inside" | "counted" | "after";

/** The source of a loop kernel. */
export function loopShader(kernel: Counted<LoopKernel>): Shader {
  const { axes, outputRank, reduce, body, epilogue, counted = [] } = kernel;
  const affines = affinesOf(kernel, counted);
  const outer = mergeAxes(axes, 0, outputRank, affines);
  const reduced = mergeAxes(axes, outputRank, axes.length, affines);
  const threads = layOut(outer);
  const emitter = new Emitter(kernel, outer, reduced, threads);
  if (reduce === null) {
    const result = emitter.value(epilogue ?? body);
    return emitter.shader([...emitter.lines("before"), `return ${result};`], threads.extents);
  }
  const conditions = counted.map((condition) => emitter.condition(condition)).filter(isOpen);
  emitter.countFrom(conditions.length > 0);
  const term = emitter.value(body);
  const result = epilogue === null ? "accumulated" : emitter.value(epilogue);
  const start = reduce === "sum" ? "0" : emitter.special("infinite");
  const combine =
    reduce === "sum"
      ? `accumulated += ${term};`
      : `accumulated = ${emitter.call(reduce === "max" ? "larger" : "smaller", "accumulated", term)};`;
  return emitter.shader(
    [
      ...emitter.lines("before"),
      "let accumulated = 0.5;",
      `accumulated = ${reduce === "max" ? "-" : ""}${start};`,
      ...nest(reduced, [
        ...emitter.lines("inside"),
        ...countedBlock(conditions, [...emitter.lines("counted"), combine]),
      ]),
      ...emitter.lines("after"),
      `return ${result};`,
    ],
    threads.extents,
  );
}

/**
 * The source of a scatter: each output element sums the points that hit it, in order. Axes and
 * lookups whose strides nest (like digits) follow from the element's position; only the other axes
 * are searched.
 */
export function scatterShader(kernel: Counted<ScatterKernel>): Shader {
  const { axes, size, lookups, target, required, body, counted = [] } = kernel;
  const digits = nestedDigits(target, axes, lookups);
  const found = new Map(digits?.map(({ term, name }) => [term, name]));
  const searched = axes
    .map((extent, axis): Loop => ({ size: extent, axis }))
    .filter(({ size: extent, axis }) => extent > 1 && !found.has(axis));
  const threads = layOut([{ size, axis: -1 }]);
  const emitter = new Emitter(kernel, [], searched, threads, found);
  const position = threads.index[0]!;
  const conditions = counted.map((condition) => emitter.condition(condition));
  if (digits === null) conditions.push(`${emitter.affine(target)} === ${position}`);
  else emitter.add("before", digitsOf(digits, target.offset, position, emitter));
  lookups.forEach((_, number) => {
    const digit = found.get(axes.length + number);
    if (digit !== undefined) conditions.push(`${emitter.lookup(number)} === ${digit}`);
    else if (required.includes(number)) conditions.push(emitter.inRange(number));
  });
  const open = [...(digits === null ? [] : ["hit === 1"]), ...conditions.filter(isOpen)];
  emitter.countFrom(true);
  const term = emitter.value(body);
  return emitter.shader(
    [
      ...emitter.lines("before"),
      "let accumulated = 0.5;",
      "accumulated = 0;",
      ...nest(searched, [
        ...emitter.lines("inside"),
        ...countedBlock(open, [...emitter.lines("counted"), `accumulated += ${term};`]),
      ]),
      "return accumulated;",
    ],
    threads.extents,
  );
}

/**
 * The source of one pass of a stable merge sort of each row. Buffer 1 holds the values, buffer 2 the
 * positions the pass before found (the first pass reads none). An element of the output is found by
 * searching how many of the `d` elements before it come from the first run of its pair.
 */
export function mergeShader({ rows, length, width }: MergePass): Shader {
  const threads = layOut([
    { size: rows, axis: 0 },
    { size: length, axis: 1 },
  ]);
  const [row = "0", column] = threads.index.length === 2 ? threads.index : ["0", threads.index[0]!];
  const isFirst = width === 1;
  const start = integer("start", `${row} * ${length}`);
  const order = (i: string): string => (isFirst ? `(${i})` : `b2[start + ${i}]`);
  const value = (name: string, i: string): string[] =>
    isFirst
      ? [`const ${name} = b1[start + ${i}];`]
      : [integer(`${name}At`, `~~${order(i)}`), `const ${name} = b1[start + ${name}At];`];
  const body = [
    ...threads.statements,
    start,
    integer("place", column!),
    integer("first", `quotient(place, ${2 * width}) * ${2 * width}`),
    integer("second", `clamped(first + ${width}, ${length + 1})`),
    integer("end", `clamped(first + ${2 * width}, ${length + 1})`),
    integer("d", "place - first"),
    // `low` elements of the first run are surely among the d; `high` at most.
    integer("low", `clamped(d - (end - second), ${length + 1})`),
    integer("high", "second - first"),
    "if (high > d) { high = d; }",
    `for (let step = 0; step < ${Math.ceil(Math.log2(width)) + 1}; step++) {`,
    "if (low < high) {",
    integer("middle", "low"),
    "middle = ~~Math.floor((low + high) / 2);",
    ...value("x", "first + middle"),
    ...value("y", "second + d - 1 - middle"),
    "if (inOrder(x, y) > 0.5) { low = middle + 1; } else { high = middle; }",
    "}",
    "}",
    integer("left", "first + low"),
    integer("right", "second + d - low"),
    integer("chosen", "left"),
    "if (left >= second) { chosen = right; }",
    "if (left < second && right < end) {",
    ...value("p", "left"),
    ...value("q", "right"),
    "if (inOrder(p, q) < 0.5) { chosen = right; }",
    "}",
    isFirst ? "return toFloat(chosen);" : "return b2[start + chosen];",
  ];
  return {
    body: body.join("\n"),
    buffers: isFirst ? [1] : [1, 2],
    constants: [],
    special: [],
    functions: ["quotient", "clamped", "inOrder", "remainder", "toFloat"],
    threads: threads.extents,
  };
}

/** Declares an integer local. */
function integer(name: string, value: string): string {
  return `let ${name} = 0; ${name}++; ${name} = ${value};`;
}

/** A condition that is not known to hold. */
function isOpen(condition: string): boolean {
  return condition !== "true";
}

function nest(loops: readonly Loop[], statements: readonly string[]): string[] {
  return [
    ...loops.map(({ size, axis }) => `for (let i${axis} = 0; i${axis} < ${size}; i${axis}++) {`),
    ...statements,
    ...loops.map(() => "}"),
  ];
}

function countedBlock(conditions: readonly string[], statements: readonly string[]): string[] {
  if (conditions.length === 0) return [...statements];
  return [`if (${conditions.join(" && ")}) {`, ...statements, "}"];
}

/** Every index a kernel computes. */
function affinesOf({ expressions }: Body, conditions: readonly Condition[]): Affine[] {
  const affines = conditions.map(({ index }) => index);
  for (const e of expressions) {
    if (e.kind === "index" || e.kind === "load") affines.push(e.index);
    if (e.kind === "load" || e.kind === "guard") {
      affines.push(...e.conditions.map(({ index }) => index));
    }
  }
  return affines;
}

/** Axes `begin … end` as loops; neighbours that every index steps through as through one are merged. */
function mergeAxes(
  axes: readonly number[],
  begin: number,
  end: number,
  affines: readonly Affine[],
): Loop[] {
  const loops: Loop[] = [];
  for (let axis = begin; axis < end; axis++) {
    const size = axes[axis]!;
    if (size === 1) continue;
    const last = loops[loops.length - 1];
    const merges =
      last !== undefined &&
      affines.every(({ strides }) => (strides[last.axis] ?? 0) === (strides[axis] ?? 0) * size);
    if (merges) loops[loops.length - 1] = { size: last.size * size, axis };
    else loops.push({ size, axis });
  }
  return loops;
}

/** How output loops become threads. */
interface Threads {
  readonly extents: readonly number[];
  /** Statements that find the indices. */
  readonly statements: readonly string[];
  /** The index of each loop. */
  readonly index: readonly string[];
}

/** Up to three loops are thread axes; more share the last one, or a single one where that is too long. */
function layOut(loops: readonly Loop[]): Threads {
  const sizes = loops.map(({ size }) => size);
  if (sizes.length === 0) return { extents: [1], statements: [], index: [] };
  const extents = [...sizes.slice(-2).reverse()];
  if (sizes.length > 2) extents.push(sizes.slice(0, -2).reduce((a, b) => a * b, 1));
  const fits = extents.length === 1 || extents.every((extent, i) => extent <= MOST_THREADS[i]!);
  const shared = fits ? Math.max(0, sizes.length - 2) : sizes.length;
  const statements: string[] = [];
  const index: string[] = [];
  const names = ["this.thread.x", "this.thread.y", "this.thread.z"];
  let rest = fits ? names[2]! : names[0]!;
  for (let i = shared - 1; i >= 0; i--) {
    if (i === 0) index[i] = rest;
    else {
      index[i] = `at${i}`;
      statements.push(integer(`at${i}`, `remainder(${rest}, ${sizes[i]})`));
      statements.push(integer(`over${i}`, `quotient(${rest}, ${sizes[i]})`));
      rest = `over${i}`;
    }
  }
  for (let i = shared; i < sizes.length; i++) index[i] = names[sizes.length - 1 - i]!;
  return { extents: fits ? extents : [sizes.reduce((a, b) => a * b, 1)], statements, index };
}

/** A term of a target and the local that holds its digit. Terms number axes, then lookups. */
interface Digit {
  readonly term: number;
  readonly name: string;
  readonly stride: number;
  readonly size: number;
}

/** The terms of a target, largest stride first, where a position determines them; else null. */
function nestedDigits(
  { strides }: Affine,
  axes: readonly number[],
  lookups: readonly Lookup[],
): Digit[] | null {
  const sizes = [...axes, ...lookups.map(({ size }) => size)];
  const digits = sizes
    .map((size, term): Digit => ({ term, name: `digit${term}`, stride: strides[term] ?? 0, size }))
    .filter(({ stride, size, term }) => stride !== 0 && (size > 1 || term >= axes.length))
    .sort((a, b) => b.stride - a.stride);
  let span = 1;
  for (const { stride, size } of [...digits].reverse()) {
    if (stride < span) return null;
    span = stride * (size - 1) + span;
  }
  return digits;
}

function digitsOf(
  digits: readonly Digit[],
  offset: number,
  position: string,
  emitter: Emitter,
): string[] {
  const statements = [integer("left", `${position} - ${offset}`), integer("hit", "1")];
  statements.push("if (left < 0) { hit = 0; left = 0; }");
  for (const { name, stride, size } of digits) {
    if (stride === 1) statements.push(integer(name, "left"), "left = 0;");
    else {
      const quotient = emitter.call("quotient", "left", `${stride}`);
      statements.push(integer(name, quotient), `left -= ${name} * ${stride};`);
    }
    statements.push(`if (${name} >= ${size}) { hit = 0; }`);
  }
  statements.push("if (left > 0) { hit = 0; }");
  return statements;
}

/** Writes the statements that compute expressions, each once, where what it depends on is known. */
class Emitter {
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
  private readonly constants = new Set<number>();
  private readonly specials = new Set<Special>();
  /** Index expression of each axis; lookups follow. */
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
    this.statements[place].push(...statements);
  }

  /** From now on what the loop computes is computed for points that count. */
  countFrom(isConditional: boolean): void {
    if (isConditional) this.innermost = "counted";
  }

  shader(statements: readonly string[], threads: readonly number[]): Shader {
    return {
      body: statements.join("\n"),
      buffers: [...this.read].sort((a, b) => a - b),
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
      // An expression may not begin with a sign: gpu.js would see a float.
      if (stride < 0 && terms.length === 0) terms.push("0");
      terms.push(`${sign}${index}${magnitude === 1 ? "" : ` * ${magnitude}`}`);
    });
    if (terms.length === 0) return `${offset}`;
    if (offset !== 0) terms.push(`${offset < 0 ? "-" : "+"} ${Math.abs(offset)}`);
    return `(${terms.join(" ")})`;
  }

  /** Whether `0 ≤ index < size`; a side that cannot fail is left out. */
  condition({ index, size }: Condition): string {
    const [least, most] = this.range(index);
    const at = this.affine(index);
    const sides: string[] = [];
    if (least < 0) sides.push(`${at} >= 0`);
    if (most >= size) sides.push(`${at} < ${size}`);
    return sides.length === 0 ? "true" : sides.join(" && ");
  }

  /** The integer local that holds a lookup as it was found. */
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

  /** A lookup as it may be used in an address. */
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
    const places: Place[] = [];
    const visit = ({ strides }: Affine): void => {
      strides.forEach((stride, i) => {
        if (stride === 0) return;
        const { axes, lookups } = this.kernel;
        if (i >= axes.length) places.push(this.place(lookups[i - axes.length]!.index));
        else if (this.reducedAxes.has(i)) places.push("inside");
      });
    };
    if (e.kind === "index" || e.kind === "load") visit(e.index);
    if (e.kind === "load" || e.kind === "guard") for (const { index } of e.conditions) visit(index);
    if (e.kind === "map") places.push(...e.inputs.map((input) => this.place(input)));
    if (e.kind === "guard") {
      places.push(this.place(e.inside));
      places.push(...e.lookups.map((lookup) => this.place(this.kernel.lookups[lookup]!.index)));
    }
    return (
      places.find((place) => place === "after") ?? places.find((p) => p === "inside") ?? "before"
    );
  }

  private compute(e: Expression): string {
    switch (e.kind) {
      case "constant":
        this.constants.add(e.slot);
        return `c${e.slot}`;
      case "index":
        return this.call("toFloat", this.affine(e.index));
      case "load":
        // Where a condition fails any element will do, and an address out of range gives one.
        this.read.add(e.buffer);
        return `b${e.buffer}[${this.affine(e.index)}]`;
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
      case "floor":
        return `Math.floor(${x})`;
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
        return truth(`${x} !== 0.0 && ${y} !== 0.0`);
      case "or":
        return truth(`${x} !== 0.0 || ${y} !== 0.0`);
      case "where":
        return `(${x} !== 0.0) ? ${y} : ${z}`;
      case "cast":
        if (dtype === "int32") return this.call("truncated", x);
        return dtype === "bool" ? truth(`${x} !== 0.0`) : x;
    }
  }
}
