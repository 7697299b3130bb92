// What is seen of a map, and where images lie on the screen then. Places on the screen are in CSS pixels.
import { STEPS, type MapData, type Places } from "./data";
import type { Batch } from "./tiles";

export const COLOURS = ["label", "prediction", "mistake", "none"] as const;

export interface MapView {
  x: number; // the middle of the view on the map, 0 to 1
  y: number;
  z: number; // how large the map is on the shorter side of the screen
  mode: "images" | "dots";
  colour: (typeof COLOURS)[number];
  grid: number; // 1 where images stand on the full grid
  size: number; // of the images, in doublings
  only: number; // 1 where only mistakes are shown
  off: Set<number>; // classes that are not shown
  picked: number; // the image that is chosen; -1 where none is
}

const MANY = 24; // classes, of which more are not told apart by colours

export const isLabelled = (data: MapData) => data.labels.some((label) => label >= 0);

/** What is seen first. */
export function firstView(data: MapData): MapView {
  const labelled = isLabelled(data), many = new Set(labelled ? data.labels : data.predictions).size > MANY;
  const colour = many ? "none" : labelled ? "label" : "prediction";
  return { x: 0.5, y: 0.5, z: 0.95, mode: "images", colour, grid: 0, size: 0, only: 0, off: new Set(), picked: -1 };
}

/** How large a map can be made, in sides of the screen: until each of its images is alone. */
export const largest = (data: MapData) => Math.max(40, data.tiles ? 4 * 2 ** data.tiles.finest : Math.sqrt(data.count) * 2);

/** The sheets of a map whose thumbnails are all at hand. */
function sheetsOf({ count, page, side }: MapData): Batch[] {
  const capacity = (page / side) ** 2, sheets: Batch[] = [];
  for (let first = 0; first < count; first += capacity) {
    sheets.push({ first, count: Math.min(capacity, count - first), sheet: sheets.length, left: 0, top: 0, side: 1 });
  }
  return sheets;
}

const SMALLEST = 0.2; // a map, in sides of the screen
const BEYOND = 0.2; // how far beyond the map the middle of the screen can be, in sides of the map
const clamp = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);

/** Keeps a view where something of the map is seen, and its numbers to what its controls can be set to. */
export function keepInSight(view: MapView, data: MapData): void {
  view.x = clamp(view.x, -BEYOND, 1 + BEYOND);
  view.y = clamp(view.y, -BEYOND, 1 + BEYOND);
  view.z = clamp(view.z, SMALLEST, largest(data));
  view.size = clamp(view.size, -2, 3);
  view.grid = view.grid ? 1 : 0;
  view.only = view.only ? 1 : 0;
}

/** The numbers of the view that the address keeps as they are. */
export const HOME = { x: 0.5, y: 0.5, z: 0.95 };

const BESIDE = 0.9; // of a cell that its image fills
const DOT = 3; // pixels of a dot behind images
const EASY = 6; // pixels of a dot, as far as the pointer is concerned
const WIDEST = 128; // pixels of an image of a map in tiles

export class Screen {
  /** What is drawn: the sheets of a map, or the tiles of it that are on the screen. */
  batches: readonly Batch[];

  constructor(
    readonly data: MapData,
    readonly view: MapView,
    readonly size: () => [width: number, height: number],
  ) {
    this.batches = data.tiles ? [] : sheetsOf(data);
  }

  /** Finds out which tiles are on the screen. */
  look(): void {
    if (this.data.tiles) this.batches = this.data.tiles.seen(this);
  }

  /** The side of the whole map. */
  get side(): number {
    return this.view.z * Math.min(...this.size());
  }

  get onGrid(): boolean {
    return Boolean(this.view.grid && this.data.grid);
  }

  get points(): Places {
    return (this.onGrid ? this.data.grid?.points : null) ?? this.data.points;
  }

  /** The side of an image. */
  get extent(): number {
    const { mode, size } = this.view, { tiles } = this.data;
    if (tiles && mode === "dots") return DOT * 2 ** Math.max(size, -0.5);
    if (tiles) return Math.min(Math.max(tiles.cell(this.side) * BESIDE * 2 ** size, 3), WIDEST * 2 ** Math.max(size, 0));
    const free = this.side * ((this.onGrid ? this.data.grid?.spacing : null) ?? this.data.spacing) * 2 ** size;
    if (mode === "dots") return Math.min(Math.max(free * 0.8, 2.5), 12 * 2 ** size);
    return Math.min(Math.max(free, 3), Math.max(64, this.data.side) * (this.onGrid ? 4 : 2 ** Math.max(size, 0)));
  }

  /** The side of a dot. */
  get dot(): number {
    return this.data.tiles ? Math.min(DOT, this.extent) : this.extent;
  }

  /** Whether an image is drawn as one, and not as a dot. */
  isImage(index: number): boolean {
    const { tiles } = this.data;
    return this.view.mode === "images" && (!tiles || (tiles.depths[index] ?? 0) <= tiles.level);
  }

