// The atlas on a canvas: it is dragged, zoomed and clicked; the grid that is drawn follows from how near one is.
import { listen } from "../map/gestures";
import { cellAt, cellsSeen, dragged, extent, finestGrid, firstView, gridSeen, onScreen, zoomed, type AtlasData, type AtlasView, type Screen } from "./view";

export interface AtlasEvents {
  moved: () => void; // another part is seen
  picked: (cell: number) => void; // -1 for none
  drawn: (grid: number) => void;
}

const FRAME = 0.05; // of a cell's side
const STEP = 0.15; // of the screen, by an arrow key
const CLOSER = 1.4;

export class AtlasBoard {
  view: AtlasView = firstView();
  private sheets: ImageBitmap[] = [];
  private readonly ends: (() => void)[] = [];
  private waiting = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly data: AtlasData,
    private readonly events: AtlasEvents,
  ) {
    const observer = new ResizeObserver(() => this.paint());
    observer.observe(canvas);
    const key = (event: KeyboardEvent) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && this.press(event.key)) event.preventDefault();
    };
    canvas.addEventListener("keydown", key);
    this.ends.push(
      () => observer.disconnect(),
      () => canvas.removeEventListener("keydown", key),
      listen(canvas, {
        tool: () => "move",
        point: (point) => (canvas.style.cursor = point && cellAt(data, this.view, this.screen, ...point) >= 0 ? "pointer" : ""),
        click: (point) => this.pick(cellAt(data, this.view, this.screen, ...point)),
        drag: (dx, dy) => this.look(dragged(this.view, this.screen, dx, dy)),
        zoom: (factor, x, y) => this.look(zoomed(this.view, this.screen, factor, x, y)),
        draw: () => undefined,
      }),
    );
  }

  get screen(): Screen {
    return { width: Math.max(1, this.canvas.clientWidth), height: Math.max(1, this.canvas.clientHeight) };
  }

  /** Takes the sheets of pictures, JPEG files. */
  async load(sheets: Blob[]): Promise<void> {
    this.sheets = await Promise.all(sheets.map((sheet) => createImageBitmap(sheet)));
    this.paint();
  }

  look(view: AtlasView): void {
    this.view = view;
    this.paint();
    this.events.moved();
  }

  pick(cell: number): void {
    this.view = { ...this.view, picked: cell };
    this.paint();
    this.events.picked(cell);
  }

  /** Draws soon, however often it is asked. */
  paint(): void {
    if (!this.waiting) this.waiting = requestAnimationFrame(() => this.draw());
  }

  end(): void {
    cancelAnimationFrame(this.waiting);
    for (const end of this.ends) end();
  }

  /** Draws the picture of a cell so that it fills a canvas. */
  portrait(canvas: HTMLCanvasElement, cell: number): void {
    this.picture(canvas.getContext("2d"), cell, 0, 0, canvas.width);
  }

  private press(key: string): boolean {
    const { width, height } = this.screen, step = STEP * Math.min(width, height);
    const moves: Record<string, [number, number]> = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    const move = moves[key];
    if (move) this.look(dragged(this.view, this.screen, ...move));
    else if (key === "+" || key === "=" || key === "-") this.look(zoomed(this.view, this.screen, key === "-" ? 1 / CLOSER : CLOSER, width / 2, height / 2));
    else if (key === "0") this.look({ ...firstView(), picked: this.view.picked });
    else if (key === "Enter") this.pick(cellAt(this.data, this.view, this.screen, width / 2, height / 2));
    else if (key === "Escape") this.pick(-1);
    else return false;
    return true;
  }

  private draw(): void {
    this.waiting = 0;
    const { width, height } = this.screen, dense = window.devicePixelRatio || 1, context = this.canvas.getContext("2d");
    if (!context) return;
    this.canvas.width = Math.round(width * dense);
    this.canvas.height = Math.round(height * dense);
    context.scale(dense, dense);
    const pixels = extent(this.view, this.screen), grid = gridSeen(this.data.grids, pixels);
    const drawn: number[] = [];
    for (const number of cellsSeen(this.data, grid)) {
      const cell = this.data.cells[number];
      if (!cell) continue;
      const side = pixels / (this.data.grids[cell[0]] ?? 1);
      const [left, top] = onScreen(this.view, this.screen, (cell[2] * side) / pixels, (cell[1] * side) / pixels);
      if (left > width || top > height || left + side < 0 || top + side < 0) continue;
      drawn.push(number);
      const ink = this.data.inks[number], frame = ink ? Math.max(1, FRAME * side) : 0.5;
      if (ink) {
        context.fillStyle = ink;
        context.fillRect(left + 0.5, top + 0.5, side - 1, side - 1);
      }
      this.picture(context, number, left + frame, top + frame, side - 2 * frame);
    }
    this.outline(context, pixels);
    this.events.drawn(finestGrid(this.data, drawn, grid)); // that which is seen, and not a finer one that has no cell here
  }

  /** Shows which cell is picked; of another grid than that which is seen too. */
  private outline(context: CanvasRenderingContext2D, pixels: number): void {
    const cell = this.data.cells[this.view.picked];
    if (!cell) return;
    const count = this.data.grids[cell[0]] ?? 1, side = pixels / count;
    const [left, top] = onScreen(this.view, this.screen, cell[2] / count, cell[1] / count);
    for (const [style, line] of [["#fff", 5], ["#111", 2]] as const) {
      context.strokeStyle = style;
      context.lineWidth = line;
      context.strokeRect(left, top, side, side);
    }
  }

  private picture(context: CanvasRenderingContext2D | null, cell: number, left: number, top: number, side: number): void {
    const { side: own, page } = this.data, across = Math.floor(page / own), sheet = this.sheets[Math.floor(cell / (across * across))];
    if (!context || !sheet) return;
    const index = cell % (across * across), x = (index % across) * own, y = Math.floor(index / across) * own;
    context.imageSmoothingQuality = "high";
    context.drawImage(sheet, x, y, own, own, left, top, side, side);
  }
}
