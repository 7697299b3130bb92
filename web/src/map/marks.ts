// What is drawn over the images: lines to neighbours, frames, the name of the image that is pointed at, the lasso.
import { neighboursOf, type MapData } from "./data";
import type { Drawing } from "./drawing";
import type { Point } from "./lasso";
import type { Screen } from "./view";

export interface Marked {
  hovered: number;
  lasso: readonly Point[]; // points on the screen
  visible: (index: number) => boolean;
  lines: (index: number) => string[]; // what is said of an image that is pointed at
}

/** A colour of the page by its name. */
export const pageColour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function drawMarks(pen: CanvasRenderingContext2D, screen: Screen, drawing: Drawing, data: MapData, marked: Marked): void {
  const ratio = window.devicePixelRatio || 1, [width, height] = screen.size(), { picked } = screen.view;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  // Where a frame clears all and draws nothing, Chromium 156 goes on showing an older one: a lasso that has ended.
  pen.canvas.style.visibility = picked >= 0 || marked.hovered >= 0 || marked.lasso.length > 1 ? "" : "hidden";
  pen.strokeStyle = pen.fillStyle = pageColour("--mark");
  if (picked >= 0) {
    for (const other of neighboursOf(data, picked)) {
      if (!marked.visible(other)) continue;
      drawLine(pen, [screen.position(picked), screen.position(other)]);
      frame(pen, screen, other, 1);
    }
    frame(pen, screen, picked, 3);
  }
  if (marked.lasso.length > 1) drawLasso(pen, marked.lasso);
  if (marked.hovered >= 0) {
    frame(pen, screen, marked.hovered, 2);
    drawCard(pen, screen, drawing, marked.hovered, marked.lines(marked.hovered));
  }
}

function drawLine(pen: CanvasRenderingContext2D, points: readonly Point[]): void {
  pen.lineWidth = 1;
  pen.beginPath();
  points.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}

function drawLasso(pen: CanvasRenderingContext2D, points: readonly Point[]): void {
  pen.save();
  pen.setLineDash([6, 4]);
  drawLine(pen, [...points, points[0] as Point]);
  pen.globalAlpha = 0.08;
  pen.fill();
  pen.restore();
}

function frame(pen: CanvasRenderingContext2D, screen: Screen, index: number, thick: number): void {
  const [x, y] = screen.position(index), half = screen.extent / 2 + thick / 2;
  pen.lineWidth = thick;
  pen.strokeRect(x - half, y - half, 2 * half, 2 * half);
}

const LARGE = 96; // pixels of the thumbnail beside the name

function drawCard(pen: CanvasRenderingContext2D, screen: Screen, drawing: Drawing, index: number, lines: string[]): void {
  const [width] = screen.size(), [x, y] = screen.position(index);
  pen.font = "13px system-ui, sans-serif";
  const wide = LARGE + 20 + Math.max(...lines.map((line) => pen.measureText(line).width)), high = LARGE + 8;
  const left = Math.min(Math.max(x - wide / 2, 4), Math.max(4, width - wide - 4));
  const above = y - screen.extent / 2 - high - 8, top = above > 0 ? above : y + screen.extent / 2 + 8;
  pen.fillStyle = pageColour("--card");
  pen.fillRect(left, top, wide, high);
  pen.lineWidth = 1;
  pen.strokeRect(left, top, wide, high);
  drawing.portray(pen, index, left + 4, top + 4, LARGE);
  pen.fillStyle = pageColour("--ink");
  lines.forEach((line, row) => pen.fillText(line, left + LARGE + 12, top + 20 + 20 * row));
}