  /** How thick the coloured frame of an image is. */
  get border(): number {
    return this.view.colour === "none" || this.extent < 7 ? 0 : Math.max(1, this.extent / 18);
  }

  position(index: number): [x: number, y: number] {
    const [width, height] = this.size(), points = this.points;
    return [
      ((points[2 * index] ?? 0) / STEPS - this.view.x) * this.side + width / 2,
      ((points[2 * index + 1] ?? 0) / STEPS - this.view.y) * this.side + height / 2,
    ];
  }

  /** Where a place of the screen lies on the map, in its steps. */
  onMap(x: number, y: number): [x: number, y: number] {
    const [width, height] = this.size();
    return [((x - width / 2) / this.side + this.view.x) * STEPS, ((y - height / 2) / this.side + this.view.y) * STEPS];
  }

  /** The part of the map on which images lie that are on the screen, in its steps; they reach so far around their places. */
  bounds(reach: number): [left: number, top: number, right: number, bottom: number] {
    const [width, height] = this.size();
    return [...this.onMap(-reach, -reach), ...this.onMap(width + reach, height + reach)];
  }

  /** The image whose place is nearest to one on the screen; -1 where none is seen at all. */
  nearest(x: number, y: number, visible: (index: number) => boolean): number {
    const { points } = this, [mapX, mapY] = this.onMap(x, y);
    let nearest = -1, least = Infinity;
    for (const { first, count } of this.batches) {
      for (let index = first; index < first + count; index++) {
        const apart = Math.hypot((points[2 * index] ?? 0) - mapX, (points[2 * index + 1] ?? 0) - mapY);
        if (apart >= least || !visible(index)) continue;
        least = apart;
        nearest = index;
      }
    }
    return nearest;
  }

  /** The image at a place; images lie on dots, and what is drawn last lies on top. */
  pick(x: number, y: number, round: boolean, visible: (index: number) => boolean): number {
    const { points, data: { tiles } } = this, [mapX, mapY] = this.onMap(x, y), steps = STEPS / 2 / this.side;
    const ofImage = this.extent * steps, ofDot = Math.max(this.dot, tiles ? EASY : 0) * steps;
    let dot = -1;
    for (const { first, count } of [...this.batches].reverse()) {
      for (let index = first + count - 1; index >= first; index--) {
        const isRound = round || !this.isImage(index);
        if (isRound && dot >= 0) continue;
        const reach = isRound ? ofDot : ofImage;
        const dx = (points[2 * index] ?? 0) - mapX, dy = (points[2 * index + 1] ?? 0) - mapY;
        if (Math.abs(dx) > reach || Math.abs(dy) > reach || !visible(index)) continue;
        if (isRound && dx * dx + dy * dy > reach * reach) continue;
        if (!isRound) return index;
        dot = index;
      }
    }
    return dot;
  }

  /** How many images are on the screen; of a map in tiles those that are drawn as images. */
  shown(visible: (index: number) => boolean): number {
    const { points, view, data: { tiles } } = this, [left, top, right, bottom] = this.bounds(this.extent / 2);
    let shown = 0;
    for (const { first, count } of this.batches) {
      for (let index = first; index < first + count; index++) {
        if (!visible(index) || (tiles && !this.isImage(index) && view.mode === "images")) continue;
        const x = points[2 * index] ?? 0, y = points[2 * index + 1] ?? 0;
        if (x >= left && x <= right && y >= top && y <= bottom) shown++;
      }
    }
    return shown;
  }

  get largest(): number {
    return largest(this.data);
  }

  /** Makes the map larger; what is under the pointer stays there. */
  zoom(factor: number, x?: number, y?: number): void {
    const [width, height] = this.size(), before = this.side;
    this.view.z = clamp(this.view.z * factor, SMALLEST, this.largest);
    this.view.x += ((x ?? width / 2) - width / 2) * (1 / before - 1 / this.side);
    this.view.y += ((y ?? height / 2) - height / 2) * (1 / before - 1 / this.side);
    keepInSight(this.view, this.data);
  }

  move(dx: number, dy: number): void {
    this.view.x -= dx / this.side;
    this.view.y -= dy / this.side;
    keepInSight(this.view, this.data);
  }

  /** Puts an image in the middle if it is not seen, and makes the map so large that it is drawn as an image. */
  follow(index: number): void {
    const { tiles } = this.data, needed = tiles?.sideFor(tiles.depths[index] ?? 0) ?? 0;
    const [x, y] = this.position(index), [width, height] = this.size();
    if (this.side >= needed && x >= 20 && y >= 20 && x <= width - 20 && y <= height - 20) return;
    this.view.z = Math.min(Math.max(this.view.z, (1.01 * needed) / Math.min(width, height)), this.largest);
    this.view.x = (this.points[2 * index] ?? 0) / STEPS;
    this.view.y = (this.points[2 * index + 1] ?? 0) / STEPS;
  }
}
