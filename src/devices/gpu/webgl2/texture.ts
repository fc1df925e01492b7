/**
 * Elements in a texture: one float32 per texel, row after row.
 * @module
 */

/** A texture that gpu.js takes as an argument of its kernels. */
export class FloatTexture {
  /** gpu.js's name for one number per texel. */
  readonly type = "ArrayTexture(1)";
  /** Kernels address elements by one index. */
  readonly dimensions: Int32Array;

  constructor(
    readonly context: WebGL2RenderingContext,
    readonly texture: WebGLTexture,
    /** Width and height. */
    readonly size: Int32Array,
  ) {
    this.dimensions = Int32Array.of(size[0]! * size[1]!, 1, 1);
  }

  get bytes(): number {
    return 4 * this.dimensions[0]!;
  }

  delete(): void {
    this.context.deleteTexture(this.texture);
  }
}

/** A texture for so many elements, nearly square. */
export function createTexture(gl: WebGL2RenderingContext, length: number): FloatTexture {
  const width = Math.ceil(Math.sqrt(length));
  const height = Math.ceil(length / width);
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  gl.texStorage2D(gl.TEXTURE_2D, 1, gl.R32F, width, height);
  return new FloatTexture(gl, texture, Int32Array.of(width, height));
}

/** Writes elements to a texture, from one of its own on: what is left of a row, whole rows, a part of the next. */
export function writeTexture(
  { context: gl, texture, size }: FloatTexture,
  from: number,
  elements: Float32Array,
): void {
  const width = size[0]!;
  gl.bindTexture(gl.TEXTURE_2D, texture);
  for (let done = 0; done < elements.length; ) {
    const column = (from + done) % width;
    const row = (from + done - column) / width;
    const left = elements.length - done;
    const columns = column > 0 || left < width ? Math.min(width - column, left) : width;
    const rows = columns < width ? 1 : Math.floor(left / width);
    gl.texSubImage2D(
      gl.TEXTURE_2D,
      0,
      column,
      row,
      columns,
      rows,
      gl.RED,
      gl.FLOAT,
      elements,
      done,
    );
    done += columns * rows;
  }
}

/** The first `length` elements of a texture; null if the GPU gave nothing. */
export function downloadTexture(
  { context: gl, texture, size }: FloatTexture,
  length: number,
): Float32Array | null {
  const framebuffer = gl.createFramebuffer();
  gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const [width, height] = size as unknown as [number, number];
  // Every WebGL2 reads floats with four channels, of which the others are 0, 0 and 1.
  const texels = new Float32Array(4 * width * height);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.FLOAT, texels);
  gl.deleteFramebuffer(framebuffer);
  if (texels[3] !== 1) return null;
  const elements = new Float32Array(length);
  for (let i = 0; i < length; i++) elements[i] = texels[4 * i]!;
  return elements;
}
