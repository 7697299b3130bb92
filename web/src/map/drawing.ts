// Draws the images of a map with WebGL: one call for each sheet of thumbnails, and one for dots.
import { ink, type MapData, type Places } from "./data";
import type { Batch, Tiles } from "./tiles";
import type { Screen } from "./view";

const VERTEX = `#version 300 es
  in vec2 place; in vec4 ink; in float depth;
  uniform vec2 middle, scale, extent; uniform float side, across, level; uniform bool chosen, round;
  out vec2 inside; out vec4 colour; flat out vec2 corner;
  void main() {
    inside = vec2(gl_VertexID & 1, gl_VertexID >> 1);
    colour = ink;
    corner = vec2(gl_InstanceID % int(across), gl_InstanceID / int(across)) * side;
    vec2 at = ((place - middle) * scale + (inside - 0.5) * extent) * vec2(1, -1);
    bool seen = chosen ? ink.a > 0.75 : ink.a > 0.0 && ink.a <= 0.75;
    seen = seen && (depth > level) == round;
    gl_Position = !seen ? vec4(2, 2, 2, 1) : vec4(at, 0, 1);
  }`;
const FRAGMENT = `#version 300 es
  precision highp float;
  in vec2 inside; in vec4 colour; flat in vec2 corner;
  uniform sampler2D page; uniform vec2 size; uniform vec3 paper; uniform float side, border; uniform bool dots, bare;
  out vec4 answer;
  vec3 faded(vec3 seen) {
    if (colour.a > 0.75) return seen;
    return mix(vec3(dot(seen, vec3(0.3, 0.6, 0.1))), paper, 0.8);
  }
  void main() {
    if (dots) {
      if (distance(inside, vec2(0.5)) > 0.5) discard;
      answer = vec4(faded(colour.rgb), 1);
    } else {
      vec2 within = (inside - border) / (1.0 - 2.0 * border);
      vec2 at = corner + clamp(within * side, 0.5, side - 0.5);
      vec3 seen = texture(page, at / size).rgb;
      bool framed = !bare && (any(lessThan(within, vec2(0))) || any(greaterThan(within, vec2(1))));
      answer = vec4(faded(framed ? colour.rgb : seen), 1);
    }
  }`;

const UNIFORMS = ["middle", "scale", "extent", "side", "across", "size", "paper", "border", "dots", "bare", "chosen", "level", "round"] as const;

/** How an image is drawn: the alpha of its colour says so. */
export const HIDDEN = 0, FADED = 128, SHOWN = 255;

interface Sheet {
  texture: WebGLTexture;
  bitmap: ImageBitmap;
}

export class Drawing {
  private readonly at: Record<(typeof UNIFORMS)[number], WebGLUniformLocation | null>;
  private readonly position: number;
  private readonly ink: number;
  private readonly depth: number;
  private readonly buffers: { points: WebGLBuffer; grid: WebGLBuffer; inks: WebGLBuffer; depths: WebGLBuffer };
  private readonly sheets = new Map<number, Sheet>();
  calls = 0; // of the graphics card, for what was drawn last
  private isFaded = false; // whether any image is
  readonly across: number; // thumbnails in a row of a page

