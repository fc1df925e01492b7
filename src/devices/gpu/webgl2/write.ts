/**
 * Replacing a run of a texture's elements: one point is drawn for each, and the vertex shader says where. So no other
 * texel is touched, and where the run begins may be known to the GPU only.
 * @module
 */

import { sizeOf } from "../../../kernels/layout.js";
import type { WriteRun } from "../plan.js";
import type { FloatTexture } from "./texture.js";

const VERTEX = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
uniform sampler2D elements;
uniform sampler2D starts;
uniform ivec2 size;
uniform ivec3 run;
flat out float element;
float fetch(sampler2D from, int i) {
  int width = textureSize(from, 0).x;
  return texelFetch(from, ivec2(i % width, i / width), 0).r;
}
void main() {
  int first = int(fetch(starts, run.x));
  int i = first * run.y + gl_VertexID;
  vec2 texel = vec2(i % size.x, i / size.x) + 0.5;
  bool fits = first >= 0 && first < run.z;
  gl_Position = fits ? vec4(2.0 * texel / vec2(size) - 1.0, 0.0, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = 1.0;
  element = fetch(elements, gl_VertexID);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
flat in float element;
out float result;
void main() { result = element; }`;

/** Draws runs of elements on textures. */
export class RunWriter {
  private readonly program: WebGLProgram;
  private readonly framebuffer: WebGLFramebuffer;
  /** Without attributes, so that those of gpu.js stay what they are. */
  private readonly vertices: WebGLVertexArrayObject;

  constructor(private readonly gl: WebGL2RenderingContext) {
    const program = gl.createProgram();
    for (const [kind, source] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ] as const) {
      const shader = gl.createShader(kind)!;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(`writeSlice cannot be run on WebGL2: ${gl.getProgramInfoLog(program)}`);
    }
    this.program = program;
    this.framebuffer = gl.createFramebuffer();
    this.vertices = gl.createVertexArray();
  }

  /** Writes the elements of one texture into another. `starts` holds where. */
  write(
    target: FloatTexture,
    elements: FloatTexture,
    starts: FloatTexture,
    { axes, at, stride, count }: WriteRun,
  ): void {
    const { gl, program } = this;
    const [width, height] = target.size as unknown as [number, number];
    // gpu.js sets the viewport only when it compiles.
    const viewport = gl.getParameter(gl.VIEWPORT) as Int32Array;
    const place = (name: string) => gl.getUniformLocation(program, name);
    gl.useProgram(program);
    gl.bindVertexArray(this.vertices);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.framebuffer);
    const attach = (texture: WebGLTexture | null): void =>
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    attach(target.texture);
    gl.viewport(0, 0, width, height);
    gl.scissor(0, 0, width, height);
    for (const [unit, { texture }] of [elements, starts].entries()) {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
    }
    gl.uniform1i(place("elements"), 0);
    gl.uniform1i(place("starts"), 1);
    gl.uniform2i(place("size"), width, height);
    gl.uniform3i(place("run"), at, stride, count);
    gl.drawArrays(gl.POINTS, 0, sizeOf(axes));
    attach(null);
    gl.bindVertexArray(null);
    gl.viewport(viewport[0]!, viewport[1]!, viewport[2]!, viewport[3]!);
  }
}
