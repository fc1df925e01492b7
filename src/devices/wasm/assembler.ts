/**
 * A WebAssembly assembler: instructions as functions that return nested byte lists, a builder for
 * functions with named-by-object locals, and the module encoder. An instruction takes its operands
 * as code, so a program reads as an expression: `i32.add(x.get, i32.const(4))`.
 * @module
 */

/** Machine code: bytes, nested as it was composed. */
export type Code = readonly (number | Code)[];

/** WebAssembly value types. */
export type ValueType = "i32" | "i64" | "f32" | "f64" | "v128";

const VALUE_TYPE: Record<ValueType, number> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
};
const VOID = 0x40;

/** Unsigned LEB128. */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 128 : low);
  } while (rest > 0);
  return bytes;
}

/** Signed LEB128 of a 32-bit integer. */
function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 127;
    rest >>= 7;
    if ((rest === 0 && (low & 64) === 0) || (rest === -1 && (low & 64) !== 0)) {
      bytes.push(low);
      return bytes;
    }
    bytes.push(low | 128);
  }
}

function bytesOf(values: Float32Array | Float64Array | Int32Array): number[] {
  return [...new Uint8Array(values.buffer)];
}

type Operator = (...operands: Code[]) => Code;
const plain =
  (opcode: number): Operator =>
  (...operands) => [...operands, opcode];
const extended = (prefix: number, opcode: number): Operator => {
  const encoded = [prefix, ...unsigned(opcode)];
  return (...operands) => [...operands, ...encoded];
};
const simd = (opcode: number) => extended(0xfd, opcode);

/** A memory access: `(address, offset)` for loads, `(address, value, offset)` for stores. */
type Load = (address: Code, offset?: number) => Code;
type Store = (address: Code, value: Code, offset?: number) => Code;
const load =
  (prefix: number[], alignment: number): Load =>
  (address, offset = 0) => [address, ...prefix, alignment, ...unsigned(offset)];
const store =
  (prefix: number[], alignment: number): Store =>
  (address, value, offset = 0) => [address, value, ...prefix, alignment, ...unsigned(offset)];
const simdLoad = (opcode: number, alignment: number) =>
  load([0xfd, ...unsigned(opcode)], alignment);
const laneLoad =
  (opcode: number, alignment: number) =>
  (address: Code, vector: Code, lane: number, offset = 0): Code => [
    address,
    vector,
    0xfd,
    ...unsigned(opcode),
    alignment,
    ...unsigned(offset),
    lane,
  ];
const lane =
  (opcode: number) =>
  (index: number, ...operands: Code[]): Code => [...operands, 0xfd, ...unsigned(opcode), index];

export const i32 = {
  const: (value: number): Code => [0x41, ...signed(value)],
  add: plain(0x6a),
  sub: plain(0x6b),
  mul: plain(0x6c),
  divU: plain(0x6e),
  remU: plain(0x70),
  and: plain(0x71),
  or: plain(0x72),
  shl: plain(0x74),
  shrU: plain(0x76),
  eqz: plain(0x45),
  eq: plain(0x46),
  ne: plain(0x47),
  ltS: plain(0x48),
  ltU: plain(0x49),
  gtS: plain(0x4a),
  gtU: plain(0x4b),
  leS: plain(0x4c),
  leU: plain(0x4d),
  geS: plain(0x4e),
  geU: plain(0x4f),
  load: load([0x28], 2),
  load16U: load([0x2f], 1),
  store: store([0x36], 2),
  truncSatF32S: extended(0xfc, 0),
  truncSatF64S: extended(0xfc, 2),
} as const;

export const f32 = {
  const: (value: number): Code => [0x43, ...bytesOf(Float32Array.of(value))],
  load: load([0x2a], 2),
  store: store([0x38], 2),
  add: plain(0x92),
  sub: plain(0x93),
  mul: plain(0x94),
  demoteF64: plain(0xb6),
  convertI32S: plain(0xb2),
  reinterpretI32: plain(0xbe),
} as const;

export const f64 = {
  const: (value: number): Code => [0x44, ...bytesOf(Float64Array.of(value))],
  load: load([0x2b], 3),
  store: store([0x39], 3),
  add: plain(0xa0),
  sub: plain(0xa1),
  mul: plain(0xa2),
  promoteF32: plain(0xbb),
  ne: plain(0x62),
} as const;

