// The answers of a network with a patch at every position of a picture, as a page holds them; `live_patch.py` writes them.

/** One question: a patch of one size with one fill at every position. */
export interface PackedAnswers {
  label: string; // what is special about it, where there are several
  top: number[]; // first row of the patch at each grid row, pixels
  left: number[];
  patch: [number, number]; // height and width, pixels
  names: string[]; // the classes that are kept
  target: number; // which of them was asked about
  low: number; // what 0 and 65535 stand for
  high: number;
  values: string; // base64 of uint16, little endian: the classes with nothing covered, then at every position, row by row; behind
  // them, where the patch is kept, what it is counted from: the answers with everything covered
  probability: boolean; // whether colours and bars go from 0 to 1
  competing: boolean; // whether the outputs are answers of which the highest is the network's
  most: boolean; // whether what matters is where the number is highest: what covering costs
  kept: boolean; // whether the patch is all that is left of the picture, in place of being covered
  fill: string; // the colour of the patch; empty where it is no single colour
  facts: string; // what was asked, in words
  measure: string; // what the numbers are, in words
}

export interface Cell {
  row: number;
  column: number;
}

export interface Ranked {
  index: number;
  value: number;
  clean: number;
  floor: number | null; // with everything covered, where the patch is kept
}

/** The middles of patches along one axis, each cut at the border. */
export const middles = (starts: number[], patch: number, size: number): number[] =>
  starts.map((start) => (start + Math.min(start + patch, size)) / 2);

const STEPS = 65535;
const LEAST = 0.05; // a probability of which the whole is no reason for a strong colour

/** Gives the same as numbers, position by position. */
export class Answers {
  readonly rows: number;
  readonly columns: number;
  private readonly packed: Uint16Array;

  constructor(
    readonly of: PackedAnswers,
    readonly size: [number, number],
  ) {
    this.rows = of.top.length;
    this.columns = of.left.length;
    const text = atob(of.values);
    const view = new DataView(Uint8Array.from(text, (sign) => sign.charCodeAt(0)).buffer);
    this.packed = Uint16Array.from({ length: text.length / 2 }, (_, index) => view.getUint16(2 * index, true));
    if (this.packed.length !== (this.positions + (of.kept ? 1 : 0)) * of.names.length) throw new Error("The answers are not whole.");
  }

  /** With nothing covered, and at every cell. */
  private get positions(): number {
    return 1 + this.rows * this.columns;
  }

  /** The value of a class with the patch at a cell, or with nothing covered. */
  value(index: number, cell: Cell | null): number {
    return this.at(index, cell ? 1 + cell.row * this.columns + cell.column : 0);
  }

  private at(index: number, position: number): number {
    const step = this.packed[position * this.of.names.length + index] ?? 0;
    return this.of.low + ((this.of.high - this.of.low) * step) / STEPS;
  }

  /** The classes with the highest values, the highest first. */
  first(count: number, cell: Cell | null): Ranked[] {
    return this.of.names
      .map((_, index) => this.ranked(index, cell))
      .sort((one, other) => other.value - one.value || one.index - other.index)
      .slice(0, count);
  }

  ranked(index: number, cell: Cell | null): Ranked {
    return { index, value: this.value(index, cell), clean: this.value(index, null), floor: this.of.kept ? this.at(index, this.positions) : null };
  }

  /** Where the patch matters most to a class. */
  strongest(index: number): Cell {
    const sign = this.of.most || this.of.kept ? -1 : 1;
    let best: Cell = { row: 0, column: 0 };
    for (const cell of this.cells()) {
      if (sign * this.value(index, cell) < sign * this.value(index, best)) best = cell;
    }
    return best;
  }

  *cells(): Generator<Cell> {
    for (let row = 0; row < this.rows; row++) for (let column = 0; column < this.columns; column++) yield { row, column };
  }

  /** The numbers that the first and the last colour stand for. */
  limits(index: number): [number, number] {
    if (this.of.probability) return [0, 1];
    let low = this.value(index, null), high = low;
    for (const cell of this.cells()) {
      const value = this.value(index, cell);
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    return [low, high > low ? high : low + 1e-6];
  }

  /** The change of the answer that takes the strongest colour: the whole of a probability, or the largest change. */
  fullChange(index: number): number {
    if (this.of.most) return 1;
    const clean = this.value(index, null);
    let largest = this.of.probability ? Math.max(clean, LEAST) : 1e-9;
    for (const cell of this.cells()) largest = Math.max(largest, this.change(index, cell));
    if (!this.of.probability) for (const cell of this.cells()) largest = Math.max(largest, -this.change(index, cell));
    return largest;
  }

  /** What the patch at a cell adds to the answer; below zero it takes. */
  change(index: number, cell: Cell): number {
    const value = this.value(index, cell);
    return this.of.most ? -Math.max(value, 0) : value - this.at(index, this.of.kept ? this.positions : 0);
  }

  /** The numbers at the two ends of a bar: zero is always one of them or between. */
  get scale(): [number, number] {
    if (this.of.most) return [Math.min(0, this.of.low), 1];
    return this.of.probability ? [0, 1] : [Math.min(0, this.of.low), Math.max(0, this.of.high, this.of.low + 1e-9)];
  }

  /** The pixels that the patch covers: it is cut at the border. */
  covered(cell: Cell): { top: number; left: number; bottom: number; right: number } {
    const top = this.of.top[cell.row] ?? 0, left = this.of.left[cell.column] ?? 0;
    return {
      top,
      left,
      bottom: Math.min(top + this.of.patch[0], this.size[0]),
      right: Math.min(left + this.of.patch[1], this.size[1]),
    };
  }

  /** The middles of the patches along one axis, in pixels from the border. */
  middles(axis: 0 | 1): number[] {
    return middles(axis === 0 ? this.of.top : this.of.left, this.of.patch[axis], this.size[axis]);
  }

  /** The cell whose patch has its middle nearest to a place, in pixels from the upper left corner. */
  nearest(y: number, x: number): Cell {
    const near = (middles: number[], place: number) =>
      middles.reduce((best, middle, index) => (Math.abs(middle - place) < Math.abs((middles[best] ?? 0) - place) ? index : best), 0);
    return { row: near(this.middles(0), y), column: near(this.middles(1), x) };
  }
}