  constructor(
    private readonly gl: WebGL2RenderingContext,
    private readonly data: MapData,
  ) {
    const program = gl.createProgram();
    gl.attachShader(program, this.shader(gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(program, this.shader(gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(program);
    gl.useProgram(program);
    this.at = Object.fromEntries(UNIFORMS.map((name) => [name, gl.getUniformLocation(program, name)])) as typeof this.at;
    this.position = gl.getAttribLocation(program, "place");
    this.ink = gl.getAttribLocation(program, "ink");
    this.depth = gl.getAttribLocation(program, "depth");
    this.buffers = { points: gl.createBuffer(), grid: gl.createBuffer(), inks: gl.createBuffer(), depths: gl.createBuffer() };
    this.fill(this.buffers.points, data.tiles?.local ?? data.points, gl.STATIC_DRAW);
    this.fill(this.buffers.depths, data.tiles?.depths ?? new Uint8Array(0), gl.STATIC_DRAW);
    this.fill(this.buffers.inks, new Uint8Array(4 * data.count), gl.DYNAMIC_DRAW);
    if (data.grid) this.fill(this.buffers.grid, data.grid.points, gl.STATIC_DRAW);
    this.across = data.page / data.side;
  }

  private shader(kind: GLenum, text: string): WebGLShader {
    const made = this.gl.createShader(kind);
    if (!made) throw new Error("The graphics card makes no shader.");
    this.gl.shaderSource(made, text);
    this.gl.compileShader(made);
    if (!this.gl.getShaderParameter(made, this.gl.COMPILE_STATUS)) throw new Error(this.gl.getShaderInfoLog(made) ?? "");
    return made;
  }

  private fill(buffer: WebGLBuffer, values: Places | Uint8Array, use: GLenum): void {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, buffer);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, values, use);
  }

  /** Takes where images lie, from one to before another. */
  place(tiles: Tiles, first: number, last: number): void {
    this.refill(this.buffers.points, tiles.local, 2 * first, 2 * last);
    this.refill(this.buffers.depths, tiles.depths, first, last);
  }

  private refill(buffer: WebGLBuffer, values: Uint16Array | Uint8Array, first: number, last: number): void {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, buffer);
    this.gl.bufferSubData(this.gl.ARRAY_BUFFER, first * values.BYTES_PER_ELEMENT, values.subarray(first, last));
  }

  /** Takes the colours of images from one to before another, four bytes each, out of those of all. */
  paint(inks: Uint8Array, first: number, last: number): void {
    this.isFaded = false;
    for (let at = 3; at < inks.length && !this.isFaded; at += 4) this.isFaded = inks[at] === FADED;
    this.refill(this.buffers.inks, inks, 4 * first, 4 * last);
  }

  /** Takes a page of thumbnails; it is shrunk in steps down to two pixels, where neighbours would run into each other. */
  async load(number: number, page: Blob): Promise<void> {
    const gl = this.gl, bitmap = await createImageBitmap(page, { colorSpaceConversion: "none" }), texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, gl.RGB, gl.UNSIGNED_BYTE, bitmap);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAX_LEVEL, Math.log2(this.data.side) - 1);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    this.sheets.set(number, { texture, bitmap });
  }

  has(number: number): boolean {
    return this.sheets.has(number);
  }

  /** Lets a page of thumbnails go. */
  drop(number: number): void {
    const sheet = this.sheets.get(number);
    this.gl.deleteTexture(sheet?.texture ?? null);
    sheet?.bitmap.close();
    this.sheets.delete(number);
  }

  /** Whether the thumbnails of all images are here. */
  get isLoaded(): boolean {
    return this.sheets.size >= Math.ceil(this.data.count / this.across ** 2);
  }

  draw(screen: Screen, paper: string): void {
    const gl = this.gl, at = this.at, { view } = screen;
    const background = ink(paper).map((part) => part / 255) as [number, number, number];
    this.calls = 0;
    gl.viewport(0, 0, gl.canvas.width, gl.canvas.height);
    gl.clearColor(...background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform3f(at.paper, ...background);
    gl.uniform1f(at.side, this.data.side);
    gl.uniform1f(at.across, this.across);
    gl.uniform1f(at.border, screen.border / screen.extent);
    gl.uniform1i(at.bare, screen.border === 0 ? 1 : 0);
    // What is chosen lies on what is faded.
    for (const chosen of this.isFaded ? [0, 1] : [1]) {
      gl.uniform1i(at.chosen, chosen);
      const images = screen.batches.filter(({ sheet }) => view.mode === "images" && this.has(sheet));
      for (const batch of screen.batches) if (this.data.tiles || !images.includes(batch)) this.drawBatch(batch, screen, true);
      for (const batch of images) this.drawBatch(batch, screen, false);
    }
  }

  private drawBatch({ first, count, sheet: number, left, top, side }: Batch, screen: Screen, round: boolean): void {
    const { gl, at, data: { tiles } } = this, sheet = this.sheets.get(number), [width, height] = screen.size();
    const extent = round ? screen.dot : screen.extent, { view } = screen;
    const level = tiles?.level ?? 0;
    if (tiles && !round && tiles.levelOf(number) > level) return;
    // Places count within the batch's square.
    gl.uniform2f(at.middle, (view.x - left) / side, (view.y - top) / side);
    gl.uniform2f(at.scale, (2 * screen.side * side) / width, (2 * screen.side * side) / height);
    gl.uniform2f(at.extent, (2 * extent) / width, (2 * extent) / height);
    gl.uniform1f(at.level, round && (!sheet || view.mode === "dots") ? -1 : level);
    gl.uniform1i(at.round, round ? 1 : 0);
    gl.uniform1i(at.dots, round ? 1 : 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, screen.onGrid ? this.buffers.grid : this.buffers.points);
    gl.enableVertexAttribArray(this.position);
    gl.vertexAttribPointer(this.position, 2, gl.UNSIGNED_SHORT, true, 4, 4 * first);
    gl.vertexAttribDivisor(this.position, 1);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.inks);
    gl.enableVertexAttribArray(this.ink);
    gl.vertexAttribPointer(this.ink, 4, gl.UNSIGNED_BYTE, true, 4, 4 * first);
    gl.vertexAttribDivisor(this.ink, 1);
    if (tiles) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.depths);
      gl.enableVertexAttribArray(this.depth);
      gl.vertexAttribPointer(this.depth, 1, gl.UNSIGNED_BYTE, false, 1, first);
      gl.vertexAttribDivisor(this.depth, 1);
    }
    if (sheet && !round) {
      gl.bindTexture(gl.TEXTURE_2D, sheet.texture);
      gl.uniform2f(at.size, sheet.bitmap.width, sheet.bitmap.height);
    }
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, count);
    this.calls++;
  }

  /** Draws the thumbnail of one image into another canvas. */
  portray(pen: CanvasRenderingContext2D, index: number, left: number, top: number, large: number): void {
    const { side, tiles } = this.data, capacity = this.across ** 2;
    const number = tiles?.tileOf(index) ?? Math.floor(index / capacity), cell = index - (tiles?.batch(number).first ?? number * capacity);
    const sheet = this.sheets.get(number);
    if (!sheet) return;
    pen.imageSmoothingEnabled = side >= large;
    pen.drawImage(sheet.bitmap, (cell % this.across) * side, Math.floor(cell / this.across) * side, side, side, left, top, large, large);
  }
}