/** Loads, stores and bitwise operations on 128-bit vectors. Alignments are hints only. */
export const v128 = {
  load: simdLoad(0, 2),
  /** Four integers of 16 bits, each in a lane of 32. */
  load16x4U: simdLoad(4, 1),
  load16Splat: simdLoad(8, 1),
  load32Splat: simdLoad(9, 2),
  load64Splat: simdLoad(10, 3),
  load32Zero: simdLoad(0x5c, 2),
  load64Zero: simdLoad(0x5d, 2),
  store: store([0xfd, 11], 2),
  load16Lane: laneLoad(0x55, 1),
  load32Lane: laneLoad(0x56, 2),
  load64Lane: laneLoad(0x57, 3),
  store32Lane: laneLoad(0x5a, 2),
  store64Lane: laneLoad(0x5b, 2),
  constF32: (value: number): Code => [
    0xfd,
    12,
    ...bytesOf(Float32Array.of(value, value, value, value)),
  ],
  constF64: (value: number): Code => [0xfd, 12, ...bytesOf(Float64Array.of(value, value))],
  constI32: (a: number, b = a, c = a, d = a): Code => [
    0xfd,
    12,
    ...bytesOf(Int32Array.of(a, b, c, d)),
  ],
  not: simd(77),
  and: simd(78),
  andnot: simd(79),
  or: simd(80),
  xor: simd(81),
  /** `(whenSet, whenClear, mask)` */
  bitselect: simd(82),
  anyTrue: simd(83),
  /** `(lanes: 16 byte indices, a, b)` */
  shuffle: (lanes: readonly number[], a: Code, b: Code): Code => [a, b, 0xfd, 13, ...lanes],
} as const;

export const i32x4 = {
  splat: simd(17),
  extractLane: lane(27),
  replaceLane: lane(28),
  eq: simd(55),
  ne: simd(56),
  ltS: simd(57),
  ltU: simd(58),
  gtS: simd(59),
  leS: simd(61),
  geS: simd(63),
  abs: simd(160),
  neg: simd(161),
  allTrue: simd(163),
  bitmask: simd(164),
  shl: simd(171),
  shrS: simd(172),
  shrU: simd(173),
  add: simd(174),
  sub: simd(177),
  mul: simd(181),
  minS: simd(182),
  maxS: simd(184),
  truncSatF32x4S: simd(248),
  truncSatF64x2SZero: simd(252),
  extendLowI16x8S: simd(167),
  extendLowI16x8U: simd(169),
} as const;

export const i64x2 = {
  splat: simd(18),
  add: simd(206),
  sub: simd(209),
  shl: simd(203),
  shrU: simd(205),
  shrS: simd(204),
  extendLowI32x4S: simd(199),
  extendLowI32x4U: simd(201),
} as const;

export const f32x4 = {
  splat: simd(19),
  extractLane: lane(31),
  replaceLane: lane(32),
  eq: simd(65),
  ne: simd(66),
  lt: simd(67),
  gt: simd(68),
  le: simd(69),
  ge: simd(70),
  ceil: simd(103),
  floor: simd(104),
  trunc: simd(105),
  nearest: simd(106),
  abs: simd(224),
  neg: simd(225),
  sqrt: simd(227),
  add: simd(228),
  sub: simd(229),
  mul: simd(230),
  div: simd(231),
  min: simd(232),
  max: simd(233),
  /** `b < a ? b : a`, so that a NaN in the first operand stays. */
  pmin: simd(234),
  /** `a < b ? b : a`, so that a NaN in the first operand stays. */
  pmax: simd(235),
  convertI32x4S: simd(250),
  demoteF64x2Zero: simd(94),
  /** a · b + c: relaxed SIMD. */
  relaxedMadd: simd(0x105),
} as const;

