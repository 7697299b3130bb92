// A map in square tiles: which of them are on the screen, and how finely images are shown. `map_quadtree.py` makes them.
import { STEPS, type Places } from "./data";
import type { Screen } from "./view";

/** Images that are stored one after another, whose thumbnails stand on one sheet, and the square in which their places count. */
export interface Batch {
  first: number;
  count: number;
  sheet: number;
  left: number; // of the map, 0 to 1
  top: number;
  side: number;
}

/** Cells of a tile in each direction: at every level each cell shows one image. */
const CELLS = 16;
const FINE = 24, LARGE = 96; // pixels of a cell, at least: where there are many images, and where all are shown
const SHARE = 0.75; // of the images on the screen that are shown large before they grow
const BEYOND = 2; // levels of which points are dots behind the images

export class Tiles {
  /** Images up to this depth are drawn as images, deeper ones as dots. */
  level = 0;
  /** Levels more than the size of images says, since most images are switched off. */
  extra = 0;
  /** Images whose places are here. */
  loaded = 0;
  readonly deepest: number;
  readonly local: Uint16Array; // places within their tiles
  readonly depths: Uint8Array;
  private readonly byLevel: Map<number, number>[] = [];
  private readonly near = new Map<number, number[]>();

  constructor(
    count: number,
    private readonly levels: Uint8Array,
    private readonly columns: Uint32Array,
    private readonly lines: Uint32Array,
    readonly firsts: Uint32Array,
    readonly finest: number, // depth of the deepest image
  ) {
    this.local = new Uint16Array(2 * count);
    this.depths = new Uint8Array(count).fill(255);
    this.deepest = levels.reduce((one, other) => Math.max(one, other), 0);
    for (let level = 0; level <= this.deepest; level++) this.byLevel.push(new Map());
    levels.forEach((level, tile) => this.byLevel[level]?.set(this.key(level, columns[tile] ?? 0, lines[tile] ?? 0), tile));
  }

  private key(level: number, column: number, line: number): number {
    return line * 2 ** level + column;
  }

  batch(tile: number): Batch {
    const first = this.firsts[tile] ?? 0, side = 2 ** -(this.levels[tile] ?? 0);
    const left = (this.columns[tile] ?? 0) * side, top = (this.lines[tile] ?? 0) * side;
    return { first, count: (this.firsts[tile + 1] ?? first) - first, sheet: tile, left, top, side };
  }

  levelOf(tile: number): number {
    return this.levels[tile] ?? 0;
  }

  /** The tile in which an image is stored. */
  tileOf(index: number): number {
    let low = 0, high = this.levels.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.firsts[middle] ?? 0) <= index) low = middle;
      else high = middle;
    }
    return low;
  }

  neighbours(index: number): number[] {
    return this.near.get(index) ?? [];
  }

  keepNeighbours(index: number, others: number[]): void {
    this.near.set(index, others);
  }

  /** Puts the places of images, from one to before another, into those on the whole map, in its steps. */
  spread(points: Places, first: number, last: number): void {
    for (let tile = this.tileOf(first); tile < this.levels.length && (this.firsts[tile] ?? last) < last; tile++) {
      const { first: begin, count, left, top, side } = this.batch(tile);
      for (let index = Math.max(begin, first); index < Math.min(begin + count, last); index++) {
        points[2 * index] = left * STEPS + (this.local[2 * index] ?? 0) * side;
        points[2 * index + 1] = top * STEPS + (this.local[2 * index + 1] ?? 0) * side;
      }
    }
  }

  /** How large the map must be on the screen so that an image of a depth is drawn as one. */
  sideFor(depth: number): number {
    return CELLS * FINE * 2 ** Math.max(depth - this.extra, 0);
  }

  /** The side of a cell on the screen, as images are drawn. */
  cell(side: number): number {
    return side / (CELLS * 2 ** Math.max(this.level - this.extra, 0));
  }

  /** The tiles on the screen, the coarsest first; chooses how finely images are shown. */
  seen(screen: Screen): Batch[] {
    const { side } = screen, [width, height] = screen.size(), margin = 2 * LARGE;
    const finest = Math.max(Math.floor(Math.log2(side / CELLS / FINE)), 0) + this.extra;
    const [left, right] = [screen.view.x - (width / 2 + margin) / side, screen.view.x + (width / 2 + margin) / side];
    const [top, bottom] = [screen.view.y - (height / 2 + margin) / side, screen.view.y + (height / 2 + margin) / side];
    const seen: Batch[] = [];
    let complete = true; // nothing is stored deeper
    for (let level = 0; level <= Math.min(this.deepest, finest + BEYOND); level++) {
      for (const tile of this.within(level, left, top, right, bottom)) {
        seen.push(this.batch(tile));
        if (level === finest + BEYOND && level < this.deepest) complete = false;
      }
    }
    const coarsest = Math.max(Math.floor(Math.log2(side / CELLS / LARGE)), 0) + this.extra;
    this.level = complete ? Math.max(coarsest, Math.min(finest, this.usual(screen, seen))) : finest;
    return seen;
  }

  private *within(level: number, left: number, top: number, right: number, bottom: number): Generator<number> {
    const across = 2 ** level, tiles = this.byLevel[level] ?? new Map<number, number>();
    const bound = (place: number) => Math.min(Math.max(Math.floor(place * across), 0), across - 1);
    for (let line = bound(top); line <= bound(bottom); line++) {
      for (let column = bound(left); column <= bound(right); column++) {
        const tile = tiles.get(this.key(level, column, line));
        if (tile !== undefined) yield tile;
      }
    }
  }

  /** The depth up to which most of the images on the screen are. */
  private usual(screen: Screen, seen: readonly Batch[]): number {
    const counts = new Array<number>(256).fill(0);
    const { points } = screen, [left, top, right, bottom] = screen.bounds(0);
    let total = 0;
    for (const { first, count } of seen) {
      for (let index = first; index < first + count; index++) {
        const x = points[2 * index] ?? 0, y = points[2 * index + 1] ?? 0;
        if (x < left || x > right || y < top || y > bottom) continue;
        const depth = this.depths[index] ?? 255;
        counts[depth] = (counts[depth] ?? 0) + 1;
        total++;
      }
    }
    let shown = 0, level = 0;
    while (level < 255 && (shown += counts[level] ?? 0) < SHARE * total) level++;
    return level;
  }
}
