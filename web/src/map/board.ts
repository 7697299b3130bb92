// A map to move about in: it holds the view, draws it when it changes, and tells what is chosen.
import { GREY, ink, neighboursOf, RIGHT, WRONG, type Ink, type MapData } from "./data";
import { Drawing, FADED, HIDDEN, SHOWN } from "./drawing";
import { listen, type Tool } from "./gestures";
import { imagesInside, rectangle, type Point } from "./lasso";
import { drawMarks, pageColour } from "./marks";
import { HOME, Screen, type MapView } from "./view";

export interface BoardElements {
  stage: HTMLElement;
  canvas: HTMLCanvasElement; // the images
  over: HTMLCanvasElement; // what is drawn over them
}

export interface BoardListener {
  moved: () => void; // the view is another
  chosen: (index: number) => void; // an image, or -1
  drawn: (shown: number) => void; // how many images are on the screen
  surrounded?: (line: Point[]) => void; // a line was drawn around images, in the map's steps; without it, none is
  lines: (index: number) => string[]; // what is said of an image that is pointed at
}

/** Why a map cannot be drawn. */
export class NoGraphics extends Error {}

const CLOSER = 2; // levels

export class MapBoard {
  readonly screen: Screen;
  private readonly drawing: Drawing;
  private readonly inks: Uint8Array;
  private readonly colours: Ink[];
  private readonly ends: (() => void)[] = [];
  private hovered = -1;
  private lasso: readonly Point[] = [];
  private selection: ReadonlySet<number> | null = null;
  private asked = 0;
  tool: Tool = "move";

