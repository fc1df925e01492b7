/**
 * What the machine gives a read of weights: a WebAssembly sum over memory, four streams of 16 bytes, one thread.
 */

const LANES = [0, 1, 2, 3];

const SOURCE = `(module (memory (export "memory") 1 65536)
  (func (export "sum") (param $at i32) (param $end i32) (result f32)
    ${LANES.map((i) => `(local $s${i} v128)`).join(" ")}
    (loop $next
      ${LANES.map(
        (i) =>
          `(local.set $s${i} (f32x4.add (local.get $s${i}) (v128.load offset=${16 * i} (local.get $at))))`,
      ).join("\n      ")}
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 64))) (local.get $end))))
    (f32x4.extract_lane 0 (f32x4.add (f32x4.add (local.get $s0) (local.get $s1))
      (f32x4.add (local.get $s2) (local.get $s3))))))`;

const PAGE = 65_536;

/** A function that reads so many bytes once, and gives the milliseconds it took. */
export async function reading(bytes: number): Promise<() => number> {
  const { default: wabt } = await import("wabt");
  const text = (await wabt()).parseWat("sum.wat", SOURCE, { simd: true });
  const { instance } = await WebAssembly.instantiate(
    text.toBinary({}).buffer as Uint8Array<ArrayBuffer>,
  );
  const { memory, sum } = instance.exports as {
    memory: WebAssembly.Memory;
    sum(at: number, end: number): number;
  };
  const whole = PAGE * Math.ceil(bytes / PAGE);
  memory.grow(whole / PAGE);
  // Pages that were never written are all the same one.
  new Uint8Array(memory.buffer).fill(1);
  return () => {
    const start = performance.now();
    sum(PAGE, PAGE + whole);
    return (performance.now() - start) * (bytes / whole);
  };
}
