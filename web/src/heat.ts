// The map: a colour for every position of the patch, around the patch's middle.
import type { Answers } from "./answers";

// Every sixteenth colour of viridis; between two of them it is all but straight.
const VIRIDIS = [
  "440154", "481a6c", "472f7d", "414487", "39568c", "31688e", "2a788e", "23888e", "1f988b", "22a884", "35b779", "54c568", "7ad151",
  "a5db36", "d2e21b", "fde725",
].map((ink) => [0, 2, 4].map((at) => parseInt(ink.slice(at, at + 2), 16)) as [number, number, number]);

type Ink = [red: number, green: number, blue: number, alpha: number];

const LOWER: Ink = [214, 39, 40, 0.85], HIGHER: Ink = [33, 102, 172, 0.85];

/** Gives the colour of an answer, as a share of the way from the first to the last, 0 to 1. */
function answerInk(share: number): Ink {
  const place = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const before = VIRIDIS[Math.floor(place)] ?? [0, 0, 0], after = VIRIDIS[Math.ceil(place)] ?? before;
  const [red, green, blue] = before.map((part, index) => Math.round(part + ((after[index] ?? part) - part) * (place % 1)));
  return [red ?? 0, green ?? 0, blue ?? 0, 1];
}

/** Gives the colour of a change, -1 to 1: red where the answer falls, blue where it rises; a tenth is still seen. */
function changeInk(share: number): Ink {
  const [red, green, blue, alpha] = share < 0 ? LOWER : HIGHER;
  return [red, green, blue, alpha * Math.sqrt(Math.min(Math.abs(share), 1))];
}

/** The colour of a change as CSS. */
export const changeColour = (share: number) => css(changeInk(share));

/** The colour of something that is never below zero, 0 to 1, as CSS: nothing is dark. */
export const distanceColour = (share: number) => css(answerInk(share));

const css = ([red, green, blue, alpha]: Ink) => `rgb(${red} ${green} ${blue} / ${alpha.toFixed(3)})`;

/** What the colours of the map say: what the patch changes, or the answer itself. */
export type Shows = "change" | "answer";

/** The colours between the two ends of the scale, as CSS. */
export function ramp(shows: Shows): string {
  const shares = Array.from({ length: 17 }, (_, index) => index / 16);
  const inks = shares.map((share) => (shows === "answer" ? answerInk(share) : changeInk(2 * share - 1)));
  return `linear-gradient(90deg, ${inks.map(css).join(", ")})`;
}

/** Gives where the cells begin and end: half way from middle to middle. */
function edges(middles: number[], size: number): number[] {
  if (middles.length === 1) return [0, size];
  const between = middles.slice(1).map((middle, index) => (middle + (middles[index] ?? middle)) / 2);
  const first = between[0] ?? 0, last = between[between.length - 1] ?? size;
  return [2 * (middles[0] ?? 0) - first, ...between, 2 * (middles[middles.length - 1] ?? size) - last];
}

const WIDE = 448; // pixels of the canvas, so that the cells' edges are sharp

/** A grid of patches on a picture: the middles of its rows and columns, in pixels from the border. */
export interface Grid {
  size: [number, number]; // height and width of the picture, pixels
  rows: number[];
  columns: number[];
}

/** How many pixels along the border have no colour at most, since no patch has its middle there. */
export function margin({ size: [height, width], rows, columns }: Grid): number {
  const [tops, lefts] = [edges(rows, height), edges(columns, width)];
  return Math.max(tops[0] ?? 0, height - (tops[tops.length - 1] ?? height), lefts[0] ?? 0, width - (lefts[lefts.length - 1] ?? width));
}

/** Fills every cell of a grid with its colour. */
export function drawCells(canvas: HTMLCanvasElement, grid: Grid, colour: (row: number, column: number) => string): void {
  const [height, width] = grid.size;
  const enlarged = Math.max(1, Math.round(WIDE / Math.max(height, width)));
  canvas.width = width * enlarged;
  canvas.height = height * enlarged;
  const pen = canvas.getContext("2d");
  if (!pen) return;
  const rows = edges(grid.rows, height).map((edge) => Math.round(edge * enlarged));
  const columns = edges(grid.columns, width).map((edge) => Math.round(edge * enlarged));
  for (let row = 0; row < grid.rows.length; row++) {
    for (let column = 0; column < grid.columns.length; column++) {
      const top = rows[row] ?? 0, left = columns[column] ?? 0;
      pen.fillStyle = colour(row, column);
      pen.fillRect(left, top, (columns[column + 1] ?? left) - left, (rows[row + 1] ?? top) - top);
    }
  }
}

/** Draws the map of a class. Where no patch has its middle nearby, nothing is drawn. */
export function drawHeat(canvas: HTMLCanvasElement, answers: Answers, index: number, shows: Shows): void {
  const [low, high] = answers.limits(index), full = answers.fullChange(index);
  drawCells(canvas, { size: answers.size, rows: answers.middles(0), columns: answers.middles(1) }, (row, column) => {
    const cell = { row, column }, share = (answers.value(index, cell) - low) / (high - low);
    // Red is where the patch matters: a covering one where it takes, a kept one where it gives.
    return shows === "answer" ? distanceColour(share) : changeColour(((answers.of.kept ? -1 : 1) * answers.change(index, cell)) / full);
  });
}