  constructor(
    private readonly elements: BoardElements,
    readonly data: MapData,
    readonly view: MapView,
    private readonly listener: BoardListener,
  ) {
    const { stage, canvas } = elements;
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: false });
    if (!gl) throw new NoGraphics();
    this.screen = new Screen(data, view, () => [stage.clientWidth, stage.clientHeight]);
    this.drawing = new Drawing(gl, data);
    this.inks = new Uint8Array(4 * data.count);
    this.colours = data.colours.map(ink);
    this.ends.push(listen(canvas, this.gestures()));
    this.follow(window, "resize");
    this.follow(matchMedia("(prefers-color-scheme: dark)"), "change");
    const sized = new ResizeObserver(() => this.again());
    sized.observe(stage);
    this.ends.push(() => sized.disconnect());
  }

  private follow(target: EventTarget, name: string): void {
    const again = () => this.again();
    target.addEventListener(name, again);
    this.ends.push(() => target.removeEventListener(name, again));
  }

  /** Listens and draws no more. */
  end(): void {
    cancelAnimationFrame(this.asked);
    for (const end of this.ends) end();
  }

  async load(pages: Promise<Blob>[]): Promise<void> {
    const loading = pages.map(async (page, number) => {
      await this.drawing.load(number, await page);
      this.again();
    });
    await Promise.all(loading);
  }

  /** Takes a sheet of thumbnails of a map in tiles. */
  async loadSheet(number: number, sheet: Blob): Promise<void> {
    await this.drawing.load(number, sheet);
  }

  has(number: number): boolean {
    return this.drawing.has(number);
  }

  drop(number: number): void {
    this.drawing.drop(number);
  }

  /** Takes where more images of a map in tiles lie: those from one on. */
  place(first: number): void {
    const { tiles } = this.data;
    if (!tiles) return;
    this.drawing.place(tiles, first, tiles.loaded);
    this.paint(first);
  }

  /** Whether everything that changed is drawn. */
  get isDrawn(): boolean {
    return this.asked === 0;
  }

  /** Calls of the graphics card for what was drawn last. */
  get calls(): number {
    return this.drawing.calls;
  }

  private gestures() {
    return {
      tool: () => (this.listener.surrounded ? this.tool : "move"),
      point: (point: Point | null) => {
        const pointed = point ? this.pick(...point) : -1;
        if (pointed === this.hovered) return;
        this.hovered = pointed;
        this.again();
      },
      click: (point: Point) => this.choose(this.pick(...point)),
      drag: (dx: number, dy: number) => this.move(dx, dy),
      zoom: (factor: number, x: number, y: number) => this.zoom(factor, x, y),
      draw: (points: readonly Point[], ended: boolean) => this.drawAround(points, ended),
    };
  }

  private drawAround(points: readonly Point[], ended: boolean): void {
    if (!this.listener.surrounded) return;
    const [first, last] = [points[0], points[points.length - 1]];
    const line = this.tool === "rectangle" && first && last ? rectangle(first, last) : points;
    this.lasso = ended ? [] : line;
    this.again();
    if (!ended || line.length < 3) return;
    this.listener.surrounded(line.map(([x, y]) => this.screen.onMap(x, y)));
  }

  /** The number of the class by whose colour an image is drawn. */
  numberOf(index: number): number {
    return (this.view.colour === "prediction" ? this.data.predictions[index] : this.data.labels[index]) ?? -1;
  }

  readonly visible = (index: number): boolean => (this.inks[4 * index + 3] ?? 0) > HIDDEN;

  /** The images inside of a line that is in the map's steps, where images lie now. */
  inside(line: readonly Point[]): number[] {
    return imagesInside(line, this.screen.points, this.visible);
  }

  pick(x: number, y: number): number {
    return this.screen.pick(x, y, this.view.mode === "dots" || !(this.data.tiles || this.drawing.isLoaded), this.visible);
  }

  /** Greys all but some images; null greys none. */
  select(images: Iterable<number> | null): void {
    this.selection = images && new Set(images);
    this.paint();
  }

  /** Colours images as the view says, from one on. */
  paint(first = 0): void {
    const { view, data } = this, { tiles } = data, loaded = tiles?.loaded ?? data.count;
    let shown = 0;
    for (let index = first; index < loaded; index++) {
      const own = this.numberOf(index);
      let colour = own < 0 ? GREY : (this.colours[own] ?? GREY);
      if (view.colour === "mistake") colour = data.wrong[index] ? WRONG : RIGHT;
      this.inks.set(colour, 4 * index);
      const hidden = view.off.has(own) || (view.only && !data.wrong[index]);
      this.inks[4 * index + 3] = hidden ? HIDDEN : this.selection && !this.selection.has(index) ? FADED : SHOWN;
      if (!hidden) shown++;
    }
    // Where most images are switched off, those that are left may stand closer.
    if (tiles && first === 0) tiles.extra = Math.min(Math.floor(Math.log2(loaded / Math.max(shown, 1)) / 2), CLOSER);
    this.drawing.paint(this.inks, first, loaded);
    this.again();
  }

  /** Draws once before the next frame. */
  again(): void {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      this.draw();
    });
  }

  private draw(): void {
    const { canvas, over } = this.elements, ratio = window.devicePixelRatio || 1, [width, height] = this.screen.size();
    for (const layer of [canvas, over]) {
      if (layer.width === Math.round(width * ratio) && layer.height === Math.round(height * ratio)) continue;
      layer.width = Math.round(width * ratio);
      layer.height = Math.round(height * ratio);
    }
    this.screen.look();
    this.drawing.draw(this.screen, pageColour("--paper"));
    const pen = over.getContext("2d");
    if (pen) {
      const { hovered, lasso, visible } = this;
      drawMarks(pen, this.screen, this.drawing, this.data, { hovered, lasso, visible, lines: this.listener.lines });
    }
    this.listener.drawn(this.screen.shown(this.visible));
  }

  private changed(): void {
    this.listener.moved();
    this.again();
  }

  zoom(factor: number, x?: number, y?: number): void {
    this.screen.zoom(factor, x, y);
    this.changed();
  }

  move(dx: number, dy: number): void {
    this.screen.move(dx, dy);
    this.changed();
  }

  home(): void {
    Object.assign(this.view, HOME);
    this.changed();
  }

  near(index: number): number[] {
    return neighboursOf(this.data, index);
  }

  /** Chooses an image; `follow` moves to it where it is not seen. */
  choose(index: number, follow = false): void {
    this.view.picked = index;
    if (follow && index >= 0) this.screen.follow(index);
    this.listener.chosen(index);
    this.changed();
  }

  /** The image nearest to the middle of the screen: keys cannot aim, and most often nothing lies just there. */
  chooseMiddle(): void {
    const [width, height] = this.screen.size(), there = this.pick(width / 2, height / 2);
    this.choose(there >= 0 ? there : this.screen.nearest(width / 2, height / 2, this.visible));
  }

  portray(pen: CanvasRenderingContext2D, index: number, large: number): void {
    this.drawing.portray(pen, index, 0, 0, large);
  }
}