export const f64x2 = {
  splat: simd(20),
  extractLane: lane(33),
  replaceLane: lane(34),
  eq: simd(71),
  ne: simd(72),
  lt: simd(73),
  gt: simd(74),
  le: simd(75),
  ge: simd(76),
  ceil: simd(116),
  floor: simd(117),
  trunc: simd(122),
  nearest: simd(148),
  abs: simd(236),
  neg: simd(237),
  sqrt: simd(239),
  add: simd(240),
  sub: simd(241),
  mul: simd(242),
  div: simd(243),
  min: simd(244),
  max: simd(245),
  /** `b < a ? b : a`, so that a NaN in the first operand stays. */
  pmin: simd(246),
  /** `a < b ? b : a`, so that a NaN in the first operand stays. */
  pmax: simd(247),
  convertLowI32x4S: simd(254),
  promoteLowF32x4: simd(95),
  /** a · b + c: relaxed SIMD. */
  relaxedMadd: simd(0x107),
} as const;

/** Structured control flow. Branch depths count enclosing blocks from the inside. */
export const control = {
  block: (body: Code): Code => [0x02, VOID, body, 0x0b],
  loop: (body: Code): Code => [0x03, VOID, body, 0x0b],
  if: (condition: Code, then: Code, otherwise?: Code): Code =>
    otherwise
      ? [condition, 0x04, VOID, then, 0x05, otherwise, 0x0b]
      : [condition, 0x04, VOID, then, 0x0b],
  branch: (depth: number): Code => [0x0c, ...unsigned(depth)],
  branchIf: (depth: number, condition: Code): Code => [condition, 0x0d, ...unsigned(depth)],
  return: [0x0f] as Code,
  drop: plain(0x1a),
  /** `(whenTrue, whenFalse, condition)` for numeric values. */
  select: plain(0x1b),
  call: (index: number, ...operands: Code[]): Code => [...operands, 0x10, ...unsigned(index)],
  /** `(address, byte, length)` fills memory. */
  memoryFill: (address: Code, value: Code, length: Code): Code => [
    address,
    value,
    length,
    0xfc,
    ...unsigned(11),
    0,
  ],
  memoryCopy: (to: Code, from: Code, length: Code): Code => [
    to,
    from,
    length,
    0xfc,
    ...unsigned(10),
    0,
    0,
  ],
} as const;

/** Joins pairs, then pairs of pairs. No chain of operations is long, so the processor overlaps the terms. */
export function inPairs(terms: readonly Code[], join: (x: Code, y: Code) => Code): Code {
  const half = terms.length >> 1;
  if (half === 0) return terms[0]!;
  return join(inPairs(terms.slice(0, half), join), inPairs(terms.slice(half), join));
}

/** A parameter or local variable. */
export interface Local {
  readonly type: ValueType;
  /** Code that pushes the value. */
  readonly get: Code;
  set(value: Code): Code;
  /** Stores and pushes the value. */
  tee(value: Code): Code;
}

/** A variable for each of a function's parameters. */
type LocalsOf<Types extends readonly ValueType[]> = { readonly [I in keyof Types]: Local };

/** Builds one function: declares its locals and holds its body. */
export class FunctionBuilder<
  const ParameterTypes extends readonly ValueType[] = readonly ValueType[],
> {
  readonly parameters: LocalsOf<ParameterTypes>;
  body: Code = [];
  private readonly types: ValueType[] = [];

  constructor(
    readonly parameterTypes: ParameterTypes,
    readonly results: readonly ValueType[] = [],
  ) {
    const locals: readonly Local[] = parameterTypes.map((type, index) => makeLocal(type, index));
    this.parameters = locals as LocalsOf<ParameterTypes>;
  }

  /** Declares a local variable, initially zero. */
  local(type: ValueType): Local {
    this.types.push(type);
    return makeLocal(type, this.parameterTypes.length + this.types.length - 1);
  }

  /** The encoded function body with its declarations. */
  encode(): number[] {
    const body = this.withConstantsInLocals();
    const declarations = this.types.flatMap((type) => [1, VALUE_TYPE[type]]);
    return sized([...unsigned(this.types.length), ...declarations, ...flatten(body), 0x0b]);
  }

  /**
   * The body with a local for each vector constant of a loop, set before everything else. V8 of Node 24 makes a
   * constant anew at each use, in loops, too; zero alone costs it nothing.
   */
  private withConstantsInLocals(): Code {
    const locals = new Map<string, Local>();
    const settings: Code[] = [];
    const rewrite = (code: Code, inLoop: boolean): Code => {
      if (isVectorConstant(code)) {
        if (!inLoop || code.slice(2).every((byte) => byte === 0)) return code;
        const key = code.join();
        let local = locals.get(key);
        if (!local) {
          local = this.local("v128");
          locals.set(key, local);
          settings.push(local.set(code));
        }
        return local.get;
      }
      const within = inLoop || isLoop(code);
      return code.map((part) => (typeof part === "number" ? part : rewrite(part, within)));
    };
    const body = rewrite(this.body, false);
    return [...settings, body];
  }
}

