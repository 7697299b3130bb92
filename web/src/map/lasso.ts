// Which images lie inside of a line that was drawn around them.
import type { Places } from "./data";

export type Point = [x: number, y: number];

/** Whether a place lies inside of a closed line: a ray from it crosses the line an odd number of times. */
export function isInside([x, y]: Point, line: readonly Point[]): boolean {
  let inside = false;
  for (let at = 0, before = line.length - 1; at < line.length; before = at++) {
    const [x1, y1] = line[at] as Point, [x2, y2] = line[before] as Point;
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  }
  return inside;
}

/** The images inside of a line; line and points in the map's steps. */
export function imagesInside(line: readonly Point[], points: Places, visible: (index: number) => boolean): number[] {
  const chosen: number[] = [];
  for (let index = 0; 2 * index < points.length; index++) {
    if (visible(index) && isInside([points[2 * index] ?? 0, points[2 * index + 1] ?? 0], line)) chosen.push(index);
  }
  return chosen;
}

/** The corners of the rectangle between two places. */
export const rectangle = ([x1, y1]: Point, [x2, y2]: Point): Point[] => [
  [x1, y1],
  [x2, y1],
  [x2, y2],
  [x1, y2],
];

/** Leaves out places that are nearer than a distance to the one before. */
export function thinned(line: readonly Point[], distance: number): Point[] {
  const kept: Point[] = [];
  for (const point of line) {
    const before = kept[kept.length - 1];
    if (!before || Math.hypot(point[0] - before[0], point[1] - before[1]) >= distance) kept.push(point);
  }
  return kept;
}
