/**
 * What the hardware gives a WebAssembly matrix product: a hand-written kernel (packed operands, register
 * tile, cache blocks) called directly on operands that lie where it wants them, without a library
 * around it. One thread, plain operands of fitting sizes.
 */

import wabt from "wabt";
import type { MatmulProblem, Peer, Task } from "../problem.js";

/** Rows and columns of a register tile. Which is faster depends on the engine. */
type Tile = readonly [rows: number, columns: number];
const TILES: readonly Tile[] = [
  [2, 16],
  [4, 8],
];

/** Arguments: A, B, C, m, n, k, row strides of A, B, C in bytes, workspace, blocks of m, k, n. */
type Gemm = (...args: number[]) => void;

const BLOCK_K = 256;

export async function load(): Promise<Peer> {
  const kernels = await Promise.all(
    TILES.map(async (tile) => ({ tile, code: await compile(tile) })),
  );
  let best = { tile: TILES[0]!, code: kernels[0]!.code, time: Infinity };
  const n = 256;
  const trial: MatmulProblem = {
    batch: 1,
    m: n,
    k: n,
    n,
    transposeA: false,
    transposeB: false,
    a: new Float32Array(n * n),
    b: new Float32Array(n * n),
  };
  for (const { tile, code } of kernels) {
    const task = await setUp(trial, tile, code);
    for (let i = 0; i < 60; i++) task.run();
    const start = performance.now();
    for (let i = 0; i < 20; i++) task.run();
    const time = performance.now() - start;
    if (time < best.time) best = { tile, code, time };
  }
  const { tile, code } = best;
  return {
    version: `tile ${tile.join("×")}`,
    solve: {
      matmul: (problem) => {
        const { batch, m, n, transposeA, transposeB } = problem;
        const fits = batch === 1 && m % tile[0] === 0 && n % tile[1] === 0;
        return fits && !transposeA && !transposeB ? setUp(problem, tile, code) : null;
      },
    },
  };
}

async function setUp(problem: MatmulProblem, tile: Tile, code: WebAssembly.Module): Promise<Task> {
  const { m, k, n, a, b } = problem;
  const [rows, columns] = tile;
  const blockM = rows * Math.round(96 / rows);
  const blockN = columns * Math.floor(512 / columns);
  const [atA, atB] = [1024, 1024 + 4 * m * k];
  const atC = atB + 4 * k * n;
  const workspace = (atC + 4 * m * n + 4095) & ~4095;
  const bytes = workspace + 4 * BLOCK_K * (blockN + blockM) + 65536;
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / 65536) });
  const { exports } = await WebAssembly.instantiate(code, { env: { memory } });
  const gemm = exports.gemm as Gemm;
  const floats = new Float32Array(memory.buffer);
  floats.set(a, atA / 4);
  floats.set(b, atB / 4);
  const run = (): void =>
    gemm(atA, atB, atC, m, n, k, 4 * k, 4 * n, 4 * n, workspace, blockM, BLOCK_K, blockN);
  return {
    run,
    results: async () => {
      run();
      return { values: floats.slice(atC / 4, atC / 4 + m * n) };
    },
  };
}

async function compile(tile: Tile): Promise<WebAssembly.Module> {
  const module = (await wabt()).parseWat("gemm.wat", source(tile), { simd: true });
  return WebAssembly.compile(module.toBinary({}).buffer as Uint8Array<ArrayBuffer>);
}