const isVectorConstant = (code: Code): boolean => code[0] === 0xfd && code[1] === 12;
const isLoop = (code: Code): boolean => code[0] === 0x03 && code[1] === VOID;

function makeLocal(type: ValueType, index: number): Local {
  const encoded = unsigned(index);
  return {
    type,
    get: [0x20, ...encoded],
    set: (value) => [value, 0x21, ...encoded],
    tee: (value) => [value, 0x22, ...encoded],
  };
}

function flatten(code: Code, into: number[] = []): number[] {
  for (const part of code) {
    if (typeof part === "number") into.push(part);
    else flatten(part, into);
  }
  return into;
}

// Not `[...unsigned(n), ...content]`: a spread of a large body would overflow the stack.
function sized(content: readonly number[]): number[] {
  return unsigned(content.length).concat(content);
}

function vector(items: readonly (readonly number[])[]): number[] {
  return unsigned(items.length).concat(items.flat());
}

function section(id: number, content: readonly number[]): number[] {
  return [id].concat(sized(content));
}

function text(name: string): number[] {
  return sized([...new TextEncoder().encode(name)]);
}

/** A function imported from JavaScript; imported functions come first in the index space. */
interface ImportedFunction {
  readonly name: string;
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

/** What {@link assemble} turns into bytes. Function indices count imports first, then `functions`. */
interface ModuleDefinition {
  /** Imported as `env.memory`. `shared` needs a maximum of pages. */
  readonly memory: { readonly shared: boolean; readonly maximumPages: number };
  readonly imports?: readonly ImportedFunction[];
  readonly functions: readonly FunctionBuilder[];
  /** Export name of each function of `functions`, by its position in that list; others stay private. */
  readonly exports: Readonly<Record<string, number>>;
}

/** Encodes a module. Its memory and functions are imported under the module name `env`. */
export function assemble(definition: ModuleDefinition): Uint8Array<ArrayBuffer> {
  const imports = definition.imports ?? [];
  const types: number[][] = [];
  const typeIndex = new Map<string, number>();
  const typeOf = (parameters: readonly ValueType[], results: readonly ValueType[]): number => {
    const encoded = [
      0x60,
      ...vector(parameters.map((type) => [VALUE_TYPE[type]])),
      ...vector(results.map((type) => [VALUE_TYPE[type]])),
    ];
    const key = encoded.join();
    const known = typeIndex.get(key);
    if (known !== undefined) return known;
    typeIndex.set(key, types.length);
    types.push(encoded);
    return types.length - 1;
  };
  const { shared, maximumPages } = definition.memory;
  const memoryImport = text("env").concat(
    text("memory"),
    [0x02, shared ? 0x03 : 0x01, 0],
    unsigned(maximumPages),
  );
  const functionImports = imports.map(({ name, parameters, results }) =>
    text("env").concat(text(name), [0x00], unsigned(typeOf(parameters, results))),
  );
  const functionTypes = definition.functions.map((f) =>
    unsigned(typeOf(f.parameterTypes, f.results)),
  );
  const exported = Object.entries(definition.exports).map(([name, index]) =>
    text(name).concat([0x00], unsigned(imports.length + index)),
  );
  const bytes = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0].concat(
    section(1, vector(types)),
    section(2, vector([memoryImport, ...functionImports])),
    section(3, vector(functionTypes)),
    section(7, vector(exported)),
    section(10, vector(definition.functions.map((f) => f.encode()))),
  );
  return Uint8Array.from(bytes);
}