/** The kernel as WebAssembly text. */
function source([rows, columns]: Tile): string {
  const vectors = columns / 4;
  const each = (count: number, line: (i: number) => string): string =>
    Array.from({ length: count }, (_, i) => line(i)).join("\n");
  const cells = (line: (i: number, j: number) => string): string =>
    each(rows, (i) => each(vectors, (j) => line(i, j)));
  const rowByRow = (
    line: (i: number, j: number) => string,
  ): string => `(local.set $o (local.get $c))
    ${each(
      rows,
      (i) => `${each(vectors, (j) => line(i, j))}
    (local.set $o (i32.add (local.get $o) (local.get $ldc)))`,
    )}`;
  const least = (a: string, b: string): string => `(select ${a} ${b} (i32.lt_u ${a} ${b}))`;
  const rest = (all: string, done: string): string =>
    `(i32.sub (local.get ${all}) (local.get ${done}))`;
  return `(module (import "env" "memory" (memory 1))
  (func $tile (param $pa i32) (param $pb i32) (param $c i32) (param $ldc i32) (param $k i32)
    (param $first i32) (local $a v128) (local $o i32)
    ${each(vectors, (j) => `(local $b${j} v128)`)}
    ${cells((i, j) => `(local $c${i}_${j} v128)`)}
    (if (i32.eqz (local.get $first)) (then ${rowByRow(
      (i, j) => `(local.set $c${i}_${j} (v128.load offset=${16 * j} (local.get $o)))`,
    )}))
    (loop $l
      ${each(vectors, (j) => `(local.set $b${j} (v128.load offset=${16 * j} (local.get $pb)))`)}
      ${each(
        rows,
        (i) => `(local.set $a (v128.load32_splat offset=${4 * i} (local.get $pa)))
      ${each(
        vectors,
        (j) => `(local.set $c${i}_${j} (f32x4.add (local.get $c${i}_${j})
        (f32x4.mul (local.get $a) (local.get $b${j}))))`,
      )}`,
      )}
      (local.set $pa (i32.add (local.get $pa) (i32.const ${4 * rows})))
      (local.set $pb (i32.add (local.get $pb) (i32.const ${4 * columns})))
      (br_if $l (local.tee $k (i32.sub (local.get $k) (i32.const 1)))))
    ${rowByRow((i, j) => `(v128.store offset=${16 * j} (local.get $o) (local.get $c${i}_${j}))`)})
  (func $packA (param $a i32) (param $lda i32) (param $count i32) (param $k i32) (param $to i32)
    (local $p i32) (local $q i32) (local $kk i32)
    (loop $lm
      (local.set $kk (local.get $k))
      (local.set $p (local.get $a))
      (loop $lk
        (local.set $q (local.get $p))
        ${each(
          rows,
          (i) => `(f32.store offset=${4 * i} (local.get $to) (f32.load (local.get $q)))
        (local.set $q (i32.add (local.get $q) (local.get $lda)))`,
        )}
        (local.set $to (i32.add (local.get $to) (i32.const ${4 * rows})))
        (local.set $p (i32.add (local.get $p) (i32.const 4)))
        (br_if $lk (local.tee $kk (i32.sub (local.get $kk) (i32.const 1)))))
      (local.set $a (i32.add (local.get $a) (i32.mul (local.get $lda) (i32.const ${rows}))))
      (br_if $lm (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))
  (func $packB (param $b i32) (param $ldb i32) (param $count i32) (param $k i32) (param $to i32)
    (local $p i32) (local $kk i32)
    (loop $ln
      (local.set $kk (local.get $k))
      (local.set $p (local.get $b))
      (loop $lk
        ${each(
          vectors,
          (j) => `(v128.store offset=${16 * j} (local.get $to)
          (v128.load offset=${16 * j} (local.get $p)))`,
        )}
        (local.set $to (i32.add (local.get $to) (i32.const ${4 * columns})))
        (local.set $p (i32.add (local.get $p) (local.get $ldb)))
        (br_if $lk (local.tee $kk (i32.sub (local.get $kk) (i32.const 1)))))
      (local.set $b (i32.add (local.get $b) (i32.const ${4 * columns})))
      (br_if $ln (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))
  (func (export "gemm") (param $A i32) (param $B i32) (param $C i32) (param $M i32) (param $N i32)
    (param $K i32) (param $lda i32) (param $ldb i32) (param $ldc i32) (param $ws i32)
    (param $MC i32) (param $KC i32) (param $NC i32)
    (local $jc i32) (local $pc i32) (local $ic i32) (local $jr i32) (local $ir i32) (local $nc i32)
    (local $kc i32) (local $mc i32) (local $wa i32) (local $pa i32) (local $pb i32) (local $c i32)
    (local.set $wa (i32.add (local.get $ws)
      (i32.shl (i32.mul (local.get $NC) (local.get $KC)) (i32.const 2))))
    (loop $Ljc
      (local.set $nc ${least("(local.get $NC)", rest("$N", "$jc"))})
      (local.set $pc (i32.const 0))
      (loop $Lpc
        (local.set $kc ${least("(local.get $KC)", rest("$K", "$pc"))})
        (call $packB
          (i32.add (i32.add (local.get $B) (i32.mul (local.get $pc) (local.get $ldb)))
            (i32.shl (local.get $jc) (i32.const 2)))
          (local.get $ldb) (i32.div_u (local.get $nc) (i32.const ${columns})) (local.get $kc)
          (local.get $ws))
        (local.set $ic (i32.const 0))
        (loop $Lic
          (local.set $mc ${least("(local.get $MC)", rest("$M", "$ic"))})
          (call $packA
            (i32.add (i32.add (local.get $A) (i32.mul (local.get $ic) (local.get $lda)))
              (i32.shl (local.get $pc) (i32.const 2)))
            (local.get $lda) (i32.div_u (local.get $mc) (i32.const ${rows})) (local.get $kc)
            (local.get $wa))
          (local.set $jr (i32.const 0))
          (local.set $pb (local.get $ws))
          (loop $Ljr
            (local.set $ir (i32.const 0))
            (local.set $pa (local.get $wa))
            (local.set $c
              (i32.add (i32.add (local.get $C) (i32.mul (local.get $ic) (local.get $ldc)))
                (i32.shl (i32.add (local.get $jc) (local.get $jr)) (i32.const 2))))
            (loop $Lir
              (call $tile (local.get $pa) (local.get $pb) (local.get $c) (local.get $ldc)
                (local.get $kc) (i32.eqz (local.get $pc)))
              (local.set $pa (i32.add (local.get $pa)
                (i32.mul (local.get $kc) (i32.const ${4 * rows}))))
              (local.set $c (i32.add (local.get $c)
                (i32.mul (local.get $ldc) (i32.const ${rows}))))
              (br_if $Lir (i32.lt_u
                (local.tee $ir (i32.add (local.get $ir) (i32.const ${rows}))) (local.get $mc))))
            (local.set $pb (i32.add (local.get $pb)
              (i32.mul (local.get $kc) (i32.const ${4 * columns}))))
            (br_if $Ljr (i32.lt_u
              (local.tee $jr (i32.add (local.get $jr) (i32.const ${columns}))) (local.get $nc))))
          (br_if $Lic (i32.lt_u
            (local.tee $ic (i32.add (local.get $ic) (local.get $MC))) (local.get $M))))
        (br_if $Lpc (i32.lt_u
          (local.tee $pc (i32.add (local.get $pc) (local.get $KC))) (local.get $K))))
      (br_if $Ljc (i32.lt_u
        (local.tee $jc (i32.add (local.get $jc) (local.get $NC))) (local.get $N))))))`;
}
